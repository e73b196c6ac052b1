"""Checks for what killed processes left: locks, runs that say RUNNING, half-finished folders; and for refused cases."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from xmed.app.resume import BEGUN, ENDED
from xmed.console.run_lock import gpu_lock_folder, run_lock
from xmed.errors import XmedError
from xmed.files.documents import mapping, read_json
from xmed.files.locks import clear_lock, lock_owner
from xmed.home import Home
from xmed.server import stale_flow_runs
from xmed.server.doctor.check import HOW_TO_CLOSE, Check, repairable
from xmed.server.doctor.databases import tracking_answers
from xmed.server.prefect_server import server_lock

ALIVE_SECONDS = 900.0
HOW_TO_CONTINUE = "`xmed run` with the same study goes on with it, a comparison with --resume, or delete the folder"


def check_locks(home: Path, fix: bool) -> Iterator[Check]:
    """Check for locks that name a killed process. They block nobody, but tell what was killed."""
    stale, in_use = [], []
    for path in (run_lock(home), server_lock(home), *sorted(gpu_lock_folder().glob("gpu-*.json"))):
        owner, is_held = lock_owner(path)
        what, pid = (owner.what, owner.pid) if owner else ("", None)
        entry = f"{path.name}: {what}, process {'unknown' if pid is None else pid}"
        if is_held:
            in_use.append(entry)
        elif owner:
            stale.append(entry + (", cleared" if fix and clear_lock(path) else ""))
    killed = f"left by a killed process: {'; '.join(stale)}" + ("" if fix else f"; {HOW_TO_CLOSE}")
    yield Check("locks", not stale or fix, killed if stale else f"at work: {'; '.join(in_use) or 'nobody'}")


def check_tracked_runs(home: Path, fix: bool) -> Iterator[Check]:
    """Check for runs that MLflow believes to be running although their process has gone."""
    if not tracking_answers(home):
        return
    from xmed.registry import orphans
    from xmed.registry.tracked_runs import close_tracked_run

    run_ids = [] if stale_flow_runs.is_run_at_work(home) else orphans(home)
    if fix:
        for run_id in run_ids:
            close_tracked_run(run_id, home, "its process was killed; closed by xmed doctor")
    yield repairable("mlflow", _running_without_process(run_ids), fix, "no run without a process")


def check_flow_runs(home: Path, fix: bool) -> Iterator[Check]:
    """Check for such flow runs in Prefect's embedded database; a Prefect server elsewhere looks after its own."""
    if os.environ.get("PREFECT_API_URL"):
        return
    names = stale_flow_runs.close_stale_runs(home) if fix else list(stale_flow_runs.find_stale_runs(home).values())
    yield repairable("prefect", _running_without_process(names), fix, "no flow run without a process")


def check_runs(home: Path) -> Iterator[Check]:
    """Check for folders of runs that did not end and in which nobody has worked for a while."""
    unfinished = []
    for folder in sorted(Home(home).runs.glob("*/")):
        last_files = ["comparison.json", f"{ENDED}.json"]
        if not (folder / f"{BEGUN}.json").is_file():
            last_files.append("report/report.json")
        if not (folder / "study.json").is_file() or any((folder / name).is_file() for name in last_files):
            continue
        mtime = max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
        if abs(time.time() - mtime) > ALIVE_SECONDS:  # less: most likely a process is at work in it
            unfinished.append(folder.name)
    problem = f"half-finished: {', '.join(unfinished)}; {HOW_TO_CONTINUE}"
    yield Check("runs", not unfinished, problem if unfinished else "none half-finished")


def check_audit_log(home: Path) -> Iterator[Check]:
    """Check that the audit log is whole; where MLflow answers, also against what MLflow keeps."""
    from xmed.registry import audit_log
    from xmed.registry.audit_verification import verify_log

    if not home.is_dir():  # to look for a log would make the folder
        yield Check("audit", True, "no records yet")
        return
    if tracking_answers(home):
        from xmed.registry import verify_audit

        problems = verify_audit(home)
    else:
        problems = verify_log(home)
    if problems:
        detail = f"{len(problems)} problem(s), the first: {problems[0]}; `xmed audit verify` lists them"
    else:
        detail = f"{len(audit_log.records(home))} records, each continues the one before it"
    yield Check("audit", not problems, detail)


def check_versions(home: Path) -> Iterator[Check]:
    """Check for versions without a report (their registration was killed), and for versions whose files are gone."""
    if not tracking_answers(home):
        return
    from xmed.registry import has_artifacts, versions

    rows = versions(home)
    without_report = [f"{row.name} {row.version}" for row in rows if not row.report_sha256]
    problem = (
        f"without a report: {', '.join(without_report)}; they have no alias: delete them, or run their study again"
    )
    sound = f"{len(rows)} versions, each with its report"
    yield Check("models", not without_report, problem if without_report else sound)
    lost = [f"{row.name} {row.version}" for row in rows if not has_artifacts(row.name, row.version, home)]
    problem = f"nothing can be read of {', '.join(lost)}: bring {Home(home).registry_artifacts} back from a backup"
    yield Check("artifacts", not lost, problem if lost else "of each version one was opened")


def check_quarantine(home: Path) -> Iterator[Check]:
    """Count refused cases by dataset and code. No fault of the installation, but somebody should know."""
    counts: dict[str, Counter[str]] = {}
    for path in sorted(Home(home).quarantine.glob("*/*.json")):
        try:
            code = str(mapping(read_json(path), path.name)["code"])
        except (XmedError, KeyError):
            code = "unreadable"
        counts.setdefault(path.parent.name, Counter())[code] += 1
    lines = [
        f"{name}: " + ", ".join(f"{count} {code}" for code, count in codes.most_common())
        for name, codes in counts.items()
    ]
    yield Check("quarantine", True, "; ".join(lines) or "nothing")


def _running_without_process(names: list[str]) -> str:
    return f"RUNNING without a process: {', '.join(names)}" if names else ""
