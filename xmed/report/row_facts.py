"""Row facts: what follows from a row of rows.json, from all of them, and from those of one test case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from xmed.records.evaluation import CaseRow
from xmed.records.report_cases import CaseMeans, ReportCase
from xmed.run import TRAINED_ARMS

FAILURE = "no prediction, an error, an empty prediction, or not a single voxel in common with the truth (Dice 0)"
METRICS = ("dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "volume_ml", "volume_error_ml")
"""Metrics of the results table, in its order."""
SEVERITY = ("ok", "empty_prediction", "missing", "error")
"""Status of a prediction, from good to bad."""


def value(row: CaseRow, metric: str) -> float | None:
    """Return one number of a row.

    Args:
        row: The row.
        metric: Key of the row, or volume_error_ml: predicted minus reference volume, ml.

    Returns:
        The number in the metric's unit, None where it is not defined.
    """
    if metric != "volume_error_ml":
        number: float | None = getattr(row, metric)
        return number
    predicted, reference = row.volume_ml, row.reference_volume_ml
    return None if predicted is None or reference is None else predicted - reference


def absent(row: CaseRow) -> bool:
    """Tell whether the reference of a row lacks the structure.

    Args:
        row: The row.

    Returns:
        Whether the reference is known to have no voxel of it.
    """
    empty = row.reference_empty
    return bool(empty) if empty is not None else row.reference_volume_ml == 0


def invented(row: CaseRow) -> bool:
    """Tell whether a prediction has a structure that its reference lacks.

    Args:
        row: The row of the prediction.

    Returns:
        Whether that is so.
    """
    return bool(row.status == "ok" and absent(row) and (row.components or row.volume_ml))


def failed(row: CaseRow) -> bool:
    """Tell whether a row is a failure as FAILURE defines it.

    Args:
        row: The row of a prediction.

    Returns:
        Whether the prediction is missing, an error, empty, or has no voxel in common with the reference.
    """
    return bool(row.status != "ok" or row.dice == 0)


def unsupported(rows: Iterable[CaseRow]) -> frozenset[str]:
    """Find the structures that no reference has.

    Args:
        rows: The rows of every arm and case.

    Returns:
        The structures whose reference is known in every case that has a row, and empty in all of them.
    """
    absent_in: dict[str, dict[str, bool]] = defaultdict(dict)
    for row in rows:
        if row.reference_empty is not None or row.reference_volume_ml is not None:
            absent_in[row.structure][row.case] = absent(row)
        else:
            absent_in[row.structure].setdefault(row.case, False)
    return frozenset(structure for structure, cases in absent_in.items() if all(cases.values()))


def case_entries(rows: Iterable[CaseRow], structures: Sequence[str]) -> list[ReportCase]:
    """Gather the rows of each case.

    Args:
        rows: The completed rows of every arm.
        structures: The study's structures.

    Returns:
        One entry per case in the order of the rows, without id and anchor.
    """
    by_case: dict[tuple[str, str], list[CaseRow]] = defaultdict(list)
    for row in rows:
        by_case[row.case, row.patient].append(row)
    return [_entry(case, patient, of_case, structures) for (case, patient), of_case in by_case.items()]


def _entry(case: str, patient: str, rows: list[CaseRow], structures: Sequence[str]) -> ReportCase:
    arms: dict[str, dict[str, CaseMeans]] = {}
    for arm in dict.fromkeys(row.arm for row in rows):
        arms[arm] = {}
        for structure in structures:
            of_structure = [row for row in rows if row.arm == arm and row.structure == structure]
            if of_structure:
                arms[arm][structure] = _means(of_structure)
    adapted = [row for row in rows if row.arm == "adapted"]
    by_structure = {s: [row for row in adapted if row.structure == s] for s in structures}
    return ReportCase(
        case=case,
        patient=patient,
        status=max([row.status for row in adapted] or ["missing"], key=SEVERITY.index),
        metrics=arms.get("adapted", {}),
        arms={arm: arms[arm] for arm in sorted(arms, key=_arm_order)},
        confidence={s: _mean(row.confidence for row in of_s) for s, of_s in by_structure.items()},
        seeds={s: {str(row.seed): row.dice for row in of_s} for s, of_s in by_structure.items()},
        prediction_sha256={str(row.seed): row.prediction_sha256 for row in adapted},
        reference_sha256=next((row.reference_sha256 for row in rows if row.reference_sha256), None),
    )


def _means(rows: list[CaseRow]) -> CaseMeans:
    means = {
        metric: _mean(value(row, metric) for row in rows) for metric in (*METRICS, "reference_volume_ml", "components")
    }
    reasons = sorted({row.reason for row in rows if row.reason})
    return CaseMeans.model_validate(
        {**means, "failed": any(failed(row) for row in rows), "reason": "; ".join(reasons) or None}
    )


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [number for number in values if number is not None]
    return float(np.mean(defined)) if defined else None


def _arm_order(arm: str) -> tuple[int, str]:
    return (TRAINED_ARMS.index(arm) if arm in TRAINED_ARMS else len(TRAINED_ARMS), arm)
