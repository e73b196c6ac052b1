"""Writers: 200 at once register models in one registry, and what is lost or doubled on the way.

PYTHONPATH=tests python benchmarks/writers.py [--writers 200] [--stores sqlite,postgresql]

Half as many runs as writers: every run is registered by two writers at the same time, who must agree on one version.
Writers are threads of eight processes that begin together. `homes` is 1 where all share a home and the name of a model,
as on one machine, and 8 where each process has a home and a name of its own and only the registry is shared. PostgreSQL
is that of `xmed up`, behind MLflow's server. Runs are real in form, with three numbers for weights (tests/support/registrable_runs.py);
xmed's own source, 200 files, is left out of the packages: to upload it would take most of the time and says nothing about
writers. Lost: versions and MLflow runs that should be there; doubled: those, and audit records, that are there once more.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from support.forked_process import FORK
from support.registrable_runs import STUDY, FakeModel, finished

sys.modules["xmed.model.prediction"] = SimpleNamespace(Model=FakeModel)  # type: ignore[assignment]

from xmed import registry  # noqa: E402
from xmed.registry import audit_log, package  # noqa: E402
from xmed.registry.tracking_store import client  # noqa: E402
from xmed.run import Run  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "reports" / "benchmarks"
PROCESSES = 8


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_", "XMED_"))}
    return kept | {"XMED_HOME": str(home), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


def xmed(home: Path, *words: str) -> Any:
    command = [sys.executable, "-m", "xmed.cli.main", *words, "--json"]
    return json.loads(subprocess.run(command, env=environment(home), check=True, capture_output=True, text=True).stdout)


def runs(homes: list[Path], count: int) -> list[tuple[Path, Path]]:
    """Runs of one seed, each with weights of its own, dealt out to the homes; home and folder of each."""
    found = []
    for number in range(count):
        home = homes[number % len(homes)]
        one = STUDY.model_copy(update={"seeds": [0], "register_as": f"toy-of-{home.name}"})
        found.append((home, finished(home, one, shift=number).folder))
    return found


def shares(made: list[tuple[Path, Path]]) -> list[tuple[Path, list[Path]]]:
    """What each process registers: of a shared home the same as one other process does, else its own home's runs twice."""
    homes = list(dict.fromkeys(home for home, _ in made))
    if len(homes) > 1:
        return [(home, 2 * [folder for owner, folder in made if owner == home]) for home in homes]
    folders = [folder for _, folder in made]
    return [(homes[0], folders[number % (PROCESSES // 2) :: PROCESSES // 2]) for number in range(PROCESSES)]


def write(home: Path, folders: list[Path], ready: Any, answers: Any) -> None:
    """One process: a thread for each run, all let go by the last process that is ready."""

    def register(folder: Path) -> None:
        ready.wait()
        try:
            found = registry.register(Run(folder), home)
            answers.put((folder.name, found.version))
        except Exception as problem:
            answers.put((folder.name, f"{type(problem).__name__}: {problem}"))

    threads = [threading.Thread(target=register, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def at_once(made: list[tuple[Path, Path]]) -> tuple[float, list[tuple[str, Any]]]:
    """Register every run twice, all at once; seconds, and for each writer its run and version, or what went wrong."""
    answers, every = FORK.Queue(), 2 * len(made)
    ready = FORK.Barrier(every)
    processes = [FORK.Process(target=write, args=(home, mine, ready, answers)) for home, mine in shares(made)]
    began = time.perf_counter()
    for process in processes:
        process.start()
    found = [answers.get() for _ in range(every)]
    for process in processes:
        process.join()
    return time.perf_counter() - began, found


def counted(made: list[tuple[Path, Path]], said: list[tuple[str, Any]]) -> dict[str, Any]:
    """What the registry and the logs hold, against what they must."""
    homes = list(dict.fromkeys(home for home, _ in made))
    rows = registry.versions(homes[0])
    numbers: dict[str, list[int]] = {}
    for row in rows:
        numbers.setdefault(row.name, []).append(row.version)
    per_run = Counter(row.run for row in rows)
    mlflow = client(homes[0])
    place = mlflow.get_experiment_by_name("toy")
    logged = Counter(
        (one.data.tags["xmed.run"], one.data.tags.get("xmed.arm"))
        for one in mlflow.search_runs([place.experiment_id], max_results=5000)
    )
    failed = [f"{name}: {version}" for name, version in said if not isinstance(version, int)]
    answers = Counter(said)
    records = Counter(one.run for home in homes for one in audit_log.records(home) if one.event == "registered")
    names = {folder.name for _, folder in made}
    return {
        "runs": len(made),
        "failed": failed,
        "versions": len(rows),
        "lost": len(names - set(per_run)) + 3 * len(names) - len(logged),
        "doubled": sum(n - 1 for n in [*per_run.values(), *logged.values(), *records.values()]),
        "agreed": sum(n == 2 for n in answers.values()),
        "numbered": all(sorted(found) == list(range(1, len(found) + 1)) for found in numbers.values()),
        "mlflow_runs": sum(logged.values()),
        "records": sum(records.values()),
        "audit": [problem for home in homes for problem in registry.verify_audit(home)],
    }


def measured(store: str, shared: bool, count: int) -> dict[str, Any]:
    """One registry, empty before, and `count` writers."""
    folder = Path(tempfile.mkdtemp(prefix="xmed-writers-"))
    folder.chmod(0o755)  # PostgreSQL's account may have to enter it
    homes = [folder / "home"] if shared else [folder / f"home{number}" for number in range(PROCESSES)]
    stack = folder / "servers"
    package.xmed = SimpleNamespace(__file__=str(folder / "none" / "__init__.py"))  # type: ignore[attr-defined]
    (folder / "none").mkdir()
    (folder / "none" / "__init__.py").touch()
    try:
        if store == "postgresql":
            told = xmed(stack, "up", "--port", "0", "--mlflow-port", "0")["mlflow"]
            os.environ |= {"MLFLOW_TRACKING_URI": told["url"], "MLFLOW_TRACKING_USERNAME": told["user"]}
            os.environ["MLFLOW_TRACKING_PASSWORD"] = Path(told["password"]).read_text().strip()
        elif not shared:
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        opened = FORK.Process(target=registry.versions, args=(homes[0],))  # connections do not survive a fork
        made = runs(homes, count // 2)
        opened.start()
        opened.join()
        seconds, said = at_once(made)
        about = {"store": store, "homes": len(homes), "writers": count, "seconds": round(seconds)}
        return {**about, **counted(made, said)}
    finally:
        for name in ("URI", "USERNAME", "PASSWORD"):
            os.environ.pop(f"MLFLOW_TRACKING_{name}", None)
        if store == "postgresql":
            xmed(stack, "down")
        shutil.rmtree(folder)


def table(rows: list[dict[str, Any]]) -> str:
    head = (
        "| store | homes | writers | runs | failed | versions | lost | doubled | audit records | log whole | seconds |"
    )
    lines = ["# Writers at once", "", *(__doc__ or "").split("\n\n", 2)[2].strip().splitlines(), ""]
    lines += [
        "Made by `PYTHONPATH=tests python benchmarks/writers.py`.",
        "",
        head,
        "|---" * (head.count("|") - 1) + "|",
    ]
    for row in rows:
        facts = [row["store"], row["homes"], row["writers"], row["runs"], len(row["failed"]), row["versions"]]
        facts += [row["lost"], row["doubled"], row["records"], "no" if row["audit"] else "yes", row["seconds"]]
        lines.append("| " + " | ".join(str(fact) for fact in facts) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=200)
    parser.add_argument("--stores", default="sqlite,postgresql")
    parser.add_argument("--out", type=Path, default=BENCHMARKS)
    asked = parser.parse_args()
    rows = []
    for store in asked.stores.split(","):
        for shared in (True, False):
            rows.append(measured(store, shared, asked.writers))
            print(rows[-1], flush=True)  # noqa: T201
            (asked.out / "writers.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            (asked.out / "writers.md").write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
