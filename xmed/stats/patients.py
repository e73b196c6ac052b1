"""Patients: averages the values of each patient, and counts undefined values instead of dropping them silently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xmed.stats.interval import as_finite, scale_back, scale_to_ordinary


@dataclass(frozen=True)
class Defined:
    """The defined values and the numbers of cases; n_used + n_excluded is always n_cases."""

    values: tuple[float, ...]
    n_cases: int
    n_used: int
    n_excluded: int

    def __post_init__(self) -> None:
        if self.n_used + self.n_excluded != self.n_cases or len(self.values) != self.n_used:
            raise ValueError(f"{self.n_used} used and {self.n_excluded} left out are not {self.n_cases} cases")


def count_defined(values: Sequence[float | None]) -> Defined:
    """Select and count the values that are not None.

    Args:
        values: One value per case.

    Returns:
        The values that are defined, and the numbers of cases.

    Raises:
        ValueError: For NaN, because libraries that drop it would ignore missed structures.
    """
    defined = tuple(as_finite([value for value in values if value is not None]).tolist())
    return Defined(defined, len(values), len(defined), len(values) - len(defined))


def mean_by_patient(values: Sequence[float | None], patients: Sequence[str]) -> dict[str, float]:
    """Mean of each patient's defined values.

    Args:
        values: One value per case.
        patients: The patient of each case.

    Returns:
        Patient → mean, in alphabetical order; patients without a defined value are left out.

    Raises:
        ValueError: For lists of different length.
    """
    if len(values) != len(patients):
        raise ValueError(f"{len(values)} values of {len(patients)} patients")
    of_patient: dict[str, list[float]] = defaultdict(list)
    for value, patient in zip(values, patients):
        if value is not None:
            of_patient[patient].append(value)
    return {patient: _mean(of_patient[patient]) for patient in sorted(of_patient)}


def macro_mean(table: Mapping[str, Mapping[str, float | None]]) -> float | None:
    """Mean over structures of the means over patients.

    For the values [[.9, –], [.5, .1]] (patients × structures) this is .4; the mean over patients of their means over
    structures would be .6, and the pooled mean .5.

    Args:
        table: Structure → patient → value or None.

    Returns:
        The mean, or None if nothing is defined.
    """
    means = [
        _mean(defined) for defined in (count_defined(list(row.values())).values for row in table.values()) if defined
    ]
    return _mean(means) if means else None


def seeds_and_patients(values: Mapping[tuple[int, str], float]) -> tuple[dict[str, float], float | None]:
    """Separate the variation between patients from that between seeds.

    Args:
        values: (seed, patient) → value.

    Returns:
        Patient → mean over seeds, and the standard deviation (ddof 1) of the seeds' means; None for one seed.
    """
    patients = sorted({patient for _, patient in values})
    seeds = sorted({seed for seed, _ in values})
    means = {p: _mean([values[s, p] for s in seeds if (s, p) in values]) for p in patients}
    (by_seed,), by = scale_to_ordinary(
        np.array([_mean([values[s, p] for p in patients if (s, p) in values]) for s in seeds])
    )
    return means, scale_back(float(np.std(by_seed, ddof=1)), by) if len(seeds) > 1 else None


def _mean(values: Sequence[float]) -> float:
    (x,), by = scale_to_ordinary(as_finite(values))
    return float(np.ldexp(x.mean(), by))
