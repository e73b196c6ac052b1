"""Criteria: the acceptance criteria of the protocol, and those asked of every study, each with the value reached.

A protocol's thresholds are compared with means over patients. Two things a mean cannot tell: whether another sample of
patients would have given the same result, and whether the test set can tell a good model from a rule that learns
nothing. Hence the interval of a gain must lie above zero, and the test set has criteria of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xmed.html.render import number, signed
from xmed.report.edition import EDITION
from xmed.report.rows import NO_REFERENCE
from xmed.report.sections.leakage.compute import n_overlaps, why_not_compared
from xmed.report.trivial_baseline import AS_GOOD, CEILING, NOT_MEASURED

Document = dict[str, Any]
Criterion = dict[str, Any]
NOT_ABOVE_ZERO = "its interval does not lie above zero"
ONE_PATIENT = "one patient says nothing about others"
ALWAYS_ASKED = 2
"""How many criteria, the last ones, are asked of every study: no leakage, and an unchanged protocol."""


def criteria(protocol: Document, report: Document, same: bool, edition: int = EDITION) -> list[Criterion]:
    """Judge every criterion.

    The last two are asked of every study: no patient or image in training and test, and an unchanged protocol. Before
    them stand, where they apply, that not every case failed, and what is wrong with the test set.

    Args:
        protocol: protocol.json.
        report: summary, intervals, reference_standard and data of the document.
        same: Whether the protocol is the one that was hashed.
        edition: 1 judges by means alone, as version 0.1.0 did.

    Returns:
        {id, text, value, threshold, holds, reason} each; holds is null where a number is undefined. `interval` and
        `note` are there where the value has an interval.
    """
    primary = protocol["protocol"]["primary"]
    structure, metric = primary["structure"], primary["metric"]
    summary, intervals = report["summary"], report["intervals"]
    judged = _asked_by_protocol(protocol["protocol"]["accept"], report, structure, metric, edition)
    if edition > 1:
        with_interval = {
            "gap_closed": intervals["gap_closed"][structure],
            "dice": summary["adapted"].get(structure, {}).get("dice"),
            "not_below_source_only": intervals["adapted_minus_source_only"][structure] if metric == "dice" else None,
        }
        judged = [_with_interval(criterion, with_interval.get(criterion["id"])) for criterion in judged]
    judged += _degenerate(summary["adapted"].get(structure, {}).get("dice") or {}, structure, edition)
    judged += _test_set_criteria(report, structure) if edition > 1 else []
    judged.append(_no_leakage(report["data"]["leakage"]))
    judged.append(
        _compared("protocol_unchanged", "protocol is the one that was hashed", same, True, lambda a, b: a == b)
    )
    return judged


def gain_criterion(gain: Document, threshold: float, structure: str) -> Criterion:
    """Judge the gain over the best trivial baseline.

    It is met where it reaches the threshold and its interval lies above zero. It is not met where it is not above zero,
    or below the threshold. It is open in between, and where there is no interval.

    Args:
        gain: The adapted arm minus the best trivial baseline, as `intervals.gain_over_trivial` of the document.
        threshold: Dice that the protocol asks for.
        structure: The primary structure.
    """
    value, ci = gain["value"], gain["ci"]
    criterion: Criterion = {
        "id": "gain_over_trivial",
        "text": f"gain over the best trivial baseline, {structure}",
        "value": value,
        "threshold": threshold,
        "interval": ci,
    }
    if value is None:
        reason = (gain["reason"] if gain["baseline"] else None) or NOT_MEASURED
        return {**criterion, "holds": None, "reason": reason}
    if value <= 0 or value < threshold:
        return {**criterion, "holds": False, "reason": AS_GOOD if value <= 0 else None}
    if ci is None or ci[0] <= 0:
        interval = f"{signed(ci[0])} to {signed(ci[1])}" if ci else gain["reason"]
        return {**criterion, "holds": None, "reason": f"{signed(value)}, and {NOT_ABOVE_ZERO}: {interval}"}
    return {**criterion, "holds": True, "reason": None}


def _asked_by_protocol(
    accept: Document, report: Document, structure: str, metric: str, edition: int
) -> list[Criterion]:
    summary, intervals = report["summary"], report["intervals"]

    def mean(arm: str, of: str) -> float | None:
        value: float | None = summary[arm].get(structure, {}).get(of, {}).get("mean")
        return value

    judged = []
    if accept["gap_closed"] is not None:
        gap, text = intervals["gap_closed"][structure], f"gap closed, {structure}"
        judged.append(_at_least("gap_closed", text, gap["value"], accept["gap_closed"], gap["reason"]))
    if accept["dice"] is not None:
        dice = mean("adapted", "dice")
        judged.append(_at_least("dice", f"Dice, {structure}", dice, accept["dice"], "no adapted prediction"))
    if accept["gain_over_trivial"] is not None:
        gain, threshold = intervals["gain_over_trivial"][structure], accept["gain_over_trivial"]
        text = f"gain over the best trivial baseline, {structure}"
        by_mean = _at_least("gain_over_trivial", text, gain["value"], threshold, gain["reason"])
        judged.append(gain_criterion(gain, threshold, structure) if edition > 1 else by_mean)
    if accept["not_below_source_only"]:
        text, reason = f"{metric} not below source-only, {structure}", "one of the two arms has no number"
        adapted, source = mean("adapted", metric), mean("source_only", metric)
        judged.append(_at_least("not_below_source_only", text, adapted, source, reason))
    return judged


def _test_set_criteria(report: Document, structure: str) -> list[Criterion]:
    """What is wrong with the test set itself; every such criterion is open, since a model cannot meet it."""
    standard, lead = report["reference_standard"], report["intervals"]["ceiling_over_trivial"][structure]
    n_patients, judged = standard["patients_with"][structure], []
    if standard["patients"] and not n_patients:
        judged.append(_open("reference", f"test patients who have {structure}", 0, 1, NO_REFERENCE))
    elif n_patients == 1:
        judged.append(_open("patients", "patients", 1, 2, ONE_PATIENT))
    if lead["value"] is not None and lead["value"] <= 0:
        text = f"target-supervised above the best trivial baseline, {structure}"
        judged.append({**_open("ceiling", text, lead["value"], 0.0, CEILING), "interval": lead["ci"]})
    return judged


def _with_interval(criterion: Criterion, result: Document | None) -> Criterion:
    """With its interval, and a note where it is met on the mean and its interval begins below the threshold."""
    ci = (result or {}).get("ci")
    if ci is None:
        return criterion
    against_source = criterion["id"] == "not_below_source_only"
    limit = 0.0 if against_source else criterion["threshold"]
    if criterion["holds"] is not True or ci[0] >= limit:
        return {**criterion, "interval": ci}
    limits = " to ".join(signed(end) if against_source else number(end) for end in ci)
    what = "the interval of the difference" if against_source else "its interval"
    note = f"met on the mean; {what}, {limits}, begins below what was asked, {number(limit)}"
    return {**criterion, "interval": ci, "note": note}


def _degenerate(cell: Document, structure: str, edition: int) -> list[Criterion]:
    """That not every case failed; in edition 1 also that there is more than one patient."""
    judged = []
    if cell and cell["n_cases"] and cell["n_failed"] == cell["n_cases"]:
        text = f"not every case failed, {structure}"
        judged.append(_compared("not_all_failed", text, cell["n_failed"], cell["n_cases"] - 1, lambda a, b: a <= b))
    if cell and cell["n"] == 1 and edition == 1:
        judged.append(_open("patients", "patients", 1, 2, ONE_PATIENT))
    return judged


def _no_leakage(leakage: Document) -> Criterion:
    """No patient or image in training and test; open where patients could not be compared."""
    n, reason = n_overlaps(leakage), why_not_compared(leakage)
    text = "patients, studies, series and images on both sides of training and test"
    if reason and not n:
        return {"id": "no_leakage", "text": text, "value": None, "threshold": 0, "holds": None, "reason": reason}
    return _compared("no_leakage", text, n, 0, lambda a, b: a <= b)


def _at_least(key: str, text: str, value: float | None, threshold: float | None, reason: str | None) -> Criterion:
    if value is None or threshold is None:
        return {"id": key, "text": text, "value": value, "threshold": threshold, "holds": None, "reason": reason}
    return _compared(key, text, value, threshold, lambda a, b: a >= b)


def _compared(key: str, text: str, value: Any, threshold: Any, test: Callable[[Any, Any], bool]) -> Criterion:
    holds = bool(test(value, threshold))
    return {"id": key, "text": text, "value": value, "threshold": threshold, "holds": holds, "reason": None}


def _open(key: str, text: str, value: float, threshold: float, reason: str) -> Criterion:
    return {"id": key, "text": text, "value": value, "threshold": threshold, "holds": None, "reason": reason}
