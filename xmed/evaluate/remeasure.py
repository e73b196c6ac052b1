"""Compute the rows of a run again, from the predictions that were kept and the references that ingest stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xmed.cohort import Case, Cohort, load_cohort
from xmed.cohort.store import Store
from xmed.errors import XmedError
from xmed.evaluate.evaluate_run import LABELS, ArmEvaluator, kept_name, known_source
from xmed.evaluate.reference import ReferenceCase
from xmed.evaluate.trivial_baselines import Baselines
from xmed.files import documents
from xmed.records.data_summary import DataSummary
from xmed.records.evaluation import CaseRow, CaseRows, MetricConventions
from xmed.records.provenance import ValidatedModel
from xmed.records.record import content
from xmed.run import TRIVIAL_ARMS, Arm, Run

EXACT = 1e-9
"""Largest relative difference of two numbers that count as equal."""
LATER = ("voxels", "reference_voxels")
"""Keys that rows of version 0.1.0 lack."""
Key = tuple[str, int | None, str, str]
"""(arm, seed, case, structure), which identifies a row."""


def remeasure(run: Run, home: Path) -> list[str]:
    """Compare rows.json with what the kept predictions and the trivial rules give against the stored references.

    This detects numbers that were edited, masks that were swapped between patients or flipped, and cases that were left
    out, even if every digest was made to fit. The store, not the run, decides which cases there are and what their
    labels are.

    Args:
        run: The run.
        home: Home folder with the store.

    Returns:
        One line per difference; empty where there is none.

    Raises:
        XmedError: PATH_NOT_FOUND where the store no longer has the test data.
    """
    target = load_cohort(run.study.target, home)
    bench = ArmEvaluator.of(run, target)
    rows = {_key(row): row for row in run.read(CaseRows).root}
    problems = [*_unlike(run, target, bench), *_twice(run), *damaged(bench.cases, home)]
    expected: set[Key] = set()
    baselines = _baselines(run, target, bench, home)
    if baselines is None and any(arm in TRIVIAL_ARMS for arm, *_ in rows):
        problems.append("trivial baselines: the source is not in the store, so they cannot be measured again")
        expected |= {key for key in rows if key[0] in TRIVIAL_ARMS}
    for case in bench.cases:
        against = bench.reference(case)
        for key, fresh in [*_drawn(run, case, against), *_trivial(baselines, target, case, against)]:
            expected.add(key)
            written = rows.get(key)
            if written is None:
                problems.append(f"{_row_name(key)}: no row")
            elif fresh is not None:
                problems += _against(written, fresh)
            elif written.status != "error":
                problems.append(f"{_row_name(key[:3])}: the prediction is gone")
    problems += [f"{_row_name(key)}: a row of nothing that was judged" for key in rows if key not in expected]
    return list(dict.fromkeys(problems))


def damaged(cases: list[Case], home: Path) -> list[str]:
    """Return test cases whose image or label in the store is not the one that was ingested."""
    store = Store(home)
    return [
        f"{case.id}: its {what} in the store is not the one that was ingested"
        for case in cases
        for what, key in (("image", case.image), ("label", case.label))
        if key and not (store.intact(key) or _is_whole_without_seal(store, key))
    ]


def _is_whole_without_seal(store: Store, key: str) -> bool:
    """Whether an entry was written by version 0.1.0, which sealed none, and its voxels still have their digest."""
    try:
        store.get(key)
        return store.meta(key).seal is None
    except XmedError:
        return False


def _unlike(run: Run, target: Cohort, bench: ArmEvaluator) -> Iterator[str]:
    """Yield where the run's data and settings of the metrics are not those of the store and the study."""
    if run.has(DataSummary) and run.read(DataSummary).target.fingerprint != target.fingerprint:
        yield f"data: {target.spec.name} in the store is not the data that the run was judged on"
    ruler = {"nsd_tolerance_mm": bench.tolerance_mm, "spacing_credible": target.spec.spacing_credible}
    written: dict[str, Any] = content(run.read(MetricConventions)) if run.has(MetricConventions) else {}
    for name, value in ruler.items():
        if not _same(written.get(name), value):
            yield f"metrics: {name} is {written.get(name)}, and {value} by the data"
    trained = set(run.arms())
    for arm in (Arm.ADAPTED,) if run.has(ValidatedModel) else (Arm.SOURCE_ONLY, Arm.ADAPTED):
        yield from (
            f"{arm}, seed {seed}: there is no training" for seed in run.study.seeds if (arm, seed) not in trained
        )


def _twice(run: Run) -> list[str]:
    seen = Counter(_key(row) for row in run.read(CaseRows).root)
    return [f"{_row_name(key)}: {count} rows" for key, count in seen.items() if count > 1]


def _drawn(run: Run, case: Case, against: ReferenceCase) -> Iterator[tuple[Key, dict[str, Any] | None]]:
    """Yield the rows of every trained arm, computed from its kept label map; None where that is gone."""
    for arm, seed in run.arms():
        label = kept(run.arm(arm, seed) / LABELS, kept_name(case))
        if label is not None and label.shape != against.reference.array.shape:
            label = None
        for value in against.values:
            key = arm, seed, case.id, against.structures[value - 1]
            yield key, None if label is None else against.row(arm, seed, value, label)


def _baselines(run: Run, target: Cohort, bench: ArmEvaluator, home: Path) -> Baselines | None:
    source = known_source(run.study, home)
    return Baselines.of(run.study, source, target, bench.cases) if source else None


def _trivial(
    baselines: Baselines | None, target: Cohort, case: Case, against: ReferenceCase
) -> Iterator[tuple[Key, dict[str, Any] | None]]:
    """Yield the rows of the trivial arms, whose rules are chosen again."""
    for arm, value, rule, label in baselines.of_case(case, target.image(case)) if baselines else ():
        yield (
            (arm, None, case.id, against.structures[value - 1]),
            {**against.row(arm, None, value, label), "rule": rule},
        )


def kept(path: Path, name: str) -> np.ndarray | None:
    """Return one array of an .npz file; None where it is not there."""
    if not path.is_file():
        return None
    with (
        documents.guarded(str(path), "DOCUMENT_INVALID", "arrays as numpy writes them"),
        np.load(path, allow_pickle=False) as file,
    ):
        return np.asarray(file[name]) if name in file else None


def _key(row: CaseRow) -> Key:
    return row.arm, row.seed, row.case, row.structure


def _row_name(key: tuple[Any, ...]) -> str:
    arm, seed, *rest = key
    return ", ".join([arm, *([] if seed is None else [f"seed {seed}"]), *rest])


def _against(row: CaseRow, fresh: dict[str, Any]) -> list[str]:
    written = content(row)
    return [
        f"{_row_name(_key(row))}: {key} is {written.get(key)} in rows.json, and {value} when it is measured again"
        for key, value in fresh.items()
        if (key in written or key not in LATER) and not _same(written.get(key), value)
    ]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= EXACT * max(1.0, abs(a), abs(b))
    return bool(a == b)
