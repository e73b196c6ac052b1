"""Trivial baselines: rules that learn nothing, above which a model, and a test set, must show something."""

from __future__ import annotations

from collections.abc import Mapping

from xmed.run import TRIVIAL_ARMS

CEILING = "the ceiling, trained with target labels, is not above the best trivial baseline: this test set cannot judge"
AS_GOOD = "a rule that learns nothing does as well"
NOT_MEASURED = "no trivial baseline was measured: the source that it is made from is not here"
NOT_REQUIRED = "The protocol does not ask for a gain over the trivial baselines"


def best_trivial(dice: Mapping[str, Mapping[str, float]]) -> str:
    """Return the trivial arm with the higher mean Dice over patients.

    Args:
        dice: arm -> patient -> Dice.

    Returns:
        Name of the arm; of the first one where both have the same mean.
    """
    return max(TRIVIAL_ARMS, key=lambda arm: _mean(dice.get(arm, {})))


def why_no_gap(ceiling_over_trivial: float | None) -> str | None:
    """Explain why the gap closed is not measured.

    Where a mean mask does better than a network trained with target labels, the distance to that network measures
    nothing.

    Args:
        ceiling_over_trivial: Mean Dice of the ceiling minus that of the best trivial baseline; None where one of them
            is not there.

    Returns:
        The reason where the ceiling is not above the best trivial baseline; None where the gap can be measured.
    """
    return None if ceiling_over_trivial is None or ceiling_over_trivial > 0 else CEILING


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values) if values else 0.0
