"""Splits: which patient belongs to which partition."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from xmed.spec import SPLITS, FractionSplits, Split, Splits


def assign_splits(splits: Splits | FractionSplits, patients: Collection[str]) -> dict[str, Split]:
    """patient → partition. Explicit lists also name patients that were not found, and leave out those they omit."""
    if isinstance(splits, Splits):
        return {patient: name for name in SPLITS for patient in getattr(splits, name)}
    return _draw(splits, sorted(set(patients)))


def _draw(splits: FractionSplits, patients: list[str]) -> dict[str, Split]:
    """Each patient's own number in [0, 1), from the seed and the name alone, says where it falls.

    So neither the order of files nor a patient who joins later moves anybody: a registered model's training patient
    never turns up in its test set. The price is sizes that only approach the fractions. A partition left empty takes
    the patient who fell nearest to it from one that has several.
    """
    shares: list[tuple[Split, float]] = [(name, splits.fraction[name]) for name in SPLITS if name in splits.fraction]
    number = {patient: _number(splits.seed, patient) for patient in patients}
    edges: dict[Split, tuple[float, float]] = {}
    low = 0.0
    for name, share in shares:
        edges[name] = (low, low + share)
        low += share
    last = shares[-1][0]
    out = {p: next((name for name, (_, high) in edges.items() if number[p] < high), last) for p in patients}
    for name, (low, high) in edges.items():
        held = list(out.values())
        spare = [patient for patient in patients if held.count(out[patient]) > 1]
        if name not in held and spare:
            nearest = min(spare, key=lambda patient: max(low - number[patient], number[patient] - high))
            out[nearest] = name
    return out


def _number(seed: int, patient: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}:{patient}".encode()).digest()[:8], "big") / 2**64
