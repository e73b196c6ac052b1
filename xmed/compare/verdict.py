"""Verdict: what a comparison shows, in two plain sentences."""

from __future__ import annotations

from typing import Any

from xmed.report.support import CEILING

ALPHA = 0.05
NOT_CERTAIN = ", which is not certain to be above zero"
Entry = dict[str, Any]


def verdict(found: Entry, ranking: list[Entry], structure: str, patients: int) -> list[str]:
    """The best method with what it gains; then which others the patients cannot tell from it.

    Before both, where it comes to that: that no patient has the structure, or that the test set cannot judge. found:
    `unsupported` structures, and `ceiling_over_trivial` of this one.
    """
    if structure in found["unsupported"]:
        return [f"No test patient has {structure}.", "Nothing follows from this comparison."]
    lead = found["ceiling_over_trivial"]["value"]
    caution = [f"{CEILING[0].upper()}{CEILING[1:]} ({_signed(lead)})."] if lead is not None and lead <= 0 else []
    if why := found.get("selection", {}).get("trivial"):
        caution.append(f"{why[0].upper()}{why[1:]}; a run would register nothing.")
    ranked = sorted((one for one in ranking if one["rank"]), key=lambda one: one["rank"]["value"])
    if not ranked:
        return ["No method could be ranked.", "Nothing follows from this comparison."]
    best, others = ranked[0], ranked[1:]
    return [*caution, _gain(best, len(ranked), structure, patients), _doubt(best, others, patients)]


def _gain(best: Entry, of: int, structure: str, patients: int) -> str:
    low, high = best["dice"]["ci"] or (None, None)
    interval = f" (95 % interval {low:.2f} to {high:.2f})" if low is not None else ""
    text = (
        f"Of {of} methods that see no target label, {best['method']} has the highest mean Dice for {structure} on "
        f"{patients} test patients: {best['dice']['mean']:.3f}{interval}"
    )
    gain, trivial, over = best["minus_source_only"], best["gain_over_trivial"]["value"], best["gain_over_trivial"]["ci"]
    parts = ["no adaptation does better"] if gain is None else []
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


def _doubt(best: Entry, others: list[Entry], patients: int) -> str:
    if not others:
        return "There is no other method to rank it against."
    tests = {one["method"]: one["minus_best"] for one in others if one["minus_best"]}
    open_ = [name for name, test in tests.items() if test["p_holm"] is None or test["p_holm"] > ALPHA]
    first = f"it is first in {100 * best['rank']['first']:.0f} % of resampled sets of patients"
    least = min(1.0, 2.0 ** (1 - patients) * len(tests))  # exact sign flips have no smaller p
    if least > ALPHA:
        return (
            f"{patients} patients are too few to tell it from any of the {len(tests)} others (no p value below "
            f"{least:.2f} is possible after Holm); {first}."
        )
    if not open_:
        return f"Every other method is worse by a paired test over patients (Holm, {ALPHA:g}); {first}."
    names = open_[0] if len(open_) == 1 else f"{', '.join(open_[:-1])} and {open_[-1]}"
    return f"These patients do not tell it from {names} (paired test, Holm, {ALPHA:g}); {first}."
