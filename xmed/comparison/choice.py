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
    """selection.json of a comparison, in hindsight.

    dice: per (method, seed) the mean over structures of Dice on the test patients. Regret is the best Dice among all
    candidates minus that of the chosen one (Musgrave et al., arXiv:2208.07360). `validators` orders those that the
    guards keep; means over seeds.
    """
    seeds, tables = [], []
    for key, record in selection.seeds.items():
        seed = int(key)
        known = {one.name: dice[one.name, seed] for one in record.candidates if (one.name, seed) in dice}
        if record.chosen not in known or SOURCE not in known:
            continue
        best = max(known, key=lambda name: known[name])
        chosen = known[record.chosen]
        seeds.append({
            "seed": seed,
            "chosen": record.chosen,
            "chosen_dice": chosen,
            "best": best,
            "best_dice": known[best],
            "regret": known[best] - chosen,
            "over_source_only": chosen - known[SOURCE],
            "reason": record.reason,
        })  # fmt: skip
        kept = {
            one.name: {**one.scores, ALL: -(one.mean_rank or 0.0)}  # only those that vote count in it
            for one in record.candidates
            if one.within_limits and one.name in known
        }
        if len(kept) > 1:
            tables.append(select.oracle(kept, known))
    names = list(dict.fromkeys(name for table in tables for name in table))
    return {
        "used_target_labels": False,
        "regret": float(np.mean([one["regret"] for one in seeds])) if seeds else None,
        "seeds": seeds,
        "validators": [{"name": name, **_mean([t[name] for t in tables if name in t])} for name in names],
    }


def _mean(found: list[ValidatorRegret]) -> Document:
    """Means over seeds of one validator's row; None where no seed defines it."""
    spearman = [one.weighted_spearman for one in found if one.weighted_spearman is not None]
    return {
        "weighted_spearman": float(np.mean(spearman)) if spearman else None,
        "regret": float(np.mean([one.regret for one in found])),
        "n": int(np.mean([one.n for one in found])),
    }
