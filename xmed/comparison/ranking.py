"""Ranking of methods: which is best, by how much over which others, and how certain that is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from xmed import stats
from xmed.records.record import content
from xmed.records.training import Training
from xmed.report.row_facts import failed
from xmed.report.rows import Rows
from xmed.report.trivial_baseline import best_trivial, why_no_gap
from xmed.run import TRIVIAL_ARMS, Arm

REFERENCE = "bridge"
"""Every method is compared with this one as well as with source-only and the best: it is xmed's own."""
Cell = tuple[str, int]
"""(method, seed)."""
Document = dict[str, Any]


def ranking(rows: Rows, structure: str, trained: dict[Cell, Training], seconds: dict[Cell, float]) -> list[Document]:
    """Rank the methods on one structure by their mean Dice.

    Only methods that saw no target label and did not fail on every case have a rank. With one patient there is nothing
    to resample, and the rank has no interval.

    Args:
        rows: Every measured prediction.
        structure: Name of the structure.
        trained: (method, seed) → its training.
        seconds: (method, seed) → seconds of its training, with every training that it begins with.

    Returns:
        One entry per method, the best first, methods that saw target labels last.
    """
    arms = list(dict.fromkeys(arm for arm, _ in trained))
    dice = {arm: rows.by_patient(arm, structure, "dice")[0] for arm in (*arms, *TRIVIAL_ARMS)}
    informed = {arm for (arm, _), record in trained.items() if record.target_labels_used}
    blind = [arm for arm in arms if arm not in informed and dice[arm]]
    alive = [arm for arm in blind if not all(map(failed, rows.of(arm, structure)))]
    everyone = sorted(set.intersection(*(set(dice[arm]) for arm in alive))) if alive else []
    scores = [[dice[arm][p] for p in everyone] for arm in alive] if everyone else []
    places, means = (
        dict(zip(alive, stats.bootstrap_ranks(scores) if scores else [])),
        dict(zip(alive, stats.mean_ranks(scores))),
    )
    several = len(everyone) > 1
    best = min(places, key=lambda arm: places[arm].rank) if places else None
    trivial = best_trivial(dice)
    against = {"source_only": "source_only", REFERENCE: REFERENCE, "best": best}
    tested = {name: differences(dice, other, blind) for name, other in against.items() if other}
    out = []
    for arm in sorted(arms, key=lambda arm: (arm in informed, -(stats.mean_ci(list(dice[arm].values())).mean or 0.0))):
        seeds = [seed for other, seed in trained if other == arm]
        record, place = trained[arm, seeds[0]], places.get(arm)
        out.append({
            "method": arm,
            "target_labels_used": arm in informed,
            "seeds": seeds,
            **statistic(rows, arm, structure),
            "gap_closed": gap_closed(dice, arm),
            "gain_over_trivial": _difference(dice[arm], dice[trivial]),
            **{f"minus_{name}": of_arm.get(arm) for name, of_arm in tested.items()},
            "rank": place
            and {
                "value": place.rank,
                "ci": [place.lo, place.hi] if several else None,
                "first": place.first if several else None,
                "mean": means[arm],
            },
            "seconds": float(np.mean([seconds[arm, seed] for seed in seeds])),
            "cite": record.cite,
        })  # fmt: skip
    return out


def differences(dice: dict[str, dict[str, float]], other: str, arms: Iterable[str]) -> dict[str, Document]:
    """Compute the paired Dice difference of every other arm to one arm; p_holm adjusts for all of them together.

    Args:
        dice: Arm → patient → Dice.
        other: The arm to compare with.
        arms: The arms to compare.

    Returns:
        Arm → its difference to the other arm.
    """
    results = {arm: _difference(dice[arm], dice.get(other, {})) for arm in arms if arm != other}
    tested = [arm for arm in results if results[arm]["p_sign_flip"] is not None]
    adjusted = dict(zip(tested, stats.holm_adjusted([results[arm]["p_sign_flip"] for arm in tested])))
    return {arm: {**result, "p_holm": adjusted.get(arm)} for arm, result in results.items()}


def rank_agreement(ranking: list[Document]) -> float | None:
    """Compute Kendall's τ between the order by mean Dice and the order by the mean of each patient's ranks.

    Source: Maier-Hein et al., Nat Commun 2018, doi 10.1038/s41467-018-07619-7.

    Args:
        ranking: The entries of one structure.

    Returns:
        −1 to 1; None for one method, or where no two methods differ.
    """
    ranked = [entry["rank"] for entry in ranking if entry["rank"]]
    return stats.kendall_tau([rank["value"] for rank in ranked], [rank["mean"] for rank in ranked])


def statistic(rows: Rows, arm: str, structure: str) -> Document:
    """Return the Dice of one arm and structure over patients.

    Args:
        rows: Every measured prediction.
        arm: Name of the arm.
        structure: Name of the structure.

    Returns:
        `dice` of an entry.
    """
    cell = content(rows.statistic(arm, structure, "dice"))
    return {
        "dice": {key: cell[key] for key in ("mean", "ci", "n", "n_failed", "n_cases", "sd_between_seeds", "reason")}
    }


def gap_closed(dice: dict[str, dict[str, float]], arm: str) -> Document:
    """Compute which share of the gap between source-only and target-supervised an arm closes.

    Args:
        dice: Arm → patient → Dice.
        arm: Name of the arm.

    Returns:
        {value, ci, reason}; null values where the gap cannot be measured.
    """
    chosen = [dice.get(name, {}) for name in (Arm.SOURCE_ONLY, arm, Arm.TARGET_SUPERVISED)]
    everyone = sorted(set.intersection(*(set(values) for values in chosen)))
    result = stats.gap_closed_interval(*([values[p] for p in everyone] for values in chosen))
    gap = {
        "value": result.mean,
        "ci": None if result.lo is None else [result.lo, result.hi],
        "reason": result.degenerate,
    }
    reason = why_no_gap(ceiling(dice)["value"])
    return {**gap, "value": None, "ci": None, "reason": reason} if reason else gap


def ceiling(dice: dict[str, dict[str, float]]) -> Document:
    """Compute target-supervised minus the better trivial baseline; a gap can be measured only where it is above 0.

    Args:
        dice: Arm → patient → Dice.

    Returns:
        The paired difference of mean Dice, with its interval and test.
    """
    return _difference(dice.get(Arm.TARGET_SUPERVISED, {}), dice.get(best_trivial(dice), {}))


def _difference(a: dict[str, float], b: dict[str, float]) -> Document:
    shared = sorted(set(a) & set(b))
    result = stats.compare_paired([a[p] for p in shared], [b[p] for p in shared])
    ci = None if result.difference.lo is None else [result.difference.lo, result.difference.hi]
    return {
        "value": result.difference.mean,
        "ci": ci,
        "n": result.difference.n,
        "p_sign_flip": result.p_sign_flip,
        "smallest_p": result.smallest_p,
    }
