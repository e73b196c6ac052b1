"""Rows: what evaluation measured, completed by what it should have, averaged patient by patient."""

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
"""What a metric can be: a t-interval of a few patients may reach beyond, and is cut there."""
SEVERITY = ("ok", "empty_prediction", "missing", "error")
FAILURE = "no prediction, an error, an empty prediction, or not a single voxel in common with the truth (Dice 0)"
AGGREGATION = (
    "cases → mean per patient → mean over seeds per patient → mean over patients. Intervals: two-sided 95 % over "
    "patients (t below 50 patients, BCa bootstrap from there on), cut where a metric ends; of medians by order "
    "statistics. The spread between seeds is given apart and never pooled with that between patients."
)
NOT_PREDICTED = "no prediction stands in rows.json for this case"
NO_REFERENCE = "not defined: no test patient has it"
"""Why a structure has no numbers: none that every reference lacks can be right or wrong about it."""
HELD = ("dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "reference_volume_ml", "calibration")
"""What a row has from its reference."""
NO_PROBABILITIES = "evaluation kept no probabilities of the adapted arm"
NO_RATE = {"value": None, "ci": None, "reason": NO_REFERENCE}


@dataclass(frozen=True)
class Rows:
    """Every (arm, seed, case, structure) that should have been measured, each with a value or a reason.

    unsupported: structures that no reference has.
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
        """What was measured, and a failed row for each labelled test case that a trained arm says nothing about.

        A prediction that is not there scores Dice 0, as an empty one does: leaving it out would make the mean better.
        mm: whether spacing is credible, so that NSD exists at all. A structure that no test patient has loses what is
        measured against a reference: a mask of it is no failure of finding, and its Dice of 0 no result (edition 1 had
        it so).
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
        lacking = unsupported(out) if edition > 1 else frozenset[str]()
        return cls(tuple(_without_reference(row) if row["structure"] in lacking else row for row in out), lacking)

    @cached_property
    def _cells(self) -> dict[tuple[str, str], list[Row]]:
        cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.rows:
            cells[row["arm"], row["structure"]].append(row)
        return cells

    def why_no_probabilities(self, structure: str) -> str:
        """Return why nothing is known of a structure's confidence, where that is so."""
        return NO_REFERENCE if structure in self.unsupported else NO_PROBABILITIES

    @property
    def arms(self) -> list[str]:
        """The arms that have rows, in the order met."""
        return list(dict.fromkeys(row["arm"] for row in self.rows))

    def of(self, arm: str, structure: str) -> list[Row]:
        return self._cells.get((arm, structure), [])

    def of_case(self, arm: str, structure: str, case: str) -> list[Row]:
        """Every seed's row of one case."""
        return self._by_case.get((arm, structure, case), [])

    @cached_property
    def _by_case(self) -> dict[tuple[str, str, str], list[Row]]:
        found: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row["arm"], row["structure"], row["case"]].append(row)
        return found

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
        """{mean, ci, median, iqr, n, n_failed, ...} of one cell of the table; nulls come with a reason.

        n counts patients. Cases are used, or excluded because the metric is not defined for them, and nothing else:
        n_used + n_excluded == n_cases. Failures are never excluded.
        """
        rows = self.of(arm, structure)
        by_patient, between_seeds = self.by_patient(arm, structure, metric)
        values = list(by_patient.values())
        found, middle = stats.mean_ci(values), stats.median_ci(values)
        least, most = RANGE.get(metric, (-np.inf, np.inf))
        undefined = [row for row in rows if value(row, metric) is None]
        used = {row["case"] for row in rows if value(row, metric) is not None}
        excluded = {row["case"] for row in undefined} - used
        reason = found.degenerate
        if structure in self.unsupported:
            reason = NO_REFERENCE
        elif found.mean is None and undefined:
            reason = Counter(row.get("reason") or "not measured" for row in undefined).most_common(1)[0][0]
        n_failed, n_cases, rate = self._failures(arm, structure)
        assert len(used) + len(excluded) == n_cases, "a case is used or excluded, never lost"
        return {
            "mean": found.mean,
            "ci": None if found.lo is None or found.hi is None else [max(found.lo, least), min(found.hi, most)],
            "n": found.n,
            "n_failed": n_failed,
            "n_cases": n_cases,
            "n_used": len(used),
            "n_excluded": len(excluded),
            "n_undefined": len({row["case"] for row in undefined}),
            "failure_rate": rate,
            "median": middle.value,
            "median_ci": None if middle.lo is None or middle.hi is None else [middle.lo, middle.hi],
            "iqr": None if middle.q1 is None or middle.q3 is None else [middle.q1, middle.q3],
            "min": min(values, default=None),
            "max": max(values, default=None),
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "sd_between_seeds": between_seeds,
            "method": found.method,
            "reason": reason,
        }

    def _failures(self, arm: str, structure: str) -> tuple[int, int, Row]:
        """Failed and all cases of a cell, and their share with exact limits: one search for the limits a cell."""
        if (arm, structure) not in self._rates:
            rows = self.of(arm, structure)
            n_failed, n = len({row["case"] for row in rows if failed(row)}), len({row["case"] for row in rows})
            found = stats.proportion(n_failed, n)
            rate = {"value": found.value, "ci": [found.lo, found.hi] if n else None, "method": "Clopper–Pearson"}
            rate |= NO_RATE if structure in self.unsupported else {}
            self._rates[arm, structure] = n_failed, n, rate
        return self._rates[arm, structure]

    @cached_property
    def _rates(self) -> dict[tuple[str, str], tuple[int, int, Row]]:
        return {}

    def cases(self, structures: Sequence[str], order: str) -> list[Row]:
        """One entry per case, means over seeds, worst first by the adapted arm's Dice of structure `order`."""
        grouped: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.rows:
            grouped[row["case"], row["patient"]].append(row)
        entries = [_entry(case, patient, rows, structures) for (case, patient), rows in grouped.items()]

        def badness(entry: Row) -> tuple[float, str]:
            dice = entry["metrics"].get(order, {}).get("dice")
            return (2.0 if dice is None else dice, entry["case"])

        ordered = sorted(entries, key=badness)
        return [{**entry, "id": f"c{n:03d}", "anchor": f"#c{n:03d}"} for n, entry in enumerate(ordered, start=1)]


