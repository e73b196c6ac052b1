"""Leftovers: what killed processes left: locks, runs that say RUNNING, half-finished folders; what was refused."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from xmed.app.resume import BEGUN, ENDED
from xmed.console.run_lock import clear, gpu_lock_folder, owner, run_lock
from xmed.errors import XmedError
from xmed.files.documents import mapping, read_json
from xmed.server import stale_flow_runs
from xmed.server.doctor.check import Check
from xmed.server.doctor.databases import tracking_answers
from xmed.server.prefect_server import server_lock

ALIVE_SECONDS = 900.0
HOW_TO_FIX = "`xmed doctor --fix` closes them"
GOING_ON = "`xmed run` with the same study goes on with it, a comparison with --resume, or delete the folder"


def locks(home: Path, fix: bool) -> Iterator[Check]:
    """Locks that a killed process left its name in. They stop nobody; what they say is of use to whoever looks."""
    stale, held = [], []
    for path in (run_lock(home), server_lock(home), *sorted(gpu_lock_folder().glob("gpu-*.json"))):
        who, alive = owner(path)
        said = f"{path.name}: {(who or {}).get('what', '')}, process {(who or {}).get('pid', 'unknown')}"
        if alive:
            held.append(said)
        elif who:
            stale.append(said + (", cleared" if fix and clear(path) else ""))
    killed = f"left by a killed process: {'; '.join(stale)}; {HOW_TO_FIX if not fix else ''}".rstrip("; ")
    yield Check("locks", not stale or fix, killed if stale else f"at work: {'; '.join(held) or 'nobody'}")


def tracked(home: Path, fix: bool) -> Iterator[Check]:
    """Runs that MLflow believes to be running, where nobody is."""
    if not tracking_answers(home):
        return
    from xmed.registry import orphans as running
    from xmed.registry.close_runs import close

    found = [] if stale_flow_runs.at_work(home) else running(home)
    if fix:
        for run_id in found:
            close(run_id, home, "its process was killed; closed by xmed doctor")
    told = f"RUNNING without a process: {', '.join(found)}; " + ("closed" if fix else HOW_TO_FIX)
    yield Check("mlflow", not found or fix, told if found else "no run without a process")


def flow_runs(home: Path, fix: bool) -> Iterator[Check]:
    """The same of Prefect's embedded database; a Prefect server elsewhere sees to its own."""
    if os.environ.get("PREFECT_API_URL"):
        return
    found = stale_flow_runs.close(home) if fix else list(stale_flow_runs.orphans(home).values())
    told = f"RUNNING without a process: {', '.join(found)}; " + ("closed" if fix else HOW_TO_FIX)
    yield Check("prefect", not found or fix, told if found else "no flow run without a process")


def runs(home: Path) -> Iterator[Check]:
    """Folders of runs in which nobody has worked for a while, and that did not end."""
    half = []
    for folder in sorted((home / "runs").glob("*/")):
        ends = [
            "comparison.json",
            f"{ENDED}.json",
            *([] if (folder / f"{BEGUN}.json").is_file() else ["report/report.json"]),
        ]
        if not (folder / "study.json").is_file() or any((folder / end).is_file() for end in ends):
            continue
        touched = max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
        if abs(time.time() - touched) > ALIVE_SECONDS:  # less: most likely somebody is at it
            half.append(folder.name)
    yield Check("runs", not half, f"half-finished: {', '.join(half)}; {GOING_ON}" if half else "none half-finished")


def audited(home: Path) -> Iterator[Check]:
    """Whether the log of every model's steps is whole; MLflow is asked, too, where it answers."""
    from xmed.registry import audit_log

    if not home.is_dir():  # to look for a log would make the folder
        yield Check("audit", True, "no records yet")
        return
    if tracking_answers(home):
        from xmed.registry import verify_audit

        problems = verify_audit(home)
    else:
        problems = audit_log.verify(home)
    told = f"{len(problems)} problem(s), the first: {problems[0]}; `xmed audit verify` lists them" if problems else ""
    yield Check(
        "audit", not problems, told or f"{len(audit_log.records(home))} records, each continues the one before it"
    )


def versions(home: Path) -> Iterator[Check]:
    """Registered versions without a report: whoever registered them was killed before he said what they rest on."""
    if not tracking_answers(home):
        return
    from xmed.registry import has_artifacts
    from xmed.registry import versions as registered

    rows = registered(home)
    bare = [f"{row['name']} {row['version']}" for row in rows if not row.get("report_sha256")]
    told = f"without a report: {', '.join(bare)}; they have no alias: delete them, or run their study again"
    yield Check("models", not bare, told if bare else f"{len(rows)} versions, each with its report")
    lost = [f"{row['name']} {row['version']}" for row in rows if not has_artifacts(row["name"], row["version"], home)]
    told = f"nothing can be read of {', '.join(lost)}: bring {home / 'mlartifacts'} back from a backup"
    yield Check("artifacts", not lost, told if lost else "of each version one was opened")


def quarantine(home: Path) -> Iterator[Check]:
    """What was refused, by dataset and code. No fault of the installation, but somebody should know."""
    found: dict[str, Counter[str]] = {}
    for path in sorted((home / "quarantine").glob("*/*.json")):
        try:
            code = str(mapping(read_json(path), path.name)["code"])
        except (XmedError, KeyError):
            code = "unreadable"
        found.setdefault(path.parent.name, Counter())[code] += 1
    told = [f"{name}: " + ", ".join(f"{n} {code}" for code, n in codes.most_common()) for name, codes in found.items()]
    yield Check("quarantine", True, "; ".join(told) or "nothing")
