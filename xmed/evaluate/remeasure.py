"""Remeasure: the rows of a run once more, from the predictions that were kept and the truth that ingest stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xmed.cohort import load
from xmed.evaluate.judge import LABELS, Bench, kept_name
from xmed.run import Run

EXACT = 1e-9
LATER = ("voxels", "reference_voxels")
"""What rows of version 0.1.0 lack."""


def remeasure(run: Run, home: Path) -> list[str]:
    """Where rows.json differs from what the kept predictions measure against the stored truth; empty when nowhere.

    This is what finds masks that were swapped between patients or flipped, with every digest made to fit.
    Raises XmedError PATH_NOT_FOUND where the store no longer has the test data.
    """
    rows = {(r["arm"], r["seed"], r["case"], r["structure"]): r for r in run.read("rows")}
    bench = Bench.of(run, load(run.study.target, home))
    problems: list[str] = []
    for case in bench.cases:
        against = bench.truth(case)
        for arm, seed in run.arms():
            label = _kept(run.arm(arm, seed) / LABELS, kept_name(case))
            for value in against.values:
                written = rows.get((arm, seed, case.id, bench.study.structures[value - 1]))
                if written is None:
                    problems.append(f"{arm}, seed {seed}, {case.id}: no row")
                elif label is None and written["status"] != "error":
                    problems.append(f"{arm}, seed {seed}, {case.id}: the prediction is gone")
                elif label is not None:
                    problems += _against(written, against.row(arm, seed, value, label))
    return problems


def _kept(path: Path, name: str) -> np.ndarray | None:
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as file:
        return np.asarray(file[name]) if name in file else None


def _against(written: dict[str, Any], fresh: dict[str, Any]) -> list[str]:
    where = f"{written['arm']}, seed {written['seed']}, {written['case']}, {written['structure']}"
    return [
        f"{where}: {key} is {written.get(key)} in rows.json, and {value} when it is measured again"
        for key, value in fresh.items()
        if (key in written or key not in LATER) and not _same(written.get(key), value)
    ]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= EXACT * max(1.0, abs(a), abs(b))
    return bool(a == b)
