"""Numbers: the files of a run → the report's one document, from which everything else is drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xmed import stats
from xmed.report.claim import claim
from xmed.report.rows import METRICS, Rows, conventions
from xmed.report.verdict import criteria, verdict
from xmed.run import ARMS, TRIVIAL_ARMS, Run, digest

SCHEMA = "xmed-report/1"
VOLATILE = ("report_id", "run", "environment", "signoff", "training")
"""What differs between two runs that found the same: left out of the report's id, still checked by `verify`."""


def compose(run: Run) -> dict[str, Any]:
    """The report of a finished run, recomputed from its files alone. Raises XmedError or FileNotFoundError for none."""
    study, data, protocol = run.read("study"), run.read("data"), run.read("protocol")
    structures, target = study["structures"], data["target"]
    measured = run.read("metrics")
    tested = [case for case in target["cases"] if case["split"] == "test" and case["has_label"]]
    rows = Rows.complete(run.read("rows"), run.arms(), tested, structures, measured["spacing_credible"])
    primary = protocol["protocol"]["primary"]
    trained = [_trained(run.arm(arm, seed)) for arm, seed in run.arms()]
    intervals = _intervals(rows, structures)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "run": run.id,
        "study": study,
        "protocol": protocol,
        "protocol_sha256": protocol["sha256"],
        "model": _model(study, trained),
        "summary": {
            **{arm: _summary(rows, arm, structures) for arm in ARMS},
            "gap_closed": {s: intervals["gap_closed"][s]["value"] for s in structures},
            "gain_over_trivial": {s: intervals["gain_over_trivial"][s]["value"] for s in structures},
        },
        "intervals": intervals,
        "cases": rows.cases(structures, primary["structure"]),
        "metrics_conventions": conventions(measured),
        "selection": _selection(trained, run.read("selection") if run.has("selection") else {}),
        "training": [{key: one[key] for key in one if key != "selection"} for one in trained],
        "data": _data(data),
        "environment": run.read("environment") if run.has("environment") else {},
        "errors": run.read("errors") if run.has("errors") else [],
        "signoff": run.signoff,
    }
    fixed = {key: protocol[key] for key in protocol if key not in ("sha256", "fixed_at")}
    unchanged = digest(fixed) == protocol["sha256"] and all(study[key] == fixed[key] for key in fixed)
    report["criteria"] = criteria(protocol, report, unchanged)
    report["verdict"] = verdict(report["criteria"])
    report["claim"] = claim(report)
    return {"report_id": identity(report), **report}


def identity(report: dict[str, Any]) -> str:
    """sha256 of what a report says, apart from when and where it was made."""
    return digest({key: value for key, value in report.items() if key not in VOLATILE})


def _trained(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "train.json").read_text(encoding="utf-8"))


def _summary(rows: Rows, arm: str, structures: list[str]) -> dict[str, Any]:
    return {s: {m: rows.statistic(arm, s, m) for m in METRICS} for s in structures if rows.of(arm, s)}


def _intervals(rows: Rows, structures: list[str]) -> dict[str, Any]:
    """What compares arms, over the patients that all compared arms have: Dice, per structure."""
    out: dict[str, Any] = {"gap_closed": {}, "gain_over_trivial": {}, "adapted_minus_source_only": {}}
    for s in structures:
        dice = {arm: rows.by_patient(arm, s, "dice")[0] for arm in ARMS}
        chosen = [dice[arm] for arm in ("source_only", "adapted", "target_supervised")]
        everyone = sorted(set.intersection(*(set(values) for values in chosen)))
        closed = stats.gap_closed(*([values[p] for p in everyone] for values in chosen))
        out["gap_closed"][s] = _interval(closed)
        best = max(TRIVIAL_ARMS, key=lambda arm: stats.mean_ci(list(dice[arm].values())).mean or 0.0)
        out["gain_over_trivial"][s] = {
            **_difference(dice["adapted"], dice[best]),
            "baseline": best if dice[best] else None,
            "rule": next((row.get("rule") for row in rows.of(best, s)), None),
        }
        out["adapted_minus_source_only"][s] = _difference(dice["adapted"], dice["source_only"])
    tested = [s for s in structures if out["adapted_minus_source_only"][s]["p_sign_flip"] is not None]
    adjusted = stats.holm([out["adapted_minus_source_only"][s]["p_sign_flip"] for s in tested])
    for s in structures:
        out["adapted_minus_source_only"][s]["p_holm"] = dict(zip(tested, adjusted)).get(s)
    return out


def _interval(found: stats.Interval) -> dict[str, Any]:
    ci = None if found.lo is None else [found.lo, found.hi]
    return {"value": found.mean, "ci": ci, "n": found.n, "method": found.method, "reason": found.degenerate}


def _difference(a: dict[str, float], b: dict[str, float]) -> dict[str, Any]:
    shared = sorted(set(a) & set(b))
    found = stats.paired([a[p] for p in shared], [b[p] for p in shared])
    tests = {"p_sign_flip": found.p_sign_flip, "p_wilcoxon": found.p_wilcoxon, "note": found.note}
    return {**_interval(found.difference), **tests}


def _model(study: dict[str, Any], trained: list[dict[str, Any]]) -> dict[str, Any]:
    adapted = [one for one in trained if one["arm"] == "adapted"]
    return {
        "name": study["register_as"],
        "method": study["method"]["name"],
        "cite": adapted[0]["cite"] if adapted else None,
        "weights_sha256": {str(one["seed"]): one["weights_sha256"] for one in adapted},
        "parameters": adapted[0]["parameters"] if adapted else None,
        "network": adapted[0]["network"] if adapted else study["network"],
    }


def _selection(trained: list[dict[str, Any]], found: dict[str, Any]) -> dict[str, Any]:
    """How the deployed weights were chosen, and whether to adapt at all (found: selection.json, where there is one)."""
    arms = [{"arm": one["arm"], "seed": one["seed"], **one["selection"]} for one in trained]
    adapted = [one for one in arms if one["arm"] == "adapted"]
    return {
        "rule": adapted[0]["rule"] if adapted else None,
        "used_target_labels": any(one["used_target_labels"] for one in adapted),
        "promoted": found.get("promoted"),
        "reason": found.get("reason"),
        "seeds": found.get("seeds", {}),
        "arms": arms,
    }


def _data(data: dict[str, Any]) -> dict[str, Any]:
    sides = ("source", "target")
    kept = ("name", "modality", "licence", "source", "structures", "spacing_credible", "cases", "quarantined")
    return {
        "flow": {side: data[side]["flow"] for side in sides},
        "leakage": data["leakage"],
        "fingerprint": {side: data[side]["fingerprint"] for side in sides},
        **{side: {key: data[side][key] for key in kept} for side in sides},
    }
