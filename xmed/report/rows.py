"""Rows: what evaluation measured, completed by what is missing, and averaged over patients."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xmed import __version__, metrics, stats
from xmed.report.edition import EDITION
from xmed.run import TRAINED_ARMS

Row = dict[str, Any]
METRICS = ("dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "volume_ml", "volume_error_ml")
RANGE = {"dice": (0.0, 1.0), "nsd": (0.0, 1.0), **dict.fromkeys(METRICS[2:6], (0.0, np.inf))}
"""Lowest and highest possible value: a t-interval of a few patients may reach beyond, and is cut there."""
SEVERITY = ("ok", "empty_prediction", "missing", "error")
FAILURE = "no prediction, an error, an empty prediction, or not a single voxel in common with the truth (Dice 0)"
AGGREGATION = (
    "cases → mean per patient → mean over seeds per patient → mean over patients. Intervals: two-sided 95 % over "
    "patients (t below 50 patients, BCa bootstrap from there on), cut where a metric ends; of medians by order "
    "statistics. The spread between seeds is given apart and never pooled with that between patients."
)
NOT_PREDICTED = "no prediction stands in rows.json for this case"
NO_REFERENCE = "not defined: no test patient has it"
"""Why a structure has no numbers. Where no reference has it, no prediction of it can be right or wrong."""
NO_PROBABILITIES = "evaluation kept no probabilities of the adapted arm"
AGAINST_REFERENCE = ("dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "reference_volume_ml", "calibration")
"""Keys of a row whose values depend on the reference."""
NO_RATE = {"value": None, "ci": None, "reason": NO_REFERENCE}


@dataclass(frozen=True)
class Rows:
    """Every (arm, seed, case, structure) that should have been measured, each with a value or a reason.

    Attributes:
        rows: One row per prediction and structure, with the keys of rows.json.
        unsupported: Structures that no reference has.
    """

    rows: tuple[Row, ...]
    unsupported: frozenset[str] = frozenset()

    @classmethod
    def complete(
        cls,
        rows: Sequence[Row],
        arms: Iterable[tuple[str, int]],
        cases: Sequence[Row],
        structures: Sequence[str],
        mm: bool,
        edition: int = EDITION,
    ) -> Rows:
        """Return the measured rows, and a failed row for each test case for which a trained arm has none.

        A missing prediction scores Dice 0, as an empty one does: leaving it out would make the mean better. A structure
        that no test patient has loses what is measured against a reference: drawing it is no failure to find it, and
        its Dice of 0 is no result (in edition 1 both counted).

        Args:
            rows: rows.json.
            arms: (arm, seed) of every training.
            cases: The labelled test cases.
            structures: The study's structures.
            mm: Whether the spacing is credible, so that NSD exists.
            edition: The edition by whose rules the rows are completed.
        """
        worst: Row = {"dice": 0.0, "nsd": 0.0 if mm else None}
        out = [row if row["status"] == "ok" or row["dice"] is not None else {**row, **worst} for row in rows]
        known = {(row["arm"], row["seed"], row["case"], row["structure"]) for row in rows}
        for arm, seed in arms:
            for case in cases:
                for structure in structures:
                    if (arm, seed, case["case"], structure) not in known:
                        keys = {"arm": arm, "seed": seed, "case": case["case"], "patient": case["patient"]}
                        empty = {"structure": structure, "status": "missing", "reason": NOT_PREDICTED, "components": 0}
                        out.append({**dict.fromkeys(METRICS), **keys, **empty, **worst})
        lacking = unsupported(out) if edition > 1 else frozenset[str]()
        return cls(tuple(_without_reference(row) if row["structure"] in lacking else row for row in out), lacking)

    @cached_property
    def _cells(self) -> dict[tuple[str, str], list[Row]]:
        cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.rows:
            cells[row["arm"], row["structure"]].append(row)
        return cells

    @cached_property
    def _by_case(self) -> dict[tuple[str, str, str], list[Row]]:
        by_case: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in self.rows:
            by_case[row["arm"], row["structure"], row["case"]].append(row)
        return by_case

    @cached_property
    def _rates(self) -> dict[tuple[str, str], tuple[int, int, Row]]:
        return {}

    @property
    def arms(self) -> list[str]:
        """The arms that have rows, in the order met."""
        return list(dict.fromkeys(row["arm"] for row in self.rows))

    def of(self, arm: str, structure: str) -> list[Row]:
        """Return the rows of one arm and structure, of every seed and case."""
        return self._cells.get((arm, structure), [])

    def of_case(self, arm: str, structure: str, case: str) -> list[Row]:
        """Return every seed's row of one case."""
        return self._by_case.get((arm, structure, case), [])

    def why_no_probabilities(self, structure: str) -> str:
        """Return why nothing is known of a structure's confidence, where that is so."""
        return NO_REFERENCE if structure in self.unsupported else NO_PROBABILITIES

    def by_patient(self, arm: str, structure: str, metric: str) -> tuple[dict[str, float], float | None]:
        """Return patient -> mean over the patient's cases, then over seeds; and the SD between the seeds' means."""
        values: dict[tuple[int, str], list[float]] = defaultdict(list)
        for row in self.of(arm, structure):
            number = value(row, metric)
            if number is not None:
                values[row["seed"] or 0, row["patient"]].append(number)
        if not values:
            return {}, None
        return stats.seeds_and_patients({key: float(np.mean(cases)) for key, cases in values.items()})

    def statistic(self, arm: str, structure: str, metric: str) -> Row:
        """Return one cell of the results table: {mean, ci, median, iqr, n, n_failed, ...}; null comes with a reason.

        n counts patients. A case is used, or excluded because the metric is not defined for it, and nothing else:
        n_used + n_excluded == n_cases. Failures are never excluded.
        """
        rows = self.of(arm, structure)
        by_patient, sd_between_seeds = self.by_patient(arm, structure, metric)
        values = list(by_patient.values())
        mean, median = stats.mean_ci(values), stats.median_ci(values)
        lowest, highest = RANGE.get(metric, (-np.inf, np.inf))
        undefined = [row for row in rows if value(row, metric) is None]
        used = {row["case"] for row in rows if value(row, metric) is not None}
        excluded = {row["case"] for row in undefined} - used
        n_failed, n_cases, rate = self._failures(arm, structure)
        assert len(used) + len(excluded) == n_cases, "a case is used or excluded, never lost"
        return {
            "mean": mean.mean,
            "ci": None if mean.lo is None or mean.hi is None else [max(mean.lo, lowest), min(mean.hi, highest)],
            "n": mean.n,
            "n_failed": n_failed,
            "n_cases": n_cases,
            "n_used": len(used),
            "n_excluded": len(excluded),
            "n_undefined": len({row["case"] for row in undefined}),
            "failure_rate": rate,
            "median": median.value,
            "median_ci": None if median.lo is None or median.hi is None else [median.lo, median.hi],
            "iqr": None if median.q1 is None or median.q3 is None else [median.q1, median.q3],
            "min": min(values, default=None),
            "max": max(values, default=None),
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "sd_between_seeds": sd_between_seeds,
            "method": mean.method,
            "reason": self._reason(structure, mean, undefined),
        }

    def _reason(self, structure: str, mean: stats.Interval, undefined: Sequence[Row]) -> str | None:
        if structure in self.unsupported:
            return NO_REFERENCE
        if mean.mean is None and undefined:
            return Counter(row.get("reason") or "not measured" for row in undefined).most_common(1)[0][0]
        return mean.degenerate

    def _failures(self, arm: str, structure: str) -> tuple[int, int, Row]:
        """Failed and all cases of a cell, and their share with exact limits; computed once for all its metrics."""
        if (arm, structure) not in self._rates:
            rows = self.of(arm, structure)
            n_failed, n = len({row["case"] for row in rows if failed(row)}), len({row["case"] for row in rows})
            share = stats.proportion_interval(n_failed, n)
            rate = {"value": share.value, "ci": [share.lo, share.hi] if n else None, "method": "Clopper–Pearson"}
            rate |= NO_RATE if structure in self.unsupported else {}
            self._rates[arm, structure] = n_failed, n, rate
        return self._rates[arm, structure]

    def cases(self, structures: Sequence[str], primary: str) -> list[Row]:
        """Return one entry per case, means over seeds, worst first by the adapted Dice of the primary structure."""
        by_case: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.rows:
            by_case[row["case"], row["patient"]].append(row)
        entries = [_entry(case, patient, rows, structures) for (case, patient), rows in by_case.items()]

        def worst_first(entry: Row) -> tuple[float, str]:
            dice = entry["metrics"].get(primary, {}).get("dice")
            return (2.0 if dice is None else dice, entry["case"])

        ordered = sorted(entries, key=worst_first)
        return [{**entry, "id": f"c{n:03d}", "anchor": f"#c{n:03d}"} for n, entry in enumerate(ordered, start=1)]


