"""Rows: what evaluation measured, completed by what is missing, and averaged over patients."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xmed import stats
from xmed.records.data_summary import CaseSummary
from xmed.records.evaluation import CaseRow
from xmed.records.report_cases import FailureRate, MetricStatistic, ReportCase
from xmed.report.edition import EDITION
from xmed.report.row_facts import METRICS, case_entries, failed, unsupported, value

RANGE = {"dice": (0.0, 1.0), "nsd": (0.0, 1.0), **dict.fromkeys(METRICS[2:6], (0.0, np.inf))}
"""Lowest and highest possible value: a t-interval of a few patients may reach beyond, and is cut there."""
NOT_PREDICTED = "no prediction stands in rows.json for this case"
NO_REFERENCE = "not defined: no test patient has it"
"""Why a structure has no numbers. Where no reference has it, no prediction of it can be right or wrong."""
NO_PROBABILITIES = "evaluation kept no probabilities of the adapted arm"
EXACT = "Clopper–Pearson"
"""Name of the exact interval of a share."""
AGAINST_REFERENCE = ("dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "reference_volume_ml", "calibration")
"""Keys of a row whose values depend on the reference."""


@dataclass(frozen=True)
class Rows:
    """Every (arm, seed, case, structure) that should have been measured, each with a value or a reason.

    Attributes:
        rows: One row per prediction and structure.
        unsupported: Structures that no reference has.
    """

    rows: tuple[CaseRow, ...]
    unsupported: frozenset[str] = frozenset()

    @classmethod
    def complete(
        cls,
        rows: Sequence[CaseRow],
        arms: Iterable[tuple[str, int]],
        cases: Sequence[CaseSummary],
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

        Returns:
            The completed rows.
        """
        worst = {"dice": 0.0, "nsd": 0.0 if mm else None}
        out = [row if row.status == "ok" or row.dice is not None else row.model_copy(update=worst) for row in rows]
        measured = {(row.arm, row.seed, row.case, row.structure) for row in rows}
        for arm, seed in arms:
            for case in cases:
                for structure in structures:
                    if (arm, seed, case.case, structure) not in measured:
                        out.append(_missing(arm, seed, case, structure).model_copy(update=worst))
        lacking = unsupported(out) if edition > 1 else frozenset[str]()
        return cls(tuple(_without_reference(row) if row.structure in lacking else row for row in out), lacking)

    @cached_property
    def _cells(self) -> dict[tuple[str, str], list[CaseRow]]:
        cells: dict[tuple[str, str], list[CaseRow]] = defaultdict(list)
        for row in self.rows:
            cells[row.arm, row.structure].append(row)
        return cells

    @cached_property
    def _by_case(self) -> dict[tuple[str, str, str], list[CaseRow]]:
        by_case: dict[tuple[str, str, str], list[CaseRow]] = defaultdict(list)
        for row in self.rows:
            by_case[row.arm, row.structure, row.case].append(row)
        return by_case

    @cached_property
    def _rates(self) -> dict[tuple[str, str], tuple[int, int, FailureRate]]:
        return {}

    @property
    def arms(self) -> list[str]:
        """The arms that have rows, in the order of the rows."""
        return list(dict.fromkeys(row.arm for row in self.rows))

    def of(self, arm: str, structure: str) -> list[CaseRow]:
        """Select the rows of one arm and structure.

        Args:
            arm: Name of the arm.
            structure: Name of the structure.

        Returns:
            The rows of every seed and case; none where nothing was measured.
        """
        return self._cells.get((arm, structure), [])

    def of_case(self, arm: str, structure: str, case: str) -> list[CaseRow]:
        """Select the rows of one arm, structure and case.

        Args:
            arm: Name of the arm.
            structure: Name of the structure.
            case: Case id.

        Returns:
            A row per seed.
        """
        return self._by_case.get((arm, structure, case), [])

    def why_no_probabilities(self, structure: str) -> str:
        """Explain why nothing is known of a structure's confidence, where that is so.

        Args:
            structure: Name of the structure.

        Returns:
            The reason.
        """
        return NO_REFERENCE if structure in self.unsupported else NO_PROBABILITIES

    def by_patient(self, arm: str, structure: str, metric: str) -> tuple[dict[str, float], float | None]:
        """Average one metric per patient: over the patient's cases, then over seeds.

        Args:
            arm: Name of the arm.
            structure: Name of the structure.
            metric: Name of the metric, one of METRICS or `reference_volume_ml`.

        Returns:
            Patient -> mean, in the metric's unit, without patients that have no value; and the standard deviation
            between the seeds' means, None where there are fewer than two seeds.
        """
        values: dict[tuple[int, str], list[float]] = defaultdict(list)
        for row in self.of(arm, structure):
            number = value(row, metric)
            if number is not None:
                values[row.seed or 0, row.patient].append(number)
        if not values:
            return {}, None
        return stats.seeds_and_patients({key: float(np.mean(cases)) for key, cases in values.items()})

    def statistic(self, arm: str, structure: str, metric: str) -> MetricStatistic:
        """Compute one cell of the results table.

        n counts patients. A case is used, or excluded because the metric is not defined for it, and nothing else:
        n_used + n_excluded == n_cases. Failures are never excluded.

        Args:
            arm: Name of the arm.
            structure: Name of the structure.
            metric: Name of the metric, one of METRICS.

        Returns:
            Mean, interval, median, spread and counts; a null number comes with a reason.
        """
        rows = self.of(arm, structure)
        by_patient, sd_between_seeds = self.by_patient(arm, structure, metric)
        values = list(by_patient.values())
        mean, median = stats.mean_ci(values), stats.median_ci(values)
        lowest, highest = RANGE.get(metric, (-np.inf, np.inf))
        undefined = [row for row in rows if value(row, metric) is None]
        used = {row.case for row in rows if value(row, metric) is not None}
        excluded = {row.case for row in undefined} - used
        n_failed, n_cases, rate = self._failures(arm, structure)
        assert len(used) + len(excluded) == n_cases, "a case is used or excluded, never lost"
        return MetricStatistic(
            mean=mean.mean,
            ci=None if mean.lo is None or mean.hi is None else [max(mean.lo, lowest), min(mean.hi, highest)],
            n=mean.n,
            n_failed=n_failed,
            n_cases=n_cases,
            n_used=len(used),
            n_excluded=len(excluded),
            n_undefined=len({row.case for row in undefined}),
            failure_rate=rate,
            median=median.value,
            median_ci=None if median.lo is None or median.hi is None else [median.lo, median.hi],
            iqr=None if median.q1 is None or median.q3 is None else [median.q1, median.q3],
            min=min(values, default=None),
            max=max(values, default=None),
            sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
            sd_between_seeds=sd_between_seeds,
            method=mean.method,
            reason=self._reason(structure, mean, undefined),
        )

    def _reason(self, structure: str, mean: stats.Interval, undefined: Sequence[CaseRow]) -> str | None:
        if structure in self.unsupported:
            return NO_REFERENCE
        if mean.mean is None and undefined:
            return Counter(row.reason or "not measured" for row in undefined).most_common(1)[0][0]
        return mean.degenerate

    def _failures(self, arm: str, structure: str) -> tuple[int, int, FailureRate]:
        """Failed and all cases of a cell, and their share with exact limits; computed once for all its metrics."""
        if (arm, structure) not in self._rates:
            rows = self.of(arm, structure)
            n_failed, n = len({row.case for row in rows if failed(row)}), len({row.case for row in rows})
            share = stats.proportion_interval(n_failed, n)
            if structure in self.unsupported:
                rate = FailureRate(value=None, ci=None, method=EXACT, reason=NO_REFERENCE)
            else:
                rate = FailureRate(value=share.value, ci=[share.lo, share.hi] if n else None, method=EXACT)
            self._rates[arm, structure] = n_failed, n, rate
        return self._rates[arm, structure]

    def cases(self, structures: Sequence[str], primary: str) -> list[ReportCase]:
        """List every case with its means over seeds.

        Args:
            structures: The study's structures.
            primary: The structure of the primary endpoint.

        Returns:
            One entry per case, those with the lowest adapted Dice of the primary structure first.
        """

        def worst_first(entry: ReportCase) -> tuple[float, str]:
            dice = entry.metrics[primary].dice if primary in entry.metrics else None
            return (2.0 if dice is None else dice, entry.case)

        ordered = sorted(case_entries(self.rows, structures), key=worst_first)
        return [
            entry.model_copy(update={"id": f"c{n:03d}", "anchor": f"#c{n:03d}"})
            for n, entry in enumerate(ordered, start=1)
        ]


def _missing(arm: str, seed: int, case: CaseSummary, structure: str) -> CaseRow:
    """The row of a case that evaluation wrote nothing of."""
    return CaseRow(
        arm=arm,
        seed=seed,
        case=case.case,
        patient=case.patient,
        structure=structure,
        dice=None,
        nsd=None,
        hd95_mm=None,
        hd_mm=None,
        assd_mm=None,
        volume_ml=None,
        reference_volume_ml=None,
        components=0,
        status="missing",
        reason=NOT_PREDICTED,
    )


def _without_reference(row: CaseRow) -> CaseRow:
    reason = NO_REFERENCE if row.status == "ok" else row.reason or NO_REFERENCE
    undefined = dict.fromkeys(AGAINST_REFERENCE)
    return row.model_copy(update={**undefined, "reference_empty": True, "reason": reason})
