"""Numbers: the sources of a report → its one document, from which everything else is drawn."""

from __future__ import annotations

from collections import Counter
from typing import Any

from xmed import stats
from xmed.files.digest import digest
from xmed.files.json_numbers import without_nan
from xmed.report.agreement import volume_agreement
from xmed.report.boilerplate import methods
from xmed.report.certainty import calibration, label_free, risk_coverage, tau
from xmed.report.claim import claim, counts
from xmed.report.edition import EDITION
from xmed.report.failures import badness, causes, failures
from xmed.report.headline import headline
from xmed.report.human import human
from xmed.report.intended_use import intended_use, limitations, reference_standard
from xmed.report.monitoring import monitoring
from xmed.report.plain import difference, interval
from xmed.report.population import data
from xmed.report.previous import previous
from xmed.report.ratings import ratings
from xmed.report.reproducibility import reproducibility
from xmed.report.robustness import robustness
from xmed.report.rows import METRICS, NO_REFERENCE, Rows, conventions
from xmed.report.sources import Sources
from xmed.report.statistics import statistics
from xmed.report.subgroups import subgroups
from xmed.report.support import best_trivial, measurable
from xmed.report.verdict import banner, criteria, unchanged, verdict
from xmed.report.words import SECTIONS
from xmed.run import ARMS

Document = dict[str, Any]
SCHEMA = "xmed-report/1"
VOLATILE = ("report_id", "run", "environment", "signoff", "training", "reproducibility", "banner")
"""What differs between two runs that found the same: left out of the report's id, still checked by `verify`."""

HUMAN = ("text", "ratings", "intended_use", "reference_standard", "limitations", "claim", "claim_counts")
"""What changes with the words of people; no number stands in it that does not stand elsewhere."""


def compose(sources: Sources) -> Document:
    """The report, recomputed from its sources alone. Every key is there, whatever came out; never NaN."""
    structures, protocol = sources.structures, sources.protocol
    rows = completed(sources)
    report: Document = {
        "schema": SCHEMA,
        "edition": EDITION,
        "run": sources.run,
        "kind": "external" if sources.external else "adaptation",
        "sections": [anchor for anchor, _, _ in SECTIONS],
        "study": sources.study,
        "protocol": protocol,
        "protocol_sha256": protocol["sha256"],
        "model": _model(sources),
        **_compared(rows, structures, sources.edition),
        "cases": _cases(sources, rows),
        "metrics_conventions": conventions(sources.metrics),
        "selection": _selection(sources),
        "training": [{key: one[key] for key in one if key != "selection"} for one in sources.trained],
        "data": data(sources, rows),
        "text": human(sources.text),
        "environment": sources.environment,
        "errors": sources.errors,
        "errors_by_code": dict(sorted(Counter(one["code"] for one in sources.errors).items())),
        "warnings": _warnings(sources),
        "external": sources.external or None,
        "ratings": ratings(sources),
        "signoff": sources.signoff,
    }
    report |= sources.given
    report |= _sections(sources, rows, report) | sources.given
    report["exploratory"] = not unchanged(sources)
    report["criteria"] = criteria(protocol, report, not report["exploratory"], sources.edition)
    report["verdict"] = verdict(report["criteria"], sources.edition)
    report["limitations"] = limitations(sources, report, report["text"])
    report["headline"] = headline(sources, report)
    report["methods"] = methods(sources, report)
    report["reproducibility"] = sources.given.get("reproducibility") or reproducibility(sources)
    report["claim"] = claim(report)
    report["claim_counts"] = counts(report["claim"])
    report["banner"] = banner(sources, report)
    report = without_nan(report)
    return {"report_id": identity(report), **report}


def completed(sources: Sources) -> Rows:
    """The rows of every arm and test case: what evaluation wrote, and a failure where it wrote nothing."""
    credible = sources.metrics["spacing_credible"]
    return Rows.complete(sources.rows, sources.arms, sources.tested, sources.structures, credible, sources.edition)


def identity(report: Document) -> str:
    """sha256 of what a report says, apart from when and where it was made."""
    return digest({key: value for key, value in report.items() if key not in VOLATILE})


def findings(report: Document) -> str:
    """sha256 of what was found, apart from what people say of it: the same whatever text and ratings are added."""
    return digest({key: value for key, value in report.items() if key not in (*VOLATILE, *HUMAN)})


def _sections(sources: Sources, rows: Rows, report: Document) -> Document:
    cases, summary = report["cases"], report["summary"]
    risk = risk_coverage(sources, rows, cases)
    reached = [summary["adapted"].get(s, {}).get("dice", {}).get("mean") for s in sources.structures]
    mean = sum(reached) / len(reached) if None not in reached else None
    return {
        "intended_use": intended_use(sources, report["text"]),
        "reference_standard": reference_standard(sources, rows, report["text"], summary["target_supervised"]),
        "statistics": statistics(sources, rows),
        "volume_agreement": volume_agreement(sources, rows),
        "calibration": calibration(sources, rows),
        "risk_coverage": risk,
        "label_free": label_free(sources, rows, cases, mean),
        "subgroups": subgroups(sources, rows),
        "robustness": robustness(sources, rows.unsupported),
        "failures": failures(sources, rows, cases),
        "monitoring": monitoring(sources, cases, risk),
        "previous": previous(sources, rows),
    }