def value(row: Row, metric: str) -> float | None:
    """Return one number of a row; volume_error_ml is predicted minus reference volume."""
    if metric != "volume_error_ml":
        return row.get(metric)
    predicted, reference = row.get("volume_ml"), row.get("reference_volume_ml")
    return None if predicted is None or reference is None else predicted - reference


def absent(row: Row) -> bool:
    """Return whether the reference of a row lacks the structure."""
    empty = row.get("reference_empty")
    return bool(empty) if empty is not None else row.get("reference_volume_ml") == 0


def invented(row: Row) -> bool:
    """Return whether a prediction has a structure that its reference lacks."""
    drawn = row.get("components") or row.get("volume_ml")
    return bool(row["status"] == "ok" and absent(row) and drawn)


def failed(row: Row) -> bool:
    """Return whether a row is a failure as FAILURE defines it."""
    return bool(row["status"] != "ok" or row["dice"] == 0)


def unsupported(rows: Iterable[Row]) -> frozenset[str]:
    """Return the structures whose reference is known in every case that has a row, and empty in all of them."""
    absent_in: dict[str, dict[str, bool]] = defaultdict(dict)
    for row in rows:
        if row.get("reference_empty") is not None or row.get("reference_volume_ml") is not None:
            absent_in[row["structure"]][row["case"]] = absent(row)
        else:
            absent_in[row["structure"]].setdefault(row["case"], False)
    return frozenset(structure for structure, cases in absent_in.items() if all(cases.values()))


