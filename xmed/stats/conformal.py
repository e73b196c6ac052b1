"""Conformal: how wrong an estimate without labels may be, from how wrong it was on cases with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from xmed.stats.interval import finite, ordinary, scaled
from xmed.stats.proportion import Proportion, proportion
from xmed.stats.two_samples import Mmd


@dataclass(frozen=True)
class Conformal:
    """Half the width of an interval that holds with 1 − alpha, or the reason why n scores cannot give one."""

    half_width: float | None
    alpha: float
    n: int
    k: int
    reason: str | None = None

    def around(self, estimate: float, least: float = 0.0, most: float = 1.0) -> tuple[float, float] | None:
        """The interval of one new case, cut where the quantity ends; None where there is none."""
        if self.half_width is None:
            return None
        return max(estimate - self.half_width, least), min(estimate + self.half_width, most)


@dataclass(frozen=True)
class EstimateCard:
    """What an estimate without labels must carry: where it was calibrated, its error elsewhere, and a warning."""

    method: str
    cohort: str
    conformal: Conformal
    n: int
    mae: float | None
    coverage: Proportion | None
    exchangeable: bool | None
    warning: str | None


def conformal(scores: Sequence[float], alpha: float = 0.1) -> Conformal:
    """Split conformal: the k-th smallest |estimate − truth| of the calibration cases, k = ⌈(n + 1)(1 − alpha)⌉.

    Vovk et al. 2005; Lei et al. 2018, doi 10.1080/01621459.2017.1307116. It holds only while new cases are exchangeable
    with these, and not at all where k > n: nine cases know nothing of 95 %, and are refused.
    """
    x = np.sort(np.abs(finite(scores)))
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
    drift: Mmd | None = None,
) -> EstimateCard:
    """calibration_errors: estimate − truth on `cohort`; estimated, true: of other, labelled cases. drift: mmd2 of both.

    Where the drift test rejects (p < 0.05) the cases are not exchangeable, and the interval means nothing.
    """
    e, t = finite(estimated), finite(true)
    if e.shape != t.shape:
        raise ValueError(f"{e.size} estimates of {t.size} cases")
    found, n = conformal(calibration_errors, alpha), int(e.size)
    (e, t), by = ordinary(e, t)
    errors = np.abs(e - t)
    covered = None
    if n and found.half_width is not None:
        covered = proportion(int((errors <= np.ldexp(found.half_width + 1e-12, -by)).sum()), n)
    same = None if drift is None or drift.p is None else drift.p >= 0.05
    warning = found.reason
    if same is False:
        warning = "new cases are not like those it was calibrated on: do not use this estimate"
    elif covered is not None and covered.hi < 1 - alpha:
        warning = f"the interval holds less often than the {1 - alpha:.0%} it claims"
    mae = scaled(float(errors.mean()), by) if n else None
    return EstimateCard(method, cohort, found, n, mae, covered, same, warning)