def _cases(sources: Sources, rows: Rows) -> list[Document]:
    """Every case, worst first, each structure with the causes of what went wrong with its worst seed."""
    below, out = tau(sources), rows.cases(sources.structures, sources.primary)
    for case in out:
        case["causes"] = {}
        for s in sources.structures:
            mine = rows.of_case("adapted", s, case["case"])
            worst = min(mine, key=badness, default=None)
            case["causes"][s] = causes(worst, below, sources.edition) if worst else []
    return out


def _compared(rows: Rows, structures: list[str], edition: int) -> Document:
    """summary and intervals; what compares arms does so over the patients that all compared arms have."""
    out: Document = {"gap_closed": {}, "gain_over_trivial": {}, "adapted_minus_source_only": {}}
    out |= {"ceiling_over_trivial": {}} if edition > 1 else {}
    for s in structures:
        dice = {arm: rows.by_patient(arm, s, "dice")[0] for arm in ARMS}
        chosen = [dice[arm] for arm in ("source_only", "adapted", "target_supervised")]
        everyone = sorted(set.intersection(*(set(values) for values in chosen)))
        out["gap_closed"][s] = interval(
            stats.gap_closed_interval(*([values[p] for p in everyone] for values in chosen))
        )
        best = best_trivial(dice)
        named = {
            "baseline": best if dice[best] else None,
            "rule": next((row.get("rule") for row in rows.of(best, s)), None),
        }
        out["gain_over_trivial"][s] = {**difference(dice["adapted"], dice[best]), **named}
        out["adapted_minus_source_only"][s] = difference(dice["adapted"], dice["source_only"])
        if edition > 1:
            out["ceiling_over_trivial"][s] = {**difference(dice["target_supervised"], dice[best]), **named}
            out["gap_closed"][s] = measurable(out["gap_closed"][s], out["ceiling_over_trivial"][s])
        if s in rows.unsupported:
            for key in out:
                out[key][s]["reason"] = NO_REFERENCE
    tests = out["adapted_minus_source_only"]
    tested = [s for s in structures if tests[s]["p_sign_flip"] is not None]
    adjusted = dict(zip(tested, stats.holm_adjusted([tests[s]["p_sign_flip"] for s in tested])))
    for s in structures:
        tests[s]["p_holm"] = adjusted.get(s)
    cells = {
        s: {arm: {m: rows.statistic(arm, s, m) for m in METRICS} for arm in ARMS if rows.of(arm, s)} for s in structures
    }
    summary: Document = {arm: {s: cells[s][arm] for s in structures if arm in cells[s]} for arm in ARMS}
    for key in ("gap_closed", "gain_over_trivial"):
        summary[key] = {s: out[key][s]["value"] for s in structures}
    return {"summary": summary, "intervals": out}


def _warnings(sources: Sources) -> dict[str, int]:
    """How many cases of both sides a reader put something right in, by note code."""
    cases = [case for side in ("source", "target") for case in sources.data[side]["cases"]]
    counted = Counter(code for case in cases for code in {note["code"] for note in case.get("notes", ())})
    return dict(sorted(counted.items()))


def _model(sources: Sources) -> Document:
    adapted = [one for one in sources.trained if one["arm"] == "adapted"]
    study = sources.study
    return {
        "name": _called(sources.external) or study["register_as"],
        "method": study["method"]["name"],
        "hyperparameters": adapted[0].get("hyperparameters") if adapted else None,
        "cite": adapted[0]["cite"] if adapted else None,
        "weights_sha256": {str(one["seed"]): one["weights_sha256"] for one in adapted},
        "parameters": adapted[0]["parameters"] if adapted else None,
        "network": adapted[0]["network"] if adapted else study["network"],
    }


def _called(external: Document) -> str | None:
    """A registered model that is validated elsewhere: its name and version."""
    name, version = external.get("name"), external.get("version")
    return f"{name} version {version}" if name and version else name


def _selection(sources: Sources) -> Document:
    """How the deployed weights were chosen, and whether to adapt at all (selection.json, where there is one)."""
    arms = [{"arm": one["arm"], "seed": one["seed"], **one["selection"]} for one in sources.trained]
    adapted, found = [one for one in arms if one["arm"] == "adapted"], sources.selection
    return {
        "rule": adapted[0]["rule"] if adapted else None,
        "used_target_labels": any(one["used_target_labels"] for one in adapted),
        "promoted": found.get("promoted"),
        "reason": found.get("reason"),
        **({"registered": found["registered"]} if "registered" in found else {}),
        "seeds": found.get("seeds", {}),
        "arms": arms,
    }