def _without_reference(row: Row) -> Row:
    reason = NO_REFERENCE if row["status"] == "ok" else row.get("reason") or NO_REFERENCE
    return {**row, **dict.fromkeys(AGAINST_REFERENCE), "reference_empty": True, "reason": reason}


def _entry(case: str, patient: str, rows: list[Row], structures: Sequence[str]) -> Row:
    arms: dict[str, Row] = {}
    for arm in dict.fromkeys(row["arm"] for row in rows):
        arms[arm] = {}
        for structure in structures:
            of_structure = [row for row in rows if row["arm"] == arm and row["structure"] == structure]
            if of_structure:
                arms[arm][structure] = _means(of_structure)
    adapted = [row for row in rows if row["arm"] == "adapted"]
    by_structure = {s: [row for row in adapted if row["structure"] == s] for s in structures}
    status = [row["status"] for row in adapted] or ["missing"]
    return {
        "case": case,
        "patient": patient,
        "status": max(status, key=SEVERITY.index),
        "metrics": arms.get("adapted", {}),
        "arms": {arm: arms[arm] for arm in sorted(arms, key=_arm_order)},
        "confidence": {s: _mean(row.get("confidence") for row in of_s) for s, of_s in by_structure.items()},
        "seeds": {s: {str(row["seed"]): row["dice"] for row in of_s} for s, of_s in by_structure.items()},
        "prediction_sha256": {str(row["seed"]): row.get("prediction_sha256") for row in adapted},
        "reference_sha256": next((row["reference_sha256"] for row in rows if row.get("reference_sha256")), None),
    }


def _means(rows: list[Row]) -> Row:
    out: Row = {}
    for metric in (*METRICS, "reference_volume_ml", "components"):
        out[metric] = _mean(value(row, metric) for row in rows)
    reasons = sorted({row["reason"] for row in rows if row.get("reason")})
    return {**out, "failed": any(failed(row) for row in rows), "reason": "; ".join(reasons) or None}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [number for number in values if number is not None]
    return float(np.mean(known)) if known else None


def _arm_order(arm: str) -> tuple[int, str]:
    return (TRAINED_ARMS.index(arm) if arm in TRAINED_ARMS else len(TRAINED_ARMS), arm)


def conventions(document: Row) -> Row:
    """Return metrics.json as the report keeps it: definitions, and how cases become the numbers of the table."""
    mm = document["spacing_credible"]
    return {
        **document,
        "implementation": f"xmed.metrics {__version__}",
        "crosscheck": metrics.CROSSCHECK,
        "traps": metrics.TRAPS,
        "millimetres": None if mm else metrics.NO_MM,
        "failure": FAILURE,
        "aggregation": AGGREGATION,
    }
