"""Verdict: pass, fail or inconclusive from the judged criteria, and the banner that says why."""

from __future__ import annotations

from typing import Any

from xmed.files.digest import digest
from xmed.records.record import content
from xmed.records.validation_report import Report
from xmed.report.criteria import ALWAYS_ASKED, Criterion, gain_criterion
from xmed.report.edition import EDITION
from xmed.report.sources import Sources
from xmed.report.trivial_baseline import CEILING, NOT_REQUIRED
from xmed.run import TRIVIAL_ARMS

Document = dict[str, Any]
RESEARCH = "Research use only. Not for diagnosis."
TEST_SET_CRITERIA = ("reference", "ceiling", "patients")
"""Criteria of the test set itself: while one of them is open, neither pass nor fail can be told."""


def judge_criteria(judged: list[Criterion], edition: int = EDITION) -> str:
    """Return pass, fail or inconclusive.

    Fail: leakage or a changed protocol; every case failed; or a criterion is not met and the test set can judge.
    Inconclusive: the protocol asks for nothing, a criterion is open, or the test set cannot judge. Pass: all are met.
    The criteria that every study has can fail it, but a study does not pass on them alone.

    Args:
        judged: The criteria as `criteria` gives them.
        edition: In edition 1 an open criterion came before one that is not met.
    """
    decisive = [*judged[-ALWAYS_ASKED:], *(criterion for criterion in judged if criterion["id"] == "not_all_failed")]
    if any(criterion["holds"] is False for criterion in decisive):
        return "fail"
    not_met = any(criterion["holds"] is False for criterion in judged)
    if edition > 1 and not_met and not any(criterion["id"] in TEST_SET_CRITERIA for criterion in judged):
        return "fail"
    if len(judged) == ALWAYS_ASKED or any(criterion["holds"] is None for criterion in judged):
        return "inconclusive"
    return "fail" if not_met else "pass"


def unsupported_today(report: Report) -> str | None:
    """Judge a report by today's rules, whatever its edition and protocol.

    Version 0.1.0 asked for a gain over the trivial baselines only where a protocol did, and then for its mean alone.

    Args:
        report: The document.

    Returns:
        Why the report does not pass today; None where it does.
    """
    structure = report.study.protocol.primary.structure
    gain = report.intervals.gain_over_trivial.get(structure) if report.intervals else None
    if gain is not None and (criterion := gain_criterion(content(gain), 0.0, structure))["holds"] is not True:
        return f"{criterion['text']}: {criterion['reason']}"
    trivial = [report.summary.mean(arm, structure, "dice") for arm in TRIVIAL_ARMS]
    best = max((mean for mean in trivial if mean is not None), default=None)
    ceiling = report.summary.mean("target_supervised", structure, "dice")
    return CEILING if ceiling is not None and best is not None and ceiling <= best else None


def protocol_unchanged(sources: Sources) -> bool:
    """Return whether the protocol is the one that was hashed, and that of the study and of every model."""
    protocol, study = sources.protocol, sources.study
    fixed = {key: protocol[key] for key in protocol if key not in ("sha256", "fixed_at")}
    # A model that is validated elsewhere was made under the protocol of its own study.
    cards = [] if sources.external else sources.cards
    hashes = {card["protocol_sha256"] for card in cards if "protocol_sha256" in card}
    same = all(study.get(key) == fixed[key] for key in fixed)
    # A copied report has no models beside it, so the result of the check when it was built is used.
    unchanged_before = sources.report is None or not sources.report["exploratory"]
    return digest(fixed) == protocol["sha256"] and same and hashes <= {protocol["sha256"]} and unchanged_before


def banner(sources: Sources, report: Document) -> Document:
    """Return the banner over the page: the verdict, why, and of what model, data and protocol.

    A protocol that was changed after it had been fixed makes every result exploratory.

    Args:
        sources: The files of the run.
        report: The document with verdict, exploratory, criteria, selection, model and data.
    """
    weights = report["model"]["weights_sha256"]
    return {
        "verdict": report["verdict"],
        "exploratory": report["exploratory"],
        "reasons": _reasons(sources, report),
        "use": RESEARCH,
        "model": report["model"]["name"],
        "weights_sha256": next(iter(weights.values()), None),
        "data_fingerprint": report["data"]["fingerprint"]["target"],
        "protocol_sha256": report["protocol_sha256"],
        "date": sources.environment.get("finished"),
    }


def _reasons(sources: Sources, report: Document) -> list[str]:
    judged = report["criteria"]
    # One patient has no interval, so the gain is open as well; one reason says it.
    one_patient = any(criterion["id"] == "patients" for criterion in judged)
    reasons = [
        f"{criterion['text']}: {_why_not_met(criterion)}"
        for criterion in judged
        if criterion["holds"] is not True
        and not (one_patient and criterion["id"] == "gain_over_trivial" and criterion["holds"] is None)
    ]
    if report["exploratory"]:
        reasons.insert(
            0, "EXPLORATORY: the protocol was changed after it had been fixed; nothing here confirms anything"
        )
    if not reasons and report["verdict"] == "pass":
        reasons = ["every criterion that was fixed before the test labels were read is met"]
    reasons += [f"{criterion['text']}: {criterion['note']}" for criterion in judged if "note" in criterion]
    if not reasons or (len(judged) == ALWAYS_ASKED and report["verdict"] == "inconclusive"):
        reasons.append("the protocol asks for nothing, so nothing can be passed")
    if sources.edition > 1 and report["selection"].get("registered") is False:
        reasons.append(f"nothing is registered: {report['selection']['reason']}")
    if sources.edition > 1 and report["protocol"]["protocol"]["accept"]["gain_over_trivial"] is None:
        reasons.append(
            f"{NOT_REQUIRED}: the verdict does not say that the model is better than a rule that learns nothing"
        )
    return reasons


def _why_not_met(criterion: Criterion) -> str:
    if criterion["holds"] is None:
        return f"cannot be judged ({criterion['reason'] or 'a number is missing'})"
    value, threshold = (
        f"{number:.3g}" if isinstance(number, float) else str(number)
        for number in (criterion["value"], criterion["threshold"])
    )
    reason = f": {criterion['reason']}" if criterion["reason"] else ""
    # A gain of zero is none, so a threshold of zero asks for more than that.
    gain = criterion["id"] == "gain_over_trivial" and "interval" in criterion and not criterion["threshold"]
    return f"{value} reached, {'more than ' if gain else ''}{threshold} asked{reason}"
