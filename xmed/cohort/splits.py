"""Splits: assigns each patient to a partition."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from xmed.spec import SPLITS, FractionSplits, Split, Splits


def assign_splits(splits: Splits | FractionSplits, patients: Collection[str]) -> dict[str, Split]:
    """Assign patients to partitions.

    Args:
        splits: Lists of patients, or fractions to draw.
        patients: The patients that have files.

    Returns:
        Patient → partition. With lists, patients without files are included and patients not listed are left out.
    """
    if isinstance(splits, Splits):
        return {patient: name for name in SPLITS for patient in getattr(splits, name)}
    return _draw(splits, sorted(set(patients)))


def _draw(splits: FractionSplits, patients: list[str]) -> dict[str, Split]:
    """Draw partitions by a number in [0, 1) for each patient that depends on the seed and the patient's id alone.

    Neither the order of files nor additional patients move anybody to another partition, so that a training patient of
    a registered model never becomes a test patient. The partitions' sizes therefore only approximate the fractions. An
    empty partition takes the patient whose number is nearest to it from a partition that has several.
    """
    shares: list[tuple[Split, float]] = [(name, splits.fraction[name]) for name in SPLITS if name in splits.fraction]
    number = {patient: _number(splits.seed, patient) for patient in patients}
    edges: dict[Split, tuple[float, float]] = {}
    low = 0.0
    for name, share in shares:
        edges[name] = (low, low + share)
        low += share
    last = shares[-1][0]
    split_of = {p: next((name for name, (_, high) in edges.items() if number[p] < high), last) for p in patients}
    for name, (low, high) in edges.items():
        used = list(split_of.values())
        spare = [patient for patient in patients if used.count(split_of[patient]) > 1]
        if name not in used and spare:
            nearest = min(spare, key=lambda patient: max(low - number[patient], number[patient] - high))
            split_of[nearest] = name
    return split_of


def _number(seed: int, patient: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}:{patient}".encode()).digest()[:8], "big") / 2**64
