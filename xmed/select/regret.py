"""How well label-free scores would have chosen, computed afterwards from true scores. Nothing is chosen by it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.stats import rankdata

Cell = TypeVar("Cell", bound=Hashable)
ALL = "mean_rank"
"""Key beside the validators: the mean rank over all of them."""


@dataclass(frozen=True)
class ValidatorRegret:
    """How one validator orders the cells, and what choosing by it costs.

    weighted_spearman: None where either side is constant. regret: in Dice. n: cells.
    """

    weighted_spearman: float | None
    regret: float
    n: int


def oracle(
    evidence_by_cell: Mapping[Cell, Mapping[str, float | None]], dice_by_cell: Mapping[Cell, float]
) -> dict[str, ValidatorRegret]:
    """Compare how each validator, and their mean rank, orders the cells with how true Dice orders them.

    A cell is whatever is chosen among, a (method, seed) for example. Higher scores are better. A validator that some
    cell lacks is left out. Where the evidence contains a `mean_rank` that was used for the choice, that one counts,
    else the mean rank of all validators.

    Args:
        evidence_by_cell: Cell → validator → score.
        dice_by_cell: Cell → true Dice.

    Returns:
        Validator → its regret and rank correlation over the cells that have both.
    """
    cells = [cell for cell in evidence_by_cell if cell in dice_by_cell]
    if not cells:
        return {}
    true_dice = np.array([dice_by_cell[cell] for cell in cells], float)
    names = list(dict.fromkeys(name for cell in cells for name in evidence_by_cell[cell]))
    columns = {name: [evidence_by_cell[cell].get(name) for cell in cells] for name in names}
    scores = {name: np.array(column, float) for name, column in columns.items() if None not in column}
    if len(scores) > 1 and ALL not in scores:
        scores[ALL] = np.mean([rankdata(score) for score in scores.values()], axis=0)
    return {
        name: ValidatorRegret(weighted_spearman(score, true_dice), regret(score, true_dice), len(cells))
        for name, score in scores.items()
    }


def regret(score: np.ndarray, truth: np.ndarray) -> float:
    """Return the best true score minus the mean true score of what ranks first."""
    score, truth = np.asarray(score, float), np.asarray(truth, float)
    return float(truth.max() - truth[score == score.max()].mean())


def weighted_spearman(score: np.ndarray, truth: np.ndarray) -> float | None:
    """Return the rank correlation in which the best cells count most (Musgrave et al., arXiv:2208.07360).

    Weights are max(rank of score, rank of truth)², with dense ranks scaled to a maximum of 1; the correlation is
    Pearson's of mean ranks under these weights. An order among bad models does not matter, a bad model ranked first
    does. None where either side is constant.
    """
    a, b = rankdata(score), rankdata(truth)
    dense = [rankdata(side, "dense") for side in (score, truth)]
    w = np.maximum(*(rank / rank.max() for rank in dense)) ** 2
    da, db = (rank - np.average(rank, weights=w) for rank in (a, b))
    spread = float((w * da**2).sum() * (w * db**2).sum())
    return float((w * da * db).sum() / np.sqrt(spread)) if spread > 1e-12 else None
