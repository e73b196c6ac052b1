"""Case entries: the rows of each test case as one entry of the document, with means over seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from xmed.records.evaluation import CaseRow
from xmed.records.report_cases import CaseMeans, ReportCase
from xmed.report.row_facts import failed, value
from xmed.run import TRAINED_ARMS

METRICS = ("dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "volume_ml", "volume_error_ml")
"""Metrics of the results table, in its order."""
SEVERITY = ("ok", "empty_prediction", "missing", "error")
"""Status of a prediction, from good to bad."""


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
