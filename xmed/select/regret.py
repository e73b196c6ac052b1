"""Regret: how well label-free scores would have chosen, told afterwards from the true scores; nothing chooses by it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.stats import rankdata

Cell = TypeVar("Cell", bound=Hashable)
ALL = "mean_rank"
"""Beside the validators: all of them together, as they choose."""


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
    """Per validator, and for their mean rank: how it orders the cells that have both, and what choosing by it costs.

    A cell is whatever is chosen among, a (method, seed) say. Higher scores are better; a validator that some cell lacks
    is left out. Where the evidence holds a `mean_rank` that was chosen by, that counts, else that of all validators.
    """
    cells = [cell for cell in evidence_by_cell if cell in dice_by_cell]
    if not cells:
        return {}
    truth = np.array([dice_by_cell[cell] for cell in cells], float)
    names = list(dict.fromkeys(name for cell in cells for name in evidence_by_cell[cell]))
    columns = {name: [evidence_by_cell[cell].get(name) for cell in cells] for name in names}
    scores = {name: np.array(column, float) for name, column in columns.items() if None not in column}
    if len(scores) > 1 and ALL not in scores:
        scores[ALL] = np.mean([rankdata(score) for score in scores.values()], axis=0)
    return {
        name: ValidatorRegret(weighted_spearman(score, truth), regret(score, truth), len(cells))
        for name, score in scores.items()
    }


def regret(score: np.ndarray, truth: np.ndarray) -> float:
    """Best truth minus the truth of what has the best score; of several best ones, their mean."""
    score, truth = np.asarray(score, float), np.asarray(truth, float)
    return float(truth.max() - truth[score == score.max()].mean())


def weighted_spearman(score: np.ndarray, truth: np.ndarray) -> float | None:
    """Rank correlation in which the best count most: weights max(rank of score, rank of truth)², dense ranks over 1.

    Musgrave et al., arXiv:2208.07360: an order among bad models does not matter, a bad model ranked first does. The
    correlation itself is Pearson's of mean ranks under these weights. None where either side is constant.
    """
    a, b = rankdata(score), rankdata(truth)
    dense = [rankdata(side, "dense") for side in (score, truth)]
    w = np.maximum(*(rank / rank.max() for rank in dense)) ** 2
    da, db = (rank - np.average(rank, weights=w) for rank in (a, b))
    spread = float((w * da**2).sum() * (w * db**2).sum())
    return float((w * da * db).sum() / np.sqrt(spread)) if spread > 1e-12 else None
