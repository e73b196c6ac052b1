"""Verdict: the acceptance criteria of the protocol, each with the number that was reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Criterion = dict[str, Any]


def criteria(protocol: dict[str, Any], report: dict[str, Any], unchanged: bool) -> list[Criterion]:
    """Every criterion as {id, text, value, threshold, holds, reason}; holds is null where a number is undefined.

    The last two are asked of every study: the protocol is the one that was hashed, and nobody stands on both sides.
    """
    primary, accept = protocol["protocol"]["primary"], protocol["protocol"]["accept"]
    structure, metric = primary["structure"], primary["metric"]
    summary, intervals = report["summary"], report["intervals"]

    def mean(arm: str, of: str) -> float | None:
        return summary[arm].get(structure, {}).get(of, {}).get("mean")

    adapted, source = mean("adapted", metric), mean("source_only", metric)
    out = []
    if accept["gap_closed"] is not None:
        gap = intervals["gap_closed"][structure]
        out.append(
            _at_least("gap_closed", f"gap closed, {structure}", gap["value"], accept["gap_closed"], gap["reason"])
        )
    if accept["dice"] is not None:
        dice = mean("adapted", "dice")
        out.append(_at_least("dice", f"Dice, {structure}", dice, accept["dice"], "no adapted prediction"))
    if accept["gain_over_trivial"] is not None:
        gain = intervals["gain_over_trivial"][structure]
        text = f"gain over the best trivial baseline, {structure}"
        out.append(_at_least("gain_over_trivial", text, gain["value"], accept["gain_over_trivial"], gain["reason"]))
    if accept["not_below_source_only"]:
        text = f"{metric} not below source-only, {structure}"
        out.append(_at_least("not_below_source_only", text, adapted, source, "one of the two arms has no number"))
    leaks = sum(len(found) for found in report["data"]["leakage"].values())
    out.append(
        _is("no_leakage", "patients and images on both sides of training and test", leaks, 0, lambda a, b: a <= b)
    )
    out.append(_is("protocol_unchanged", "protocol is the one that was hashed", unchanged, True, lambda a, b: a == b))
    return out


def verdict(found: list[Criterion], unasked: int = 2) -> str:
    """inconclusive when a needed number is undefined or nothing was asked, pass when all hold, else fail.

    unasked: how many criteria, at the end, every study has; they can fail it but not be all that it passes on.
    """
    if not all(one["holds"] for one in found[len(found) - unasked :]):
        return "fail"
    if len(found) == unasked or any(one["holds"] is None for one in found):
        return "inconclusive"
    return "pass" if all(one["holds"] for one in found) else "fail"


def _at_least(key: str, text: str, value: float | None, threshold: float | None, reason: str | None) -> Criterion:
    if value is None or threshold is None:
        return {"id": key, "text": text, "value": value, "threshold": threshold, "holds": None, "reason": reason}
    return _is(key, text, value, threshold, lambda a, b: a >= b)


def _is(key: str, text: str, value: Any, threshold: Any, test: Callable[[Any, Any], bool]) -> Criterion:
    holds = bool(test(value, threshold))
    return {"id": key, "text": text, "value": value, "threshold": threshold, "holds": holds, "reason": None}
