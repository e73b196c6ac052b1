"""Verdict: the acceptance criteria of the protocol, each with the number that was reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xmed.files.digest import digest
from xmed.report.edition import EDITION
from xmed.report.population import leaks, uncompared
from xmed.report.sources import Sources
from xmed.report.support import CANNOT, NOT_ASKED, gain_criterion, noted, test_set_criteria

Criterion = dict[str, Any]
RESEARCH = "Research use only. Not for diagnosis."


def criteria(protocol: dict[str, Any], report: dict[str, Any], same: bool, edition: int = EDITION) -> list[Criterion]:
    """Every criterion as {id, text, value, threshold, holds, reason}; holds is null where a number is undefined.

    The last two are asked of every study: the protocol is the one that was hashed, and nobody stands on both sides.
    Before them, where it comes to that: that not every case failed, and what is wrong with the test set (see support).
    `interval` and `note` stand beside where there is one. edition 1: as version 0.1.0 judged, by means alone.
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
        gain, asked = intervals["gain_over_trivial"][structure], accept["gain_over_trivial"]
        text = f"gain over the best trivial baseline, {structure}"
        if edition > 1:
            out.append(gain_criterion(gain, asked, structure))
        else:
            out.append(_at_least("gain_over_trivial", text, gain["value"], asked, gain["reason"]))
    if accept["not_below_source_only"]:
        text = f"{metric} not below source-only, {structure}"
        out.append(_at_least("not_below_source_only", text, adapted, source, "one of the two arms has no number"))
    if edition > 1:
        borne_out = {
            "gap_closed": intervals["gap_closed"][structure],
            "dice": summary["adapted"].get(structure, {}).get("dice"),
            "not_below_source_only": intervals["adapted_minus_source_only"][structure] if metric == "dice" else None,
        }
        out = [noted(one, borne_out.get(one["id"])) for one in out]
    out += _degenerate(summary["adapted"].get(structure, {}).get("dice") or {}, structure, edition)
    out += test_set_criteria(report, structure) if edition > 1 else []
    out.append(_no_leakage(report["data"]["leakage"]))
    out.append(_is("protocol_unchanged", "protocol is the one that was hashed", same, True, lambda a, b: a == b))
    return out


def _degenerate(cell: dict[str, Any], structure: str, edition: int) -> list[Criterion]:
    """What no protocol thinks of: nothing was found in any case, or there was one patient."""
    out = []
    if cell and cell["n_cases"] and cell["n_failed"] == cell["n_cases"]:
        text = f"not every case failed, {structure}"
        out.append(_is("not_all_failed", text, cell["n_failed"], cell["n_cases"] - 1, lambda a, b: a <= b))
    if cell and cell["n"] == 1 and edition == 1:
        why = "one patient says nothing about others"
        patients = {"id": "patients", "text": "patients", "value": 1, "threshold": 2, "holds": None, "reason": why}
        out.append(patients)
    return out


def verdict(found: list[Criterion], edition: int = EDITION, unasked: int = 2) -> str:
    """pass when all hold, inconclusive when nothing was asked, one is open or the test set cannot judge, else fail.

    unasked: how many criteria, at the end, every study has; they can fail it but not be all that it passes on. A model
    that found nothing in any case has failed whatever else is open; so has one that misses a criterion, unless the test
    set itself cannot judge. In edition 1 a number that was undefined came before one that was missed.
    """
    decisive = [*found[len(found) - unasked :], *(one for one in found if one["id"] == "not_all_failed")]
    if any(one["holds"] is False for one in decisive):
        return "fail"
    if edition > 1 and not any(one["id"] in CANNOT for one in found) and any(one["holds"] is False for one in found):
        return "fail"
    if len(found) == unasked or any(one["holds"] is None for one in found):
        return "inconclusive"
    return "pass" if all(one["holds"] for one in found) else "fail"


def banner(sources: Sources, report: dict[str, Any]) -> dict[str, Any]:
    """What stands over everything: verdict, why, what of. A protocol changed afterwards makes all of it exploratory."""
    alone = any(
        one["id"] == "patients" for one in report["criteria"]
    )  # then there is no interval, and one reason says it
    open_ = [one for one in report["criteria"] if one["holds"] is not True]
    said = [one for one in open_ if not (alone and one["id"] == "gain_over_trivial" and one["holds"] is None)]
    why = [f"{one['text']}: {_because(one)}" for one in said]
    if report["exploratory"]:
        why.insert(0, "EXPLORATORY: the protocol was changed after it had been fixed; nothing here confirms anything")
    if not why and report["verdict"] == "pass":
        why = ["every criterion that was fixed before the test labels were read is met"]
    why += [f"{one['text']}: {one['note']}" for one in report["criteria"] if "note" in one]
    if not why or (len(report["criteria"]) == 2 and report["verdict"] == "inconclusive"):
        why.append("the protocol asks for nothing, so nothing can be passed")
    if sources.edition > 1 and report["selection"].get("registered") is False:
        why.append(f"nothing is registered: {report['selection']['reason']}")
    if sources.edition > 1 and report["protocol"]["protocol"]["accept"]["gain_over_trivial"] is None:
        why.append(f"{NOT_ASKED}: the verdict does not say that the model is better than a rule that learns nothing")
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
    why = f": {one['reason']}" if one["reason"] else ""
    return f"{value} reached, {_asked(one)}{threshold} asked{why}"


def _asked(one: Criterion) -> str:
    """A gain of zero is none: more than that is asked for."""
    return "more than " if one["id"] == "gain_over_trivial" and "interval" in one and not one["threshold"] else ""


def _at_least(key: str, text: str, value: float | None, threshold: float | None, reason: str | None) -> Criterion:
    if value is None or threshold is None:
        return {"id": key, "text": text, "value": value, "threshold": threshold, "holds": None, "reason": reason}
    return _is(key, text, value, threshold, lambda a, b: a >= b)


def _is(key: str, text: str, value: Any, threshold: Any, test: Callable[[Any, Any], bool]) -> Criterion:
    holds = bool(test(value, threshold))
    return {"id": key, "text": text, "value": value, "threshold": threshold, "holds": holds, "reason": None}
