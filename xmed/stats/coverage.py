"""Coverage: what is gained when a model keeps silent on the cases it is least sure of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xmed.stats.interval import finite, ordinary
from xmed.stats.proportion import Proportion, proportion

CHOSEN_HERE = "chosen on the same cases that it is reported on, which flatters it"


@dataclass(frozen=True)
class RiskCoverage:
    """Risk among the k surest cases, k = 1 … n; equally sure cases share their mean, so their order cannot matter.

    coverage k/n; risk: the mean among those kept; undetected: their sum divided by n, which cannot be made small by
    keeping a lucky few. augrc is the area under `undetected` from 0; `_ideal` that of the perfect order, `_random` that
    of none. aurc_trapezoid integrates `risk` from 1/n to 1, aurc_mean averages it; e_ is what is above the ideal.
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
        """Mean risk of the surest cases that make up at least `coverage` (0 to 1) of all; None without cases."""
        reached = [risk for at, risk in zip(self.coverage, self.risk) if at >= coverage - 1e-12]
        return reached[0] if reached else None


def risk_coverage(confidence: Sequence[float], risk: Sequence[float]) -> RiskCoverage:
    """Risk (1 − Dice, or whatever is to be small) against coverage.

    AUGRC: Traub et al., NeurIPS 2024, arXiv 2407.01032. AURC: Geifman & El-Yaniv 2017, as mean and as trapezoid.
    """
    c, r = finite(confidence), finite(risk)
    if c.shape != r.shape:
        raise ValueError(f"{c.size} confidences and {r.size} risks")
    n = int(c.size)
    if n == 0:
        nothing = (None, None, None, None, None, None, None)
        return RiskCoverage(0, (), (), (), *nothing, degenerate="no case with a confidence")
    (r,), by = ordinary(r)
    places, total, mean = np.arange(1, n + 1), _summed(c, r), _summed(-r, r)
    selective, ideal = total / places, mean / places
    first = _area(total / n) + float(total[0]) / n / 2 / n
    best = _area(mean / n) + float(mean[0]) / n / 2 / n

    def back(value: float) -> float:
        return float(np.ldexp(value, by))

    return RiskCoverage(
        n,
        tuple((places / n).tolist()),
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
    """Keep the cases of at least `threshold` confidence: how many those are, and how many of them fail."""

    threshold: float | None
    n: int
    n_kept: int
    n_failed_kept: int
    coverage: Proportion
    failures: Proportion
    note: str | None


def operating_point(confidence: Sequence[float], failed: Sequence[bool], most_failures: float = 0.05) -> OperatingPoint:
    """The threshold that keeps most cases with no more than this share of failures among them, or none."""
    c, bad = finite(confidence), np.asarray(failed, dtype=bool)
    if c.shape != bad.shape:
        raise ValueError(f"{c.size} confidences and {bad.size} outcomes")
    n, best = int(c.size), None
    for threshold in np.unique(c):  # equally sure cases are kept or left together
        kept = c >= threshold
        if bad[kept].mean() <= most_failures + 1e-12:
            best = threshold
            break
    if best is None:
        note = "no threshold keeps the failures this rare" if n else "no case with a confidence"
        return OperatingPoint(None, n, 0, 0, proportion(0, n), proportion(0, 0), note)
    kept = c >= best
    n_kept, n_bad = int(kept.sum()), int(bad[kept].sum())
    return OperatingPoint(float(best), n, n_kept, n_bad, proportion(n_kept, n), proportion(n_bad, n_kept), CHOSEN_HERE)


def _summed(order: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """Running sum of risk, largest `order` first, each replaced by the mean of those that tie with it."""
    groups, which = np.unique(-order, return_inverse=True)
    mean = np.bincount(which, risk, len(groups)) / np.bincount(which, minlength=len(groups))
    return np.cumsum(mean[np.sort(which)])


def _area(values: np.ndarray) -> float:
    return float(np.trapezoid(values, dx=1 / len(values)))
