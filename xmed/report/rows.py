"""Rows: what evaluation measured, completed by what it should have, averaged patient by patient."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmed import metrics, stats
from xmed.run import TRAINED_ARMS

Row = dict[str, Any]
METRICS = ("dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "volume_ml", "volume_error_ml")
RANGE = {"dice": (0.0, 1.0), "nsd": (0.0, 1.0), **dict.fromkeys(METRICS[2:6], (0.0, np.inf))}
"""What a metric can be: a t-interval of a few patients may reach beyond, and is cut there."""
SEVERITY = ("ok", "empty_prediction", "missing", "error")
FAILURE = "no prediction, an error, an empty prediction, or not a single voxel in common with the truth (Dice 0)"
NOT_PREDICTED = "no prediction stands in rows.json for this case"


@dataclass(frozen=True)
class Rows:
    """Every (arm, seed, case, structure) that should have been measured, each with a value or a reason."""

    rows: tuple[Row, ...]

    @classmethod
    def complete(
        cls,
        rows: Sequence[Row],
        arms: Iterable[tuple[str, int]],
        cases: Sequence[Row],
        structures: Sequence[str],
        mm: bool,
    ) -> Rows:
        """What was measured, and a failed row for each labelled test case that a trained arm says nothing about.

        A prediction that is not there scores Dice 0, as an empty one does: leaving it out would make the mean better.
        mm: whether spacing is credible, so that NSD exists at all.
        """
        worst: Row = {"dice": 0.0, "nsd": 0.0 if mm else None}
        out = [row if row["status"] == "ok" or row["dice"] is not None else {**row, **worst} for row in rows]
        known = {(row["arm"], row["seed"], row["case"], row["structure"]) for row in rows}
        for arm, seed in arms:
            for case in cases:
                for structure in structures:
                    if (arm, seed, case["case"], structure) not in known:
                        place = {"arm": arm, "seed": seed, "case": case["case"], "patient": case["patient"]}
                        empty = {"structure": structure, "status": "missing", "reason": NOT_PREDICTED, "components": 0}
                        out.append({**dict.fromkeys(METRICS), **place, **empty, **worst})
        return cls(tuple(out))

    def of(self, arm: str, structure: str) -> list[Row]:
        return [row for row in self.rows if row["arm"] == arm and row["structure"] == structure]

    def by_patient(self, arm: str, structure: str, metric: str) -> tuple[dict[str, float], float | None]:
        """Mean of each patient over cases, then seeds; and the standard deviation between the seeds' means."""
        values: dict[tuple[int, str], list[float]] = defaultdict(list)
        for row in self.of(arm, structure):
            found = value(row, metric)
            if found is not None:
                values[row["seed"] or 0, row["patient"]].append(found)
        if not values:
            return {}, None
        return stats.seeds_and_patients({key: float(np.mean(cases)) for key, cases in values.items()})

    def statistic(self, arm: str, structure: str, metric: str) -> Row:
        """{mean, ci, n, n_failed, ...} of one cell of the table; nulls come with a reason."""
        rows = self.of(arm, structure)
        by_patient, between_seeds = self.by_patient(arm, structure, metric)
        found = stats.mean_ci(list(by_patient.values()))
        least, most = RANGE.get(metric, (-np.inf, np.inf))
        undefined = [row for row in rows if value(row, metric) is None]
        reason = found.degenerate
        if found.mean is None and undefined:
            reason = Counter(row.get("reason", "not measured") for row in undefined).most_common(1)[0][0]
        low, high = (min(by_patient.values()), max(by_patient.values())) if by_patient else (None, None)
        return {
            "mean": found.mean,
            "ci": None if found.lo is None or found.hi is None else [max(found.lo, least), min(found.hi, most)],
            "n": found.n,
            "n_failed": len({row["case"] for row in rows if failed(row)}),
            "n_cases": len({row["case"] for row in rows}),
            "n_undefined": len({row["case"] for row in undefined}),
            "median": float(np.median(list(by_patient.values()))) if by_patient else None,
            "min": low,
            "max": high,
            "sd_between_seeds": between_seeds,
            "method": found.method,
            "reason": reason,
        }

    def cases(self, structures: Sequence[str], order: str) -> list[Row]:
        """One entry per case, means over seeds, worst first by the adapted arm's Dice of structure `order`."""
        grouped: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.rows:
            grouped[row["case"], row["patient"]].append(row)
        entries = [_entry(case, patient, rows, structures) for (case, patient), rows in grouped.items()]

        def badness(entry: Row) -> tuple[float, str]:
            dice = entry["metrics"].get(order, {}).get("dice")
            return (2.0 if dice is None else dice, entry["case"])

        return sorted(entries, key=badness)


def value(row: Row, metric: str) -> float | None:
    """One number of a row; volume_error_ml is predicted minus reference volume."""
    if metric != "volume_error_ml":
        return row.get(metric)
    found, truth = row.get("volume_ml"), row.get("reference_volume_ml")
    return None if found is None or truth is None else found - truth


def failed(row: Row) -> bool:
    """Whether a row is a failure in the sense of FAILURE."""
    return row["status"] != "ok" or row["dice"] == 0


def _entry(case: str, patient: str, rows: list[Row], structures: Sequence[str]) -> Row:
    arms: dict[str, Row] = {}
    for arm in dict.fromkeys(row["arm"] for row in rows):
        arms[arm] = {}
        for structure in structures:
            mine = [row for row in rows if row["arm"] == arm and row["structure"] == structure]
            if mine:
                arms[arm][structure] = _means(mine)
    status = [row["status"] for row in rows if row["arm"] == "adapted"] or ["missing"]
    return {
        "case": case,
        "patient": patient,
        "status": max(status, key=SEVERITY.index),
        "metrics": arms.get("adapted", {}),
        "arms": {arm: arms[arm] for arm in sorted(arms, key=_order)},
    }


def _means(rows: list[Row]) -> Row:
    out: Row = {}
    for metric in (*METRICS, "reference_volume_ml", "components"):
        values = [found for found in (value(row, metric) for row in rows) if found is not None]
        out[metric] = float(np.mean(values)) if values else None
    reasons = sorted({row["reason"] for row in rows if row.get("reason")})
    return {**out, "failed": any(failed(row) for row in rows), "reason": "; ".join(reasons) or None}


def _order(arm: str) -> tuple[int, str]:
    return (TRAINED_ARMS.index(arm) if arm in TRAINED_ARMS else len(TRAINED_ARMS), arm)


def conventions(document: Row) -> Row:
    """metrics.json as the report keeps it: definitions, and how cases become the numbers of the table."""
    mm = document["spacing_credible"]
    return {
        **document,
        "millimetres": None if mm else metrics.NO_MM,
        "failure": FAILURE,
        "aggregation": "cases → mean per patient → mean over seeds per patient → mean over patients. Intervals: "
        "two-sided 95 % over patients (t below 50 patients, BCa bootstrap from there on), cut where a metric "
        "ends. The spread between seeds is "
        "given apart and never pooled with that between patients.",
    }