def value(row: Row, metric: str) -> float | None:
    """One number of a row; volume_error_ml is predicted minus reference volume."""
    if metric != "volume_error_ml":
        return row.get(metric)
    found, truth = row.get("volume_ml"), row.get("reference_volume_ml")
    return None if found is None or truth is None else found - truth


def absent(row: Row) -> bool:
    """Whether the reference of a row lacks the structure."""
    empty = row.get("reference_empty")
    return bool(empty) if empty is not None else row.get("reference_volume_ml") == 0


def invented(row: Row) -> bool:
    """Whether a prediction has a structure that its reference lacks."""
    return row["status"] == "ok" and absent(row) and bool(row.get("components") or row.get("volume_ml"))


def unsupported(rows: Iterable[Row]) -> frozenset[str]:
    """Structures whose reference is known in every case that has a row, and empty in all of them."""
    known: dict[str, dict[str, bool]] = defaultdict(dict)
    for row in rows:
        if row.get("reference_empty") is not None or row.get("reference_volume_ml") is not None:
            known[row["structure"]][row["case"]] = absent(row)
        else:
            known[row["structure"]].setdefault(row["case"], False)
    return frozenset(structure for structure, cases in known.items() if all(cases.values()))


def _without_reference(row: Row) -> Row:
    reason = NO_REFERENCE if row["status"] == "ok" else row.get("reason") or NO_REFERENCE
    return {**row, **dict.fromkeys(HELD), "reference_empty": True, "reason": reason}


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
    mine = [row for row in rows if row["arm"] == "adapted"]
    status = [row["status"] for row in mine] or ["missing"]
    drawn = {str(row["seed"]): row.get("prediction_sha256") for row in mine}
    return {
        "case": case,
        "patient": patient,
        "status": max(status, key=SEVERITY.index),
        "metrics": arms.get("adapted", {}),
        "arms": {arm: arms[arm] for arm in sorted(arms, key=_order)},
        "confidence": {s: _mean(row.get("confidence") for row in mine if row["structure"] == s) for s in structures},
        "seeds": {s: {str(row["seed"]): row["dice"] for row in mine if row["structure"] == s} for s in structures},
        "prediction_sha256": drawn,
        "reference_sha256": next((row["reference_sha256"] for row in rows if row.get("reference_sha256")), None),
    }


def _means(rows: list[Row]) -> Row:
    out: Row = {}
    for metric in (*METRICS, "reference_volume_ml", "components"):
        out[metric] = _mean(value(row, metric) for row in rows)
    reasons = sorted({row["reason"] for row in rows if row.get("reason")})
    return {**out, "failed": any(failed(row) for row in rows), "reason": "; ".join(reasons) or None}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [found for found in values if found is not None]
    return float(np.mean(known)) if known else None


def _order(arm: str) -> tuple[int, str]:
    return (TRAINED_ARMS.index(arm) if arm in TRAINED_ARMS else len(TRAINED_ARMS), arm)


def conventions(document: Row) -> Row:
    """metrics.json as the report keeps it: definitions, and how cases become the numbers of the table."""
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
