"""Costs: what one imaging study, one prediction and one adaptation run take in time, disk and database rows.

    python benchmarks/overhead.py WORK                                    # leaves a home with one finished run
    python benchmarks/costs.py WORK --home WORK/embedded/home [--series 100]

Imaging studies are generated DICOM series of 16 slices of 256 × 256 (benchmarks/ingest.py), read in guarded processes
and written with fsync, then asked for again unchanged. Predictions are those of the run's adapted model on its target
cases, read from the store and written as NIfTI; loading the model is not counted. Of the run, seconds are from its
environment.json, rows and bytes those of the home's databases and folders, which hold nothing else. What 10, 1,000 and
100,000 cost is the unit times that number: seconds with as many cores as here, nothing shared between units. An index
grows with its table, so a look-up among 100,000 costs more than among 100, by the logarithm; that is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from ingest import EDGE, SLICES, generate

from xmed import cohort
from xmed.cohort.store import Store
from xmed.io import write_nifti
from xmed.model.prediction import Model, predict
from xmed.run import Run
from xmed.spec import DatasetSpec

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
COUNTS = (10, 1_000, 100_000)
Unit = dict[str, float]
"""seconds, bytes and files on disk, rows of databases: of one."""


def size(folder: Path) -> tuple[int, int]:
    """Bytes that the files below a folder, or a file, take on the disk, in whole blocks, and their number."""
    files = [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_blocks * 512 for path in files), len(files)


def rows(database: Path) -> int:
    """Of all tables of an SQLite file."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as opened:
        tables = opened.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'")
        return sum(opened.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in tables.fetchall())


def ingested(work: Path, count: int) -> dict[str, Unit]:
    """One series, read for the first time and asked for again."""
    root, home = work / "series", work / "ingest-home"
    shutil.rmtree(home, ignore_errors=True)
    generate(root, count)
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))[:count]
    spec = DatasetSpec.model_validate(
        {
            "name": "costs", "modality": "MR", "root": str(root), "layout": {"image": "{case}"},
            "labels": {1: {"name": "none"}}, "splits": {"train": names},
        }
    )  # fmt: skip
    seconds = []
    for _ in range(2):
        began = time.monotonic()
        cohort.ingest_cases(spec, home)
        seconds.append((time.monotonic() - began) / count)
    (taken, files), entries = size(home), rows(home / "store" / "index.db")
    first = {"seconds": seconds[0], "bytes": taken / count, "files": files / count, "rows": entries / count}
    return {"imaging study, read and stored": first, "the same, unchanged": {"seconds": seconds[1]}}


def predicted(work: Path, home: Path, run: Run) -> dict[str, Unit]:
    """One prediction on the scanner's grid, as NIfTI."""
    target, store = cohort.load_cohort(run.study.target, home), Store(home)
    model, out = Model.load(run.arm("adapted", run.study.seeds[0]) / "model"), work / "prediction.nii.gz"
    seconds, taken = [], []
    for case in target.split("test"):
        volume = store.get(str(case.image))
        began = time.monotonic()
        write_nifti(predict(model, volume), out)
        seconds.append(time.monotonic() - began)
        taken.append(size(out)[0])
    middle = sorted(seconds)[len(seconds) // 2]
    return {"prediction": {"seconds": middle, "bytes": sum(taken) / len(taken), "files": 1.0}}


def trained(home: Path, run: Run) -> dict[str, Unit]:
    """One run of the study: its folder, what MLflow and Prefect keep of it."""
    when = run.read("environment")
    seconds = (datetime.fromisoformat(when["finished"]) - datetime.fromisoformat(when["started"])).total_seconds()
    units: dict[str, Unit] = {}
    for name, places, databases in (
        ("adaptation run, its folder", [run.folder], []),
        ("adaptation run, in MLflow", [home / "mlartifacts", home / "mlflow.db"], [home / "mlflow.db"]),
        ("adaptation run, in Prefect", [home / "prefect" / "prefect.db"], [home / "prefect" / "prefect.db"]),
    ):
        taken = [size(place) for place in places if place.exists()]
        units[name] = {
            "bytes": sum(one[0] for one in taken), "files": sum(one[1] for one in taken),
            "rows": sum(rows(path) for path in databases if path.exists()),
        }  # fmt: skip
    units["adaptation run, its folder"]["seconds"] = seconds
    return units


def duration(seconds: float) -> str:
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.2f} s"


def amount(count: float) -> str:
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{count / length:,.1f} {unit}"
    return f"{count:.0f} B"


SAID = {"seconds": duration, "bytes": amount, "files": "{:,.0f}".format, "rows": "{:,.0f}".format}


def table(found: dict[str, Any]) -> str:
    """Units and what many of them come to, as Markdown."""
    lines = [
        "# What 10, 1,000 and 100,000 cost", "",
        f"{found['machine']}; {found['series']} series of {SLICES} slices of {EDGE} × {EDGE}; a run of `{found['study']}` "
        f"with {found['steps']} steps. How, says `benchmarks/costs.py`.", "",
        "| unit | of | one | " + " | ".join(f"{count:,}" for count in COUNTS) + " |", "|---" * (3 + len(COUNTS)) + "|",
    ]  # fmt: skip
    for name, unit in found["units"].items():
        for kind, say in SAID.items():
            if unit.get(kind):
                one = f"{unit[kind]:.1f}" if kind in ("files", "rows") else say(unit[kind])
                many = " | ".join(say(unit[kind] * count) for count in COUNTS)
                lines.append(f"| {name} | {kind} | {one} | {many} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--home", type=Path, required=True, help="which holds one finished run and nothing else")
    parser.add_argument("--series", type=int, default=100)
    parser.add_argument("--out", type=Path, default=BENCHMARKS)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    home = asked.home.absolute()
    runs = [Run(path.parent) for path in (home / "runs").glob("*/ended.json")]
    if len(runs) != 1:
        sys.exit(f"{home} holds {len(runs)} finished runs, not one")
    units = ingested(asked.work, asked.series) | predicted(asked.work, home, runs[0]) | trained(home, runs[0])
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[1]:.1f}"
    study = runs[0].study
    found = {
        "machine": machine,
        "series": asked.series,
        "study": study.name,
        "steps": study.budget.steps,
        "units": units,
    }
    (asked.out / "costs.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (asked.out / "costs.md").write_text(table(found), encoding="utf-8")
    sys.stdout.write(table(found))


if __name__ == "__main__":
    main()
