"""Conclusion: what a comparison shows, in plain sentences, and what selection without labels would have chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmed import select
from xmed.html.render import word
from xmed.records.selection import Selection
from xmed.report.trivial_baseline import CEILING
from xmed.select import SOURCE
from xmed.select.regret import ALL, ValidatorRegret

ALPHA = 0.05
NOT_CERTAIN = ", which is not certain to be above zero"
Entry = dict[str, Any]
Document = dict[str, Any]


def conclude(document: Entry, ranking: list[Entry], structure: str, patients: int) -> list[str]:
    """Say which method is best, or which share the first place, and what it gains; then which others may be as good.

    Where no patient has the structure, or where the test set cannot tell methods apart, that is said first.

    Args:
        document: `unsupported` (structures without patients) and `ceiling_over_trivial` of this structure.
        ranking: The ranking of the structure.
        structure: The structure.
        patients: How many test patients there are.

    Returns:
        The sentences.
    """
    if structure in document["unsupported"]:
        return [f"No test patient has {word(structure)}.", "Nothing follows from this comparison."]
    lead = document["ceiling_over_trivial"]["value"]
    caution = [f"{CEILING[0].upper()}{CEILING[1:]} ({_signed(lead)})."] if lead is not None and lead <= 0 else []
    if why := document.get("selection", {}).get("trivial"):
        caution.append(f"{why[0].upper()}{why[1:]}; a run would register nothing.")
    blind = [entry for entry in ranking if not entry["target_labels_used"]]
    ranked = sorted((entry for entry in blind if entry["rank"]), key=lambda entry: entry["rank"]["value"])
    if not ranked and blind and all(_lost(entry) for entry in blind):
        what = f"Every method that sees no target label failed on every case of {word(structure)}"
        return [f"{what}: {_listed([entry['method'] for entry in blind])}.", "There is nothing to rank."]
    if not ranked:
        return ["No method could be ranked.", "Nothing follows from this comparison."]
    first = [entry for entry in ranked if entry["rank"]["value"] == ranked[0]["rank"]["value"]]
    gain = _gain(first, len(blind), structure, patients)
    return [*caution, gain, _doubt(first, ranked[len(first) :], blind, patients)]


def _lost(entry: Entry) -> bool:
    return bool(entry["dice"]["n_cases"]) and entry["dice"]["n_failed"] == entry["dice"]["n_cases"]


def _gain(first: list[Entry], of: int, structure: str, patients: int) -> str:
    best = first[0]
    low, high = best["dice"]["ci"] or (None, None)
    interval = f" (95 % interval {low:.2f} to {high:.2f})" if low is not None else ""
    names, tied = _listed([entry["method"] for entry in first]), len(first) > 1
    text = (
        f"Of {of} method{'s' * (of != 1)} that see{'s' * (of == 1)} no target label, {names} "
        f"{'share' if tied else 'has'} the highest mean Dice for {word(structure)} on {patients} test "
        f"patient{'s' * (patients != 1)}: {best['dice']['mean']:.3f}{interval}"
    )
    gain, trivial, over = best["minus_source_only"], best["gain_over_trivial"]["value"], best["gain_over_trivial"]["ci"]
    parts = ["no adaptation does better"] if gain is None and of > 1 else []
    if gain and gain["value"] is not None:
        sure = "" if gain["p_holm"] is None else f" (p = {gain['p_holm']:.3f} after Holm)"
        parts.append(f"{_signed(gain['value'])} against source only{sure}")
    if trivial is not None:
        useless = (
            ", so nothing here is worth deploying" if trivial <= 0 else "" if over and over[0] > 0 else NOT_CERTAIN
        )
        parts.append(f"{_signed(trivial)} against the better trivial baseline{useless}")
    return f"{text}; {' and '.join(parts)}." if parts else f"{text}."


def _signed(value: float) -> str:
    return f"{value:+z.3f}".replace("-", "−")


def _doubt(first: list[Entry], others: list[Entry], blind: list[Entry], patients: int) -> str:
    best, lost = first[0], [entry["method"] for entry in blind if not entry["rank"] and _lost(entry)]
    failed = f" Failed on every case, and not ranked: {_listed(lost)}." if lost else ""
    if not others:
        return f"There is no other method to rank {'them' if len(first) > 1 else 'it'} against.{failed}"
    if len(first) > 1:
        return (
            f"These patients do not tell the {len(first)} apart; {len(others)} of the ranked come after them.{failed}"
        )
    tests = {entry["method"]: entry["minus_best"] for entry in others if entry["minus_best"]}
    open_ = [name for name, test in tests.items() if test["p_holm"] is None or test["p_holm"] > ALPHA]
    share = best["rank"]["first"]
    often = "" if share is None else f"; it alone is first in {100 * share:.0f} % of resampled sets of patients"
    least = min(1.0, 2.0 ** (1 - patients) * len(tests))  # exact sign flips have no smaller p
    if least > ALPHA:
        few = f"{patients} patient{'s are' if patients != 1 else ' is'} too few to tell it from"
        which = f"any of the {len(tests)} others" if len(tests) > 1 else "the other"
        return f"{few} {which} (no p value below {least:.2f} is possible after Holm){often}.{failed}"
    if not open_:
        return f"Every other method is worse by a paired test over patients (Holm, {ALPHA:g}){often}.{failed}"
    return f"These patients do not tell it from {_listed(open_)} (paired test, Holm, {ALPHA:g}){often}.{failed}"


def _listed(names: list[str]) -> str:
    words = [word(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


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
