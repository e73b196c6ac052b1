"""What selection without target labels would have chosen among the compared methods, and what this costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmed import select
from xmed.records.selection import Selection
from xmed.select import SOURCE
from xmed.select.regret import ALL, ValidatorRegret

Document = dict[str, Any]


def choice(selection: Selection, dice: dict[tuple[str, int], float]) -> Document:
    """Compare what was chosen without target labels with the Dice that the methods reached.

    Regret is the best Dice among all candidates minus that of the chosen one (Musgrave et al., arXiv:2208.07360).

    Args:
        selection: selection.json of the comparison.
        dice: (method, seed) → mean over structures of Dice on the test patients.

    Returns:
        `selection` of comparison.json. `validators` says how well each label-free score orders the candidates that pass
        every guard, as means over seeds.
    """
    seeds, tables = [], []
    for key, record in selection.seeds.items():
        seed = int(key)
        dice_of = {
            candidate.name: dice[candidate.name, seed]
            for candidate in record.candidates
            if (candidate.name, seed) in dice
        }
        if record.chosen not in dice_of or SOURCE not in dice_of:
            continue
        best = max(dice_of, key=lambda name: dice_of[name])
        chosen = dice_of[record.chosen]
        seeds.append({
            "seed": seed,
            "chosen": record.chosen,
            "chosen_dice": chosen,
            "best": best,
            "best_dice": dice_of[best],
            "regret": dice_of[best] - chosen,
            "over_source_only": chosen - dice_of[SOURCE],
            "reason": record.reason,
        })  # fmt: skip
        scores = {
            candidate.name: {**candidate.scores, ALL: -(candidate.mean_rank or 0.0)}  # only those that vote count in it
            for candidate in record.candidates
            if candidate.within_limits and candidate.name in dice_of
        }
        if len(scores) > 1:
            tables.append(select.oracle(scores, dice_of))
    names = list(dict.fromkeys(name for table in tables for name in table))
    return {
        "used_target_labels": False,
        "regret": float(np.mean([choice_of_seed["regret"] for choice_of_seed in seeds])) if seeds else None,
        "seeds": seeds,
        "validators": [{"name": name, **_mean([t[name] for t in tables if name in t])} for name in names],
    }


def _mean(costs: list[ValidatorRegret]) -> Document:
    """Means over seeds of one validator's row; None where no seed defines it."""
    spearman = [cost.weighted_spearman for cost in costs if cost.weighted_spearman is not None]
    return {
        "weighted_spearman": float(np.mean(spearman)) if spearman else None,
        "regret": float(np.mean([cost.regret for cost in costs])),
        "n": int(np.mean([cost.n for cost in costs])),
    }
