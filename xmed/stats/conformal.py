"""Conformal: intervals for estimates made without labels, from their errors on labelled cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from xmed.stats.interval import as_finite, scale_back, scale_to_ordinary
from xmed.stats.proportion import Proportion, proportion_interval
from xmed.stats.two_samples import MmdTest


@dataclass(frozen=True)
class Conformal:
    """A conformal interval for new cases.

    Attributes:
        half_width: Half the width of an interval with coverage 1 − alpha, or None.
        alpha: The largest error rate.
        n: Number of calibration cases.
        k: Rank of the error that gives the half-width.
        reason: Why there is no interval, or None.
    """

    half_width: float | None
    alpha: float
    n: int
    k: int
    reason: str | None = None

    def around(self, estimate: float, least: float = 0.0, most: float = 1.0) -> tuple[float, float] | None:
        """The interval of a new case, limited to the range of the quantity; None without a half-width.

        Args:
            estimate: The estimate of the new case.
            least: Lowest possible value of the quantity.
            most: Highest possible value of the quantity.

        Returns:
            (low, high); None without a half-width.
        """
        if self.half_width is None:
            return None
        return max(estimate - self.half_width, least), min(estimate + self.half_width, most)


@dataclass(frozen=True)
class EstimateCard:
    """What is known about the reliability of an estimate made without labels.

    Attributes:
        method: The estimator.
        cohort: The cohort that it was calibrated on.
        conformal: The interval from the calibration.
        n: Number of labelled cases that it was checked on.
        mae: Mean absolute error on them.
        coverage: How often the interval contained the true value.
        exchangeable: Whether a drift test accepts that these cases resemble the calibration cases; None without one.
        warning: Why the estimate should not be trusted, or None.
    """

    method: str
    cohort: str
    conformal: Conformal
    n: int
    mae: float | None
    coverage: Proportion | None
    exchangeable: bool | None
    warning: str | None


def conformal_interval(scores: Sequence[float], alpha: float = 0.1) -> Conformal:
    """Split conformal interval: the k-th smallest absolute error, k = ⌈(n + 1)(1 − alpha)⌉.

    Source: Vovk et al. 2005; Lei et al. 2018, doi 10.1080/01621459.2017.1307116. The coverage holds only if new cases
    are exchangeable with the calibration cases. There is no interval where k > n: 95 % needs at least 19 cases.

    Args:
        scores: Estimate − true value of each calibration case.
        alpha: The largest error rate.

    Returns:
        The interval; without a half-width where there are too few cases.

    Raises:
        ValueError: For NaN or infinite values.
    """
    x = np.sort(np.abs(as_finite(scores)))
    n = int(x.size)
    k = ceil((n + 1) * (1 - alpha) - 1e-9)
    if k > n:
        needed = ceil(1 / alpha - 1 - 1e-9)
        few = f"{n} calibration {'case is' if n == 1 else 'cases are'} too few for {1 - alpha:.0%}: {needed} needed"
        return Conformal(None, alpha, n, k, few)
    return Conformal(float(x[k - 1]), alpha, n, k)


def estimate_card(
    method: str,
    cohort: str,
    calibration_errors: Sequence[float],
    estimated: Sequence[float],
    true: Sequence[float],
    alpha: float = 0.1,
    drift: MmdTest | None = None,
) -> EstimateCard:
    """Check an estimator that was calibrated on one cohort on labelled cases of another.

    If the drift test rejects (p < 0.05), the cases are not exchangeable and the interval is not valid.

    Args:
        method: The estimator.
        cohort: The cohort that it was calibrated on.
        calibration_errors: Estimate − true value on that cohort.
        estimated: Estimates for the other cases.
        true: True values of the other cases, in the same order.
        alpha: The largest error rate of the interval.
        drift: The MMD test between both groups of cases, or None.

    Returns:
        What was found: error, coverage, and a warning where the estimate should not be trusted.

    Raises:
        ValueError: For lists of different length, NaN or infinite values.
    """
    e, t = as_finite(estimated), as_finite(true)
    if e.shape != t.shape:
        raise ValueError(f"{e.size} estimates of {t.size} cases")
    interval, n = conformal_interval(calibration_errors, alpha), int(e.size)
    (e, t), by = scale_to_ordinary(e, t)
    errors = np.abs(e - t)
    covered = None
    if n and interval.half_width is not None:
        covered = proportion_interval(int((errors <= np.ldexp(interval.half_width + 1e-12, -by)).sum()), n)
    same = None if drift is None or drift.p is None else drift.p >= 0.05
    warning = interval.reason
    if same is False:
        warning = "new cases are not like those it was calibrated on: do not use this estimate"
    elif covered is not None and covered.hi < 1 - alpha:
        warning = f"the interval holds less often than the {1 - alpha:.0%} it claims"
    mae = scale_back(float(errors.mean()), by) if n else None
    return EstimateCard(method, cohort, interval, n, mae, covered, same, warning)
