"""Corpus table: every row of the bad-input table through xmed and the readers people use, on the same files.

    pip install --target FOLDER --no-deps dicom2nifti          # optional: its column is left out without it
    PYTHONPATH=tests:FOLDER python benchmarks/corpus_table.py

Each reader works in a guarded process that may take 2 GiB beside what it has after its imports, and 60 s. Stopped:
an error a program can catch. Taken: a volume came out of files that must be stopped, or that hold several. Other: a
volume that differs from xmed's in a voxel, in a millimetre of place, or in shape, where xmed's is tested against the
values that were written. Died: killed, out of memory, or never done. Results: reports/benchmarks/corpus.*
"""

import json
import platform
import tempfile
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from run_table import BENCHMARKS
from stock import READERS, look

from support.corpus import Row, rows
from support.corpus.judge import ingested, inspected, meets
from xmed import __version__
from xmed.errors import XmedError
from xmed.io.notes import collect_notes
from xmed.io.sandbox.limits import ReaderBudget
from xmed.io.sandbox.worker import run_in_sandbox_within
from xmed.processes.processor import cpu

BUDGET = ReaderBudget(memory=2 << 30, computing=60, waiting=60)
PACKAGES = ("monai", "simpleitk", "dicom2nifti", "pydicom", "nibabel", "numpy")


def ours(row: Row) -> dict[str, Any]:
    """What xmed answers, in inspect and in ingest, and whether the row asks for it."""
    with tempfile.TemporaryDirectory() as folder:
        looked = None if row.label else inspected(row, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        read, neighbour = ingested(row, Path(folder))
    several = row.volumes > 1 and read.volumes == 0 and bool(read.codes)
    met = (meets(row, read) or several) and (looked is None or meets(row, looked)) and neighbour.volumes == 1
    said = sorted({*read.codes, *read.notes, *(looked.notes if looked else ())})
    return {"met": met, "said": said, "volumes": looked.volumes if looked else read.volumes}


def theirs(row: Row, name: str) -> dict[str, Any]:
    """What another reader does with the same files. None of them is asked about a label: they know no pairs."""
    if row.label:
        return {"verdict": "knows no labels"}
    readable = row.outcome in ("fixed", "ok") and row.volumes == 1
    with tempfile.TemporaryDirectory() as folder:
        path = row.make(Path(folder)) or Path(folder)
        try:
            with collect_notes():
                found = run_in_sandbox_within(BUDGET, look, name, path, row.modality, readable)
        except XmedError as problem:
            return {"verdict": "died", "why": problem.code}
    if "skipped" in found:
        return {"verdict": "not its format"}
    if "error" in found:
        died = found["error"] in ("MemoryError", "RecursionError")
        return {"verdict": "died" if died else "stopped", "why": found["error"]}
    if not readable:
        return {"verdict": "taken", **found}
    return {"verdict": "read" if found.get("same", True) else "other", **found}


def cell(found: dict[str, Any]) -> str:
    words = [f"**{found['verdict']}**" if found["verdict"] in ("taken", "other", "died") else found["verdict"]]
    words += [found["why"]] if "why" in found else []
    words += ["×".join(map(str, found["shape"]))] if "shape" in found else []
    words += [f"{found['peak_mb']} MB"] if found.get("peak_mb", 0) > 500 else []
    return " ".join(words)


def table(document: dict[str, Any]) -> str:
    names = document["readers"]
    lines = [f"| row | input | required | xmed | {' | '.join(names)} |", "|" + "---|" * (4 + len(names))]
    for row in document["rows"]:
        mark = "✓" if row["xmed"]["met"] else "✗"
        volumes = f"{row['xmed']['volumes']} volumes " if row["xmed"]["volumes"] > 1 else ""
        said = ", ".join(f"`{code}`" for code in row["xmed"]["said"])
        others = " | ".join(cell(row[name]) for name in names)
        lines.append(f"| {row['number']} | {row['what']} | {row['outcome']} | {mark} {volumes}{said} | {others} |")
    return "\n".join(lines)


def counts(document: dict[str, Any]) -> str:
    """For each reader: of the files that must be stopped or split, and of those that can be read."""
    stop = [row for row in document["rows"] if row["outcome"] in ("error", "quarantine") or row["volumes"] > 1]
    read = [row for row in document["rows"] if row not in stop]
    lines = [
        f"| reader | of {len(stop)} to be stopped or split: taken silently | stopped | died "
        f"| of {len(read)} to be read: the right volume | another volume | refused | died |",
        "|---|---|---|---|---|---|---|---|",
        f"| xmed | {sum(row['xmed']['volumes'] > 0 for row in stop if row['volumes'] == 1)} "
        f"| {sum(row['xmed']['met'] for row in stop)} | 0 | {sum(row['xmed']['met'] for row in read)} | 0 "
        f"| {sum(row['xmed']['volumes'] == 0 for row in read)} | 0 |",
    ]
    for name in document["readers"]:
        first, second = (Counter(row[name]["verdict"] for row in part) for part in (stop, read))
        lines.append(
            f"| {name} | {first['taken']} | {first['stopped']} | {first['died']} "
            f"| {second['read']} | {second['other']} | {second['stopped']} | {second['died']} |"
        )
    return "\n".join(lines)


def packages() -> dict[str, str]:
    found = {"xmed": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write(document: dict[str, Any]) -> None:
    """Write the table and what it was made from."""
    numbers = {row["number"] for row in document["rows"]}
    met = {n for n in numbers if all(row["xmed"]["met"] for row in document["rows"] if row["number"] == n)}
    about = " ".join(f"Each reader {(__doc__ or '').split('Each reader', 1)[1]}".split())
    machine = ", ".join(f"{key} {value}" for key, value in document["machine"].items())
    text = (
        f"# The bad-input table: {len(met)} of {len(numbers)} rows met, {len(document['rows'])} files or folders\n\n"
        f"{about}\n\n{counts(document)}\n\n{table(document)}\n\n{machine}\n"
    )
    (BENCHMARKS / "corpus.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (BENCHMARKS / "corpus.md").write_text(text, encoding="utf-8")


def main() -> None:
    """Ask everybody about every row, and write the table."""
    names = list(READERS)
    document: dict[str, Any] = {
        "machine": {"cpu": cpu(), "python": platform.python_version(), **packages()},
        "limits": {"memory_bytes": BUDGET.memory, "seconds": BUDGET.computing},
        "readers": names,
        "rows": [],
    }
    for row in rows():
        facts = {"number": row.number, "name": row.make.__name__, "what": row.what, "outcome": row.outcome}
        facts |= {"codes": list(row.codes), "volumes": row.volumes, "xmed": ours(row)}
        document["rows"].append({**facts, **{name: theirs(row, name) for name in names}})
        print(row.name, document["rows"][-1]["xmed"], *(cell(document["rows"][-1][name]) for name in names))  # noqa: T201
    write(document)


if __name__ == "__main__":
    main()
