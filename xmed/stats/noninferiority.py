"""Non-inferiority: tests whether the adapted arm is at most a margin worse than target supervision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy import stats

from xmed.stats.interval import Interval, as_finite, rescale_interval, t_ci
from xmed.stats.paired import paired_differences

MOST_SPREAD = 1e6
"""Largest ratio of standard deviation and margin for which a number of patients is planned."""
ESTABLISHED, NOT_ESTABLISHED, NOT_ASSESSABLE = "established", "not_established", "not_assessable"


@dataclass(frozen=True)
class NonInferiorityResult:
    """The result of a non-inferiority test.

    Attributes:
        verdict: `ESTABLISHED`, `NOT_ESTABLISHED` or `NOT_ASSESSABLE`.
        difference: Mean paired difference with its interval; positive if the adapted arm is better.
        margin: The margin.
        margin_source: Where the margin comes from.
        alpha_one_sided: One-sided significance level.
        p: P value of the one-sided t-test against −margin.
        p_wilcoxon: P value of the one-sided Wilcoxon signed-rank test against −margin.
        n: Number of pairs.
        planned_n: Number of pairs that the planned standard deviation requires, or None.
        note: What limits the result, or None.
    """

    verdict: str
    difference: Interval
    margin: float
    margin_source: str
    alpha_one_sided: float
    p: float | None
    p_wilcoxon: float | None
    n: int
    planned_n: int | None
    note: str | None


def assess_noninferiority(
    adapted: Sequence[float],
    reference: Sequence[float],
    margin: float,
    source: str,
    *,
    higher_is_better: bool = True,
    alpha: float = 0.025,
    power: float = 0.8,
    planned_sd: float | None = None,
) -> NonInferiorityResult:
    """Test whether the adapted arm is non-inferior to the reference arm.

    Non-inferiority is established if the lower limit of the two-sided (1 − 2α) t-interval of the paired difference is
    above −margin. The decision uses unrounded numbers. A non-significant difference does not establish it.

    Args:
        adapted: Values of the adapted arm, one per patient.
        reference: Values of the reference arm, same patients in the same order.
        margin: The margin, above 0.
        source: Where the margin comes from.
        higher_is_better: Whether larger values are better.
        alpha: One-sided significance level.
        power: Power of the planned number of patients.
        planned_sd: Standard deviation of the differences that the protocol assumed, or None.

    Returns:
        The difference with its interval, the test and the verdict.

    Raises:
        ValueError: For a margin that is not above 0, a margin without a source, or lists that are no pairs.
    """
    if not (np.isfinite(margin) and margin > 0):
        raise ValueError(f"a margin of {margin:g} is no margin: it must be above 0")
    if not source.strip():
        raise ValueError("a margin needs its source: raters, a publication, or a clinical argument")
    d, by = paired_differences(adapted, reference)
    d = d * (1 if higher_is_better else -1)
    interval, least = rescale_interval(t_ci(d.tolist(), 1 - 2 * alpha), by), float(np.ldexp(margin, -by))
    sd = float(np.ldexp(planned_sd, -by)) if planned_sd is not None else float(d.std(ddof=1)) if d.size > 1 else 0.0
    planned = planned_n(sd, least, power, alpha) if sd > 0 and least > 0 and sd / least < MOST_SPREAD else None
    note = None if planned_sd is not None else "the planned number is from the spread seen here, not a plan"

    def answer(verdict: str, p: float | None, ranks: float | None, note: str | None) -> NonInferiorityResult:
        return NonInferiorityResult(verdict, interval, margin, source, alpha, p, ranks, int(d.size), planned, note)

    if interval.degenerate or interval.lo is None:
        return answer(NOT_ASSESSABLE, None, None, interval.degenerate)
    p = float(stats.ttest_1samp(d, -least, alternative="greater").pvalue)
    above = d + least
    ranks = float(stats.wilcoxon(above[above != 0], alternative="greater").pvalue) if above.any() else None
    return answer(ESTABLISHED if interval.lo > -margin else NOT_ESTABLISHED, p, ranks, note)


def planned_n(sd: float, margin: float, power: float = 0.8, alpha: float = 0.025) -> int:
    """Number of pairs for a paired non-inferiority test with a true difference of 0: ((z₁₋α + z_power)·sd / margin)².

    Source: Julious 2004, doi 10.1002/sim.1783, with the normal instead of the t quantile.

    Args:
        sd: Standard deviation of the paired differences.
        margin: The margin, in the same unit.
        power: Power of the test.
        alpha: One-sided significance level.

    Returns:
        Number of pairs.
    """
    return ceil(float(((stats.norm.ppf(1 - alpha) + stats.norm.ppf(power)) * sd / margin) ** 2))


def margin_from_raters(dice_between_raters: Sequence[float]) -> float:
    """Half of the mean disagreement (1 − Dice) between raters, the largest margin that rater data can justify.

    Args:
        dice_between_raters: Dice of each pair of raters, 0 to 1.

    Returns:
        The margin, in Dice.

    Raises:
        ValueError: Without a pair of raters.
    """
    if not len(dice_between_raters):
        raise ValueError("no pair of raters: a margin cannot be argued from them")
    return float(np.mean(1.0 - as_finite(dice_between_raters)) / 2)
