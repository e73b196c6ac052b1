"""Non-inferiority: is what was adapted at most a margin worse than what was trained with target labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy import stats

from xmed.stats.interval import Interval, finite, rescaled, t_ci
from xmed.stats.paired import differences

MOST_SPREAD = 1e6
"""Standard deviations of more margins than this need no plan: it would ask for more patients than there are people."""
ESTABLISHED, NOT_ESTABLISHED, NOT_ASSESSABLE = "established", "not_established", "not_assessable"


@dataclass(frozen=True)
class NonInferiority:
    """The verdict, and everything that it was decided on. `difference` is positive where the adapted arm is better."""

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


def noninferiority(
    adapted: Sequence[float],
    reference: Sequence[float],
    margin: float,
    source: str,
    *,
    higher_is_better: bool = True,
    alpha: float = 0.025,
    power: float = 0.8,
    planned_sd: float | None = None,
) -> NonInferiority:
    """Established where the lower limit of the two-sided (1 − 2α) t-interval of the paired difference is above −margin.

    Decided on unrounded numbers: −0.01505 is below −0.015 although it prints the same. That two arms do not differ
    significantly never establishes anything. `p` is the one-sided t-test of the same question, and agrees with the
    interval by construction; `p_wilcoxon` asks it of ranks. planned_sd: of the differences, as the protocol assumed it.

    Raises ValueError for a margin that is not above 0, or without a source.
    """
    if not (np.isfinite(margin) and margin > 0):
        raise ValueError(f"a margin of {margin:g} is no margin: it must be above 0")
    if not source.strip():
        raise ValueError("a margin needs its source: raters, a publication, or a clinical argument")
    d, by = differences(adapted, reference)
    d = d * (1 if higher_is_better else -1)
    found, least = rescaled(t_ci(d.tolist(), 1 - 2 * alpha), by), float(np.ldexp(margin, -by))
    sd = float(np.ldexp(planned_sd, -by)) if planned_sd is not None else float(d.std(ddof=1)) if d.size > 1 else 0.0
    planned = planned_n(sd, least, power, alpha) if sd > 0 and least > 0 and sd / least < MOST_SPREAD else None
    note = None if planned_sd is not None else "the planned number is from the spread seen here, not a plan"

    def answer(verdict: str, p: float | None, ranks: float | None, note: str | None) -> NonInferiority:
        return NonInferiority(verdict, found, margin, source, alpha, p, ranks, int(d.size), planned, note)

    if found.degenerate or found.lo is None:
        return answer(NOT_ASSESSABLE, None, None, found.degenerate)
    p = float(stats.ttest_1samp(d, -least, alternative="greater").pvalue)
    above = d + least
    ranks = float(stats.wilcoxon(above[above != 0], alternative="greater").pvalue) if above.any() else None
    return answer(ESTABLISHED if found.lo > -margin else NOT_ESTABLISHED, p, ranks, note)


def planned_n(sd: float, margin: float, power: float = 0.8, alpha: float = 0.025) -> int:
    """Pairs that a paired non-inferiority test needs when the true difference is 0: ((z₁₋α + z_power)·sd / margin)².

    Julious 2004, doi 10.1002/sim.1783, with the normal instead of the t quantile.
    """
    return ceil(((stats.norm.ppf(1 - alpha) + stats.norm.ppf(power)) * sd / margin) ** 2)


def margin_from_raters(dice_between_raters: Sequence[float]) -> float:
    """Half of the mean disagreement (1 − Dice) between raters: the widest margin that can be argued from them.

    Raises ValueError where there is no pair of raters.
    """
    if not len(dice_between_raters):
        raise ValueError("no pair of raters: a margin cannot be argued from them")
    return float(np.mean(1.0 - finite(dice_between_raters)) / 2)
