"""Remeasure: the rows of a run once more, from the predictions that were kept and the truth that ingest stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xmed.cohort import Case, Cohort, load
from xmed.cohort.store import Store
from xmed.evaluate.evaluate_run import LABELS, Bench, kept_name, known_source
from xmed.evaluate.reference import Truth
from xmed.evaluate.trivial_baselines import Baselines
from xmed.files import documents
from xmed.records.data_summary import DataSummary
from xmed.records.evaluation import CaseRow, CaseRows, MetricConventions
from xmed.records.provenance import ValidatedModel
from xmed.records.record import content
from xmed.run import TRIVIAL_ARMS, Arm, Run

EXACT = 1e-9
LATER = ("voxels", "reference_voxels")
"""What rows of version 0.1.0 lack."""
Key = tuple[str, int | None, str, str]
"""Arm, seed, case, structure: what tells one row from another."""


def remeasure(run: Run, home: Path) -> list[str]:
    """Where rows.json differs from what kept predictions and trivial rules measure against the stored truth.

    This is what finds numbers that were edited, masks that were swapped between patients or flipped, and cases that
    were left out, with every digest made to fit. Which cases there are, and their labels, the store says, not the run.
    Raises XmedError PATH_NOT_FOUND where the store no longer has the test data.
    """
    target = load(run.study.target, home)
    bench = Bench.of(run, target)
    rows = {_key(row): row for row in run.read(CaseRows).root}
    problems = [*_unlike(run, target, bench), *_twice(run), *damaged(bench.cases, home)]
    wanted: set[Key] = set()
    baselines = _baselines(run, target, bench, home)
    if baselines is None and any(arm in TRIVIAL_ARMS for arm, *_ in rows):
        problems.append("trivial baselines: the source is not in the store, so they cannot be measured again")
        wanted |= {key for key in rows if key[0] in TRIVIAL_ARMS}
    for case in bench.cases:
        against = bench.truth(case)
        for key, fresh in [*_drawn(run, case, against), *_trivial(baselines, target, case, against)]:
            wanted.add(key)
            written = rows.get(key)
            if written is None:
                problems.append(f"{_said(key)}: no row")
            elif fresh is not None:
                problems += _against(written, fresh)
            elif written.status != "error":
                problems.append(f"{_said(key[:3])}: the prediction is gone")
    problems += [f"{_said(key)}: a row of nothing that was judged" for key in rows if key not in wanted]
    return list(dict.fromkeys(problems))


def damaged(cases: list[Case], home: Path) -> list[str]:
    """Test cases whose image or label in the store is not the one that was ingested."""
    store = Store(home)
    return [
        f"{case.id}: its {what} in the store is not the one that was ingested"
        for case in cases
        for what, key in (("image", case.image), ("label", case.label))
        if key and not store.intact(key)
    ]


def _unlike(run: Run, target: Cohort, bench: Bench) -> Iterator[str]:
    """Where the run says something else of its data and its ruler than the store and the study do."""
    if run.has(DataSummary) and run.read(DataSummary).target.fingerprint != target.fingerprint:
        yield f"data: {target.spec.name} in the store is not the data that the run was judged on"
    ruler = {"nsd_tolerance_mm": bench.tolerance_mm, "spacing_credible": target.spec.spacing_credible}
    written: dict[str, Any] = content(run.read(MetricConventions)) if run.has(MetricConventions) else {}
    for name, value in ruler.items():
        if not _same(written.get(name), value):
            yield f"metrics: {name} is {written.get(name)}, and {value} by the data"
    there = set(run.arms())
    for arm in (Arm.ADAPTED,) if run.has(ValidatedModel) else (Arm.SOURCE_ONLY, Arm.ADAPTED):
        yield from (f"{arm}, seed {seed}: there is no training" for seed in run.study.seeds if (arm, seed) not in there)


def _twice(run: Run) -> list[str]:
    seen = Counter(_key(row) for row in run.read(CaseRows).root)
    return [f"{_said(key)}: {count} rows" for key, count in seen.items() if count > 1]


def _drawn(run: Run, case: Case, against: Truth) -> Iterator[tuple[Key, dict[str, Any] | None]]:
    """The rows of every trained arm, measured from its kept label map; None where that is gone."""
    for arm, seed in run.arms():
        label = kept(run.arm(arm, seed) / LABELS, kept_name(case))
        if label is not None and label.shape != against.reference.array.shape:
            label = None
        for value in against.values:
            key = arm, seed, case.id, against.structures[value - 1]
            yield key, None if label is None else against.row(arm, seed, value, label)


def _baselines(run: Run, target: Cohort, bench: Bench, home: Path) -> Baselines | None:
    source = known_source(run.study, home)
    return Baselines.of(run.study, source, target, bench.cases) if source else None


def _trivial(
    baselines: Baselines | None, target: Cohort, case: Case, against: Truth
) -> Iterator[tuple[Key, dict[str, Any] | None]]:
    """The rows of the trivial arms, whose rules are chosen again."""
    for arm, value, rule, label in baselines.of_case(case, target.image(case)) if baselines else ():
        yield (
            (arm, None, case.id, against.structures[value - 1]),
            {**against.row(arm, None, value, label), "rule": rule},
        )


def kept(path: Path, name: str) -> np.ndarray | None:
    """One array of an .npz; None where it is not there."""
    if not path.is_file():
        return None
    with (
        documents.guarded(str(path), "DOCUMENT_INVALID", "arrays as numpy writes them"),
        np.load(path, allow_pickle=False) as file,
    ):
        return np.asarray(file[name]) if name in file else None


def _key(row: CaseRow) -> Key:
    return row.arm, row.seed, row.case, row.structure


def _said(key: tuple[Any, ...]) -> str:
    arm, seed, *rest = key
    return ", ".join([arm, *([] if seed is None else [f"seed {seed}"]), *rest])


def _against(row: CaseRow, fresh: dict[str, Any]) -> list[str]:
    written = content(row)
    return [
        f"{_said(_key(row))}: {key} is {written.get(key)} in rows.json, and {value} when it is measured again"
        for key, value in fresh.items()
        if (key in written or key not in LATER) and not _same(written.get(key), value)
    ]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= EXACT * max(1.0, abs(a), abs(b))
    return bool(a == b)
