"""Coverage: the risk when a model abstains on its least confident cases, and how well confidence detects failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xmed.stats.interval import as_finite, scale_to_ordinary
from xmed.stats.proportion import Proportion, proportion_interval

CHOSEN_HERE = "chosen on the same cases that it is reported on, which flatters it"


@dataclass(frozen=True)
class FailureDetection:
    """How well low confidence detects predictions with a Dice below a limit.

    Attributes:
        below: The limit.
        n: Number of cases.
        n_failed: Number of failed cases.
        prevalence: Share of failed cases.
        auroc: Probability that a failed case has a lower confidence than a good one; ties count half.
        fpr95: Share of good cases that are rejected by a threshold that rejects at least 95 % of the failures.
        degenerate: Why there is no result, or None.
    """

    below: float
    n: int
    n_failed: int
    prevalence: float | None
    auroc: float | None
    fpr95: float | None
    degenerate: str | None = None


def failure_detection(confidence: Sequence[float], dice: Sequence[float], below: float) -> FailureDetection:
    """Compute how well confidence detects failed predictions.

    Source: AUROC as the Mann-Whitney statistic (Hanley & McNeil, Radiology 1982).

    Args:
        confidence: Confidence of each case.
        dice: Dice of each case.
        below: Dice below which a case counts as failed; from the agreement of raters where it is known.

    Returns:
        The result; without AUROC, but with a reason, where no case or every case failed.

    Raises:
        ValueError: For lists of different length, NaN or infinite values.
    """
    c, bad = as_finite(confidence), as_finite(dice) < below
    if c.shape != bad.shape:
        raise ValueError(f"{c.size} confidences and {bad.size} predictions")
    n, n_bad = int(c.size), int(bad.sum())
    share = n_bad / n if n else None
    if n_bad in (0, n):
        why = "no case" if n == 0 else "no prediction failed" if n_bad == 0 else "every prediction failed"
        return FailureDetection(below, n, n_bad, share, None, None, why)
    rank = stats.rankdata(-c)
    auroc = (rank[bad].sum() - n_bad * (n_bad + 1) / 2) / (n_bad * (n - n_bad))
    caught = np.sort(c[bad])[int(np.ceil(0.95 * n_bad - 1e-9)) - 1]  # rejecting up to here rejects 95 % of the failures
    return FailureDetection(below, n, n_bad, share, float(auroc), float((c[~bad] <= caught).mean()))


@dataclass(frozen=True)
class RiskCoverage:
    """Risk among the k cases with the highest confidence, k = 1 … n.

    Cases of equal confidence each get their mean risk, so that the order of rows has no influence.

    Attributes:
        n: Number of cases.
        coverage: k / n.
        risk: Selective risk: mean risk of the cases that are kept.
        undetected: Generalized risk: sum of the risks of the cases that are kept, divided by n.
        augrc: Area under `undetected` from 0 to 1.
        augrc_ideal: The same for the order by risk.
        augrc_random: The same for a random order.
        aurc_trapezoid: Area under `risk` from 1/n to 1, by the trapezoidal rule.
        aurc_mean: Mean of `risk`.
        e_aurc_trapezoid: `aurc_trapezoid` minus that of the ideal order.
        e_aurc_mean: `aurc_mean` minus that of the ideal order.
        degenerate: Why the curve shows nothing, or None.
    """

    n: int
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    undetected: tuple[float, ...]
    augrc: float | None
    augrc_ideal: float | None
    augrc_random: float | None
    aurc_trapezoid: float | None
    aurc_mean: float | None
    e_aurc_trapezoid: float | None
    e_aurc_mean: float | None
    degenerate: str | None = None

    def risk_at(self, coverage: float) -> float | None:
        """Mean risk of the most confident cases that are at least the share `coverage` of all; None without cases.

        Args:
            coverage: Least share of the cases that are kept, 0 to 1.

        Returns:
            The mean risk; None without cases.
        """
        reached = [risk for at, risk in zip(self.coverage, self.risk) if at >= coverage - 1e-12]
        return reached[0] if reached else None


def risk_coverage_curve(confidence: Sequence[float], risk: Sequence[float]) -> RiskCoverage:
    """Compute the risk-coverage curve and the areas under it.

    Source: AUGRC of Traub et al., NeurIPS 2024, arXiv 2407.01032; AURC of Geifman & El-Yaniv, NeurIPS 2017.

    Args:
        confidence: Confidence of each case.
        risk: Risk of each case, such as 1 − Dice.

    Returns:
        The curve and its areas; without numbers, but with a reason, where there is no case.

    Raises:
        ValueError: For lists of different length, NaN or infinite values.
    """
    c, r = as_finite(confidence), as_finite(risk)
    if c.shape != r.shape:
        raise ValueError(f"{c.size} confidences and {r.size} risks")
    n = int(c.size)
    if n == 0:
        nothing = (None, None, None, None, None, None, None)
        return RiskCoverage(0, (), (), (), *nothing, degenerate="no case with a confidence")
    (r,), by = scale_to_ordinary(r)
    n_kept, total, total_ideal = np.arange(1, n + 1), _summed(c, r), _summed(-r, r)
    selective, ideal = total / n_kept, total_ideal / n_kept
    first = _area(total / n) + float(total[0]) / n / 2 / n
    best = _area(total_ideal / n) + float(total_ideal[0]) / n / 2 / n

    def back(value: float) -> float:
        return float(np.ldexp(value, by))

    return RiskCoverage(
        n,
        tuple((n_kept / n).tolist()),
        tuple(np.ldexp(selective, by).tolist()),
        tuple(np.ldexp(total / n, by).tolist()),
        back(first),
        back(best),
        back(float(r.mean()) / 2),
        back(_area(selective)),
        back(float(selective.mean())),
        back(_area(selective) - _area(ideal)),
        back(float(selective.mean() - ideal.mean())),
        "every case is as sure as every other" if np.ptp(c) == 0 else None,
    )


@dataclass(frozen=True)
class OperatingPoint:
    """The outcome of keeping the cases with a confidence of at least `threshold`.

    Attributes:
        threshold: The threshold, or None if none keeps the failures rare enough.
        n: Number of cases.
        n_kept: Number of cases kept.
        n_failed_kept: Number of failures among them.
        coverage: Share of cases kept, with its interval.
        failures: Share of failures among them, with its interval.
        note: How the threshold was chosen, or why there is none.
    """

    threshold: float | None
    n: int
    n_kept: int
    n_failed_kept: int
    coverage: Proportion
    failures: Proportion
    note: str | None


def operating_point(confidence: Sequence[float], failed: Sequence[bool], most_failures: float = 0.05) -> OperatingPoint:
    """Choose the threshold that keeps the most cases with at most a given share of failures among them.

    Args:
        confidence: Confidence of each case.
        failed: Whether each case failed.
        most_failures: The largest share of failures among the cases kept.

    Returns:
        The threshold and what it keeps; without a threshold where none keeps the failures rare enough.

    Raises:
        ValueError: For lists of different length, NaN or infinite values.
    """
    c, bad = as_finite(confidence), np.asarray(failed, dtype=bool)
    if c.shape != bad.shape:
        raise ValueError(f"{c.size} confidences and {bad.size} outcomes")
    n, best = int(c.size), None
    for threshold in np.unique(c):  # cases of equal confidence are kept or left together
        if bad[c >= threshold].mean() <= most_failures + 1e-12:
            best = threshold
            break
    if best is None:
        note = "no threshold keeps the failures this rare" if n else "no case with a confidence"
        return OperatingPoint(None, n, 0, 0, proportion_interval(0, n), proportion_interval(0, 0), note)
    above = c >= best
    n_kept, n_bad = int(above.sum()), int(bad[above].sum())
    coverage, failures = proportion_interval(n_kept, n), proportion_interval(n_bad, n_kept)
    return OperatingPoint(float(best), n, n_kept, n_bad, coverage, failures, CHOSEN_HERE)


def _summed(order: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """Cumulative sum of risk by decreasing `order`; tied cases each get their mean risk."""
    groups, which = np.unique(-order, return_inverse=True)
    mean = np.bincount(which, risk, len(groups)) / np.bincount(which, minlength=len(groups))
    return np.cumsum(mean[np.sort(which)])


def _area(values: np.ndarray) -> float:
    return float(np.trapezoid(values, dx=1 / len(values)))
