"""Verdict: the acceptance criteria of the protocol, each with the number that was reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xmed.digest import digest
from xmed.report.population import leaks, uncompared
from xmed.report.sources import Sources

Criterion = dict[str, Any]
RESEARCH = "Research use only. Not for diagnosis."


def criteria(protocol: dict[str, Any], report: dict[str, Any], same: bool) -> list[Criterion]:
    """Every criterion as {id, text, value, threshold, holds, reason}; holds is null where a number is undefined.

    The last two are asked of every study: the protocol is the one that was hashed, and nobody stands on both sides.
    Before them, where it comes to that: that not every case failed, and that more than one patient was tested.
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
    out += _degenerate(summary["adapted"].get(structure, {}).get("dice") or {}, structure)
    out.append(_no_leakage(report["data"]["leakage"]))
    out.append(_is("protocol_unchanged", "protocol is the one that was hashed", same, True, lambda a, b: a == b))
    return out


def _degenerate(cell: dict[str, Any], structure: str) -> list[Criterion]:
    """What no protocol thinks of: nothing was found in any case, or there was one patient."""
    out = []
    if cell and cell["n_cases"] and cell["n_failed"] == cell["n_cases"]:
        text = f"not every case failed, {structure}"
        out.append(_is("not_all_failed", text, cell["n_failed"], cell["n_cases"] - 1, lambda a, b: a <= b))
    if cell and cell["n"] == 1:
        why = "one patient says nothing about others"
        patients = {"id": "patients", "text": "patients", "value": 1, "threshold": 2, "holds": None, "reason": why}
        out.append(patients)
    return out


def verdict(found: list[Criterion], unasked: int = 2) -> str:
    """inconclusive when a needed number is undefined or nothing was asked, pass when all hold, else fail.

    unasked: how many criteria, at the end, every study has; they can fail it but not be all that it passes on. A model
    that found nothing in any case has failed whatever else is undefined.
    """
    decisive = [*found[len(found) - unasked :], *(one for one in found if one["id"] == "not_all_failed")]
    if any(one["holds"] is False for one in decisive):
        return "fail"
    if len(found) == unasked or any(one["holds"] is None for one in found):
        return "inconclusive"
    return "pass" if all(one["holds"] for one in found) else "fail"


def banner(sources: Sources, report: dict[str, Any]) -> dict[str, Any]:
    """What stands over everything: verdict, why, what of. A protocol changed afterwards makes all of it exploratory."""
    why = [f"{one['text']}: {_because(one)}" for one in report["criteria"] if one["holds"] is not True]
    if report["exploratory"]:
        why.insert(0, "EXPLORATORY: the protocol was changed after it had been fixed; nothing here confirms anything")
    if not why and report["verdict"] == "pass":
        why = ["every criterion that was fixed before the test labels were read is met"]
    if not why or (len(report["criteria"]) == 2 and report["verdict"] == "inconclusive"):
        why.append("the protocol asks for nothing, so nothing can be passed")
    weights = report["model"]["weights_sha256"]
    return {
        "verdict": report["verdict"],
        "exploratory": report["exploratory"],
        "reasons": why,
        "use": RESEARCH,
        "model": report["model"]["name"],
        "weights_sha256": next(iter(weights.values()), None),
        "data_fingerprint": report["data"]["fingerprint"]["target"],
        "protocol_sha256": report["protocol_sha256"],
        "date": sources.environment.get("finished"),
    }


def unchanged(sources: Sources) -> bool:
    """Whether the protocol is the one that was hashed, that the study says and that every model was made under."""
    protocol, study = sources.protocol, sources.study
    fixed = {key: protocol[key] for key in protocol if key not in ("sha256", "fixed_at")}
    # A model that is validated elsewhere was made under the protocol of its own study.
    made = [] if sources.external else sources.cards
    cards = {card["protocol_sha256"] for card in made if "protocol_sha256" in card}
    same = all(study.get(key) == fixed[key] for key in fixed)
    seen = sources.report is None or not sources.report["exploratory"]  # far from its run the models are not there
    return digest(fixed) == protocol["sha256"] and same and cards <= {protocol["sha256"]} and seen


def _no_leakage(found: dict[str, Any]) -> Criterion:
    """Nothing on both sides; unknown where patients could not even be compared."""
    n, unknown = leaks(found), uncompared(found)
    text = "patients, studies, series and images on both sides of training and test"
    if unknown and not n:
        return {"id": "no_leakage", "text": text, "value": None, "threshold": 0, "holds": None, "reason": unknown}
    return _is("no_leakage", text, n, 0, lambda a, b: a <= b)


def _because(one: Criterion) -> str:
    if one["holds"] is None:
        return f"cannot be judged ({one['reason'] or 'a number is missing'})"
    value, threshold = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in (one["value"], one["threshold"]))
    return f"{value} reached, {threshold} asked"


def _at_least(key: str, text: str, value: float | None, threshold: float | None, reason: str | None) -> Criterion:
    if value is None or threshold is None:
        return {"id": key, "text": text, "value": value, "threshold": threshold, "holds": None, "reason": reason}
    return _is(key, text, value, threshold, lambda a, b: a >= b)


def _is(key: str, text: str, value: Any, threshold: Any, test: Callable[[Any, Any], bool]) -> Criterion:
    holds = bool(test(value, threshold))
    return {"id": key, "text": text, "value": value, "threshold": threshold, "holds": holds, "reason": None}
