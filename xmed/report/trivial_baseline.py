"""Trivial baselines: rules that learn nothing, above which a model, and a test set, must show something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmed.run import TRIVIAL_ARMS

Document = dict[str, Any]
CEILING = "the ceiling, trained with target labels, is not above the best trivial baseline: this test set cannot judge"
AS_GOOD = "a rule that learns nothing does as well"
NOT_MEASURED = "no trivial baseline was measured: the source that it is made from is not here"
NOT_REQUIRED = "The protocol does not ask for a gain over the trivial baselines"


def best_trivial(dice: Mapping[str, Mapping[str, float]]) -> str:
    """Return the trivial arm with the higher mean Dice over patients.

    Args:
        dice: arm -> patient -> Dice.
    """
    return max(TRIVIAL_ARMS, key=lambda arm: _mean(dice.get(arm, {})))


def measurable(gap: Document, ceiling_over_trivial: Document) -> Document:
    """Return the gap closed, or null where the ceiling is not above the best trivial baseline.

    Where a mean mask does better than a network trained with target labels, the distance to that network measures
    nothing.

    Args:
        gap: The gap closed as `interval` gives it.
        ceiling_over_trivial: The ceiling minus the best trivial baseline, Dice.
    """
    lead = ceiling_over_trivial["value"]
    if lead is None or lead > 0:
        return gap
    return {**gap, "value": None, "ci": None, "reason": CEILING}


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values) if values else 0.0
