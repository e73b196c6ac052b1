"""Support: what a verdict rests on: a gain that its interval bears out, a ceiling above the trivial, references.

A protocol's thresholds are held against means over patients. Two things a mean cannot tell: whether another draw of
patients would have come out the same, and whether the test set can tell a good model from a rule that learns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmed.html.render import number, signed
from xmed.report.rows import NO_REFERENCE
from xmed.run import ARMS, TRIVIAL_ARMS

Document = dict[str, Any]
Criterion = dict[str, Any]
CEILING = "the ceiling, trained with target labels, is not above the best trivial baseline: this test set cannot judge"
LUCK = "its interval does not lie above zero"
AS_GOOD = "a rule that learns nothing does as well"
NO_BASELINE = "no trivial baseline was measured: the source that it is made from is not here"
NOT_ASKED = "The protocol does not ask for a gain over the trivial baselines"
CANNOT = ("reference", "ceiling", "patients")
"""Criteria of the test set itself: while one is open, neither pass nor fail can be told."""


def best_trivial(dice: Mapping[str, Mapping[str, float]]) -> str:
    """The trivial arm with the higher mean Dice over patients. dice: arm -> patient -> Dice."""
    return max(TRIVIAL_ARMS, key=lambda arm: _mean(dice.get(arm, {})))


def measurable(gap: Document, lead: Document) -> Document:
    """Gap closed, or null where the ceiling is not above the best trivial baseline (`lead`, ceiling minus baseline).

    Where a mean mask does better than a net with target labels, the distance to that net measures nothing.
    """
    if lead["value"] is None or lead["value"] > 0:
        return gap
    return {**gap, "value": None, "ci": None, "reason": CEILING}


def gain_criterion(found: Document, asked: float, structure: str) -> Criterion:
    """The gain over the best trivial baseline: met where it reaches `asked` and its interval lies above zero.

    Not met where it is not above zero, or below what was asked; open in between, and where there is no interval.
    """
    value, ci = found["value"], found["ci"]
    text = f"gain over the best trivial baseline, {structure}"
    one: Criterion = {"id": "gain_over_trivial", "text": text, "value": value, "threshold": asked, "interval": ci}
    if value is None:
        return {**one, "holds": None, "reason": (found["reason"] if found["baseline"] else None) or NO_BASELINE}
    if value <= 0 or value < asked:
        return {**one, "holds": False, "reason": AS_GOOD if value <= 0 else None}
    if ci is None or ci[0] <= 0:
        shown = f"{signed(ci[0])} to {signed(ci[1])}" if ci else found["reason"]
        return {**one, "holds": None, "reason": f"{signed(value)}, and {LUCK}: {shown}"}
    return {**one, "holds": True, "reason": None}


def unsupported_today(report: Document) -> str | None:
    """Why a report does not pass by today's rules, whatever its edition and its protocol ask; None where it does.

    Version 0.1.0 asked for a gain over the trivial baselines only where a protocol did, and then for its mean alone.
    """
    s, summary = report["study"]["protocol"]["primary"]["structure"], report["summary"]
    gain = report.get("intervals", {}).get("gain_over_trivial", {}).get(s)
    if gain is not None and (one := gain_criterion(gain, 0.0, s))["holds"] is not True:
        return f"{one['text']}: {one['reason']}"
    reached = {arm: (summary.get(arm) or {}).get(s, {}).get("dice", {}).get("mean") for arm in ARMS}
    best = max((reached[arm] for arm in TRIVIAL_ARMS if reached[arm] is not None), default=None)
    ceiling = reached["target_supervised"]
    return CEILING if ceiling is not None and best is not None and ceiling <= best else None


def test_set_criteria(report: Document, structure: str) -> list[Criterion]:
    """What is wrong with the test set itself, where it comes to that; every one of them is open, by its nature."""
    standard, lead = report["reference_standard"], report["intervals"]["ceiling_over_trivial"][structure]
    having, out = standard["patients_with"][structure], []
    if standard["patients"] and not having:
        out.append(_open("reference", f"test patients who have {structure}", 0, 1, NO_REFERENCE))
    elif having == 1:
        out.append(_open("patients", "patients", 1, 2, "one patient says nothing about others"))
    if lead["value"] is not None and lead["value"] <= 0:
        text = f"target-supervised above the best trivial baseline, {structure}"
        out.append({**_open("ceiling", text, lead["value"], 0.0, CEILING), "interval": lead["ci"]})
    return out


def noted(one: Criterion, found: Document | None) -> Criterion:
    """A criterion that is met on the mean, with a note where its interval reaches below what was asked."""
    ci = (found or {}).get("ci")
    if ci is None:
        return one
    against_source = one["id"] == "not_below_source_only"
    limit = 0.0 if against_source else one["threshold"]
    if one["holds"] is not True or ci[0] >= limit:
        return {**one, "interval": ci}
    shown = " to ".join(signed(end) if against_source else number(end) for end in ci)
    what = "the interval of the difference" if against_source else "its interval"
    note = f"met on the mean; {what}, {shown}, begins below what was asked, {number(limit)}"
    return {**one, "interval": ci, "note": note}


def doubts(report: Document, structures: list[str], primary: str) -> list[str]:
    """Limitations of what was tested, a sentence each: who has a structure, and what the ceiling and a mask reach."""
    standard, out = report["reference_standard"], []
    for s in structures:
        having, n = standard["patients_with"][s], standard["patients"]
        drawn = sum("invented" in case["causes"].get(s, []) for case in report["cases"])
        if not having and n:
            more = f"; the adapted model drew it in {drawn} of {len(report['cases'])} cases" if drawn else ""
            out.append(f"No test patient has {s}: how well it is found is not known{more}.")
        elif having < n:
            out.append(f"{having} of {n} test patients {'has' if having == 1 else 'have'} {s}.")
        out += _ceiling_doubt(report, s) + (_gain_doubt(report, s) if s != primary else [])
    return out


def _ceiling_doubt(report: Document, s: str) -> list[str]:
    lead = report["intervals"]["ceiling_over_trivial"][s]
    if lead["value"] is None:
        return []
    if lead["value"] <= 0:
        return [
            f"{s}: a net trained with target labels is not above the best trivial baseline; gap closed says nothing."
        ]
    if lead["ci"] is None or lead["ci"][0] <= 0:
        by = signed(lead["value"])
        return [f"{s}: that target labels gain anything over the best trivial baseline is not certain ({by})."]
    return []


def _gain_doubt(report: Document, s: str) -> list[str]:
    gain = report["intervals"]["gain_over_trivial"][s]
    if gain["value"] is None or (gain["ci"] and gain["ci"][0] > 0):
        return []
    return [f"{s}: the gain over the best trivial baseline is not clearly above zero ({signed(gain['value'])})."]


def _open(key: str, text: str, value: float, threshold: float, reason: str) -> Criterion:
    return {"id": key, "text": text, "value": value, "threshold": threshold, "holds": None, "reason": reason}


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values) if values else 0.0
