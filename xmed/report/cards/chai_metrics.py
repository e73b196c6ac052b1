"""CHAI metrics: usefulness, fairness and safety as the card's three key metrics, each with its numbers as JSON."""

from __future__ import annotations

import json
from typing import Any

from xmed.html.render import number, word
from xmed.report.author_text import NOT_PROVIDED

Tree = dict[str, Any]
CRITERION_STATES = {True: "met", False: "not met", None: "open"}


def key_metrics(report: dict[str, Any]) -> Tree:
    """Return the card's KeyMetrics; a metric without any number says so."""
    about = _about(report)
    states = [f"{criterion['text']}: {CRITERION_STATES[criterion['holds']]}" for criterion in report["criteria"]]
    nothing = [_result("Not measured", {"kind": "text", "text": "no number could be computed"})]

    def metric(goal: str, results: list[Tree], meaning: str) -> Tree:
        return {"MetricGoal": goal, "Results": {"MetricResult": results or nothing}, "Interpretation": meaning, **about}

    failure = f"A failure: {report['failures']['definition']}."
    return {
        "UsefulnessUsabilityEfficacy": metric(
            "Agreement of the predicted with the reference contours.",
            _useful(report),
            f"Criteria: {'; '.join(states)}.",
        ),
        "FairnessEquity": metric("No group of patients served worse than others.", _fair(report), worst_groups(report)),
        "SafetyReliability": metric("Few failures, and a confidence that finds them.", _safe(report), failure),
    }


def worst_groups(report: dict[str, Any]) -> str:
    """Return the worst group of every factor that could be compared, in one sentence."""
    sentences = [
        f"{word(group['structure'])} by {group['text']}: worst group {group['worst']}, gap "
        f"{number(group['gap']['value'], 3)}"
        for group in report["subgroups"]
        if group["worst"] is not None and group["gap"]["value"] is not None
    ]
    return "; ".join(sentences) or "No subgroup could be compared; see the report's section on subgroups."


def authors_words(report: dict[str, Any], *keys: str) -> str:
    """Return what people wrote under these keys of the report's `text`."""
    return " ".join(text for key in keys if (text := report["text"]["items"].get(key))) or NOT_PROVIDED


def _about(report: dict[str, Any]) -> Tree:
    """How it was tested: the same for all three."""
    steps = report["data"]["steps"].get("target", {"partition": {}})
    tested = steps["partition"].get("test", {"patients": 0, "cases": 0})
    fixed = "protocol changed afterwards: exploratory" if report["exploratory"] else "criteria hashed beforehand"
    return {
        "TestType": f"Retrospective, on held-out patients of the target; {fixed}.",
        "TestingDataDescription": f"{report['data']['target']['name']}: {tested['patients']} patients, "
        f"{tested['cases']} cases. {authors_words(report, 'test_annotation')}",
        "ValidationProcessAndJustification": "xmed report verify recomputes it. "
        f"{authors_words(report, 'sample_size')}",
    }


def _useful(report: dict[str, Any]) -> list[Tree]:
    adapted = report["summary"].get("adapted", {})
    return [
        _estimate(f"{name}, {word(s)}", adapted[s][metric], unit)
        for s in report["study"]["structures"]
        if s in adapted
        for metric, name, unit in (("dice", "Dice", "1"), ("hd95_mm", "HD95", "mm"))
        if adapted[s][metric]["mean"] is not None
    ]


def _fair(report: dict[str, Any]) -> list[Tree]:
    return [
        _result(f"Gap by {group['text']}, {word(group['structure'])}", _single(group["gap"]["value"], "Dice"))
        for group in report["subgroups"]
        if group["gap"]["value"] is not None
    ]


def _safe(report: dict[str, Any]) -> list[Tree]:
    rates = report["failures"]["by_arm"].get("adapted", {})
    defined = {s: of_structure["rate"] for s, of_structure in rates.items() if of_structure["rate"] is not None}
    return [_result(f"Failed cases, {word(s)}", _single(round(100 * rate, 4), "%")) for s, rate in defined.items()]


def _single(value: float, unit: str) -> dict[str, Any]:
    return {"kind": "single", "value": value, "unit": unit}


def _estimate(label: str, cell: dict[str, Any], unit: str) -> Tree:
    if not cell["ci"]:
        return _result(label, _single(cell["mean"], unit))
    low, high = cell["ci"]
    estimate = {"kind": "estimate_ci", "estimate": cell["mean"], "lower": low, "upper": high, "level": 95, "unit": unit}
    return _result(label, estimate)


def _result(label: str, value: dict[str, Any]) -> Tree:
    return {"Label": label, "ValueJson": json.dumps(value, allow_nan=False, ensure_ascii=False)}
