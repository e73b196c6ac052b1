"""Patients: many rows of one person become one value; what is undefined is left out aloud; seeds are never patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xmed.stats.interval import finite, ordinary, scaled


@dataclass(frozen=True)
class Defined:
    """The values that exist, and how many cases there were: n_used + n_excluded is n_cases, always."""

    values: tuple[float, ...]
    n_cases: int
    n_used: int
    n_excluded: int

    def __post_init__(self) -> None:
        if self.n_used + self.n_excluded != self.n_cases or len(self.values) != self.n_used:
            raise ValueError(f"{self.n_used} used and {self.n_excluded} left out are not {self.n_cases} cases")


def defined(values: Sequence[float | None]) -> Defined:
    """The values that are not None, counted. NaN is refused: a library that drops it calls a miss perfect."""
    kept = tuple(finite([value for value in values if value is not None]).tolist())
    return Defined(kept, len(values), len(kept), len(values) - len(kept))


def by_patient(values: Sequence[float | None], patients: Sequence[str]) -> dict[str, float]:
    """Mean of each patient's defined values, patients in alphabetical order; who has none is not in it."""
    if len(values) != len(patients):
        raise ValueError(f"{len(values)} values of {len(patients)} patients")
    found: dict[str, list[float]] = defaultdict(list)
    for value, patient in zip(values, patients):
        if value is not None:
            found[patient].append(value)
    return {patient: _mean(found[patient]) for patient in sorted(found)}


def macro(table: Mapping[str, Mapping[str, float | None]]) -> float | None:
    """Mean over structures of the mean over patients, of {structure: {patient: value}}; None where nothing is defined.

    Neither the mean over patients of means over structures (.6 for [[.9, –], [.5, .1]]) nor the pooled one (.5): .4.
    """
    means = [_mean(kept) for kept in (defined(list(row.values())).values for row in table.values()) if kept]
    return _mean(means) if means else None


def seeds_and_patients(values: Mapping[tuple[int, str], float]) -> tuple[dict[str, float], float | None]:
    """Per-patient mean over seeds, and the standard deviation (ddof 1) of the seeds' own means; None for one seed.

    `values` maps (seed, patient) to a number. The two spreads answer different questions and are never pooled.
    """
    patients = sorted({patient for _, patient in values})
    seeds = sorted({seed for seed, _ in values})
    means = {p: _mean([values[s, p] for s in seeds if (s, p) in values]) for p in patients}
    (by_seed,), by = ordinary(np.array([_mean([values[s, p] for p in patients if (s, p) in values]) for s in seeds]))
    return means, scaled(float(np.std(by_seed, ddof=1)), by) if len(seeds) > 1 else None


def _mean(values: Sequence[float]) -> float:
    (x,), by = ordinary(finite(values))
    return float(np.ldexp(x.mean(), by))
