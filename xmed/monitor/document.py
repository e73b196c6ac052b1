"""The document of a check, drift.json: the rule, every number that it rests on, and what Dice to expect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from xmed import __version__, stats
from xmed.monitor.alarm import ALPHA, IMAGES, UNREADABLE, Alarm, judge, moved, said, wanted
from xmed.monitor.measure import GROUPS, Row, matrices, unit_of
from xmed.records.drift import ValidationReference
from xmed.records.record import content
from xmed.report.sections.monitoring.compute import alarm_trial
from xmed.report.stats_as_json import quantiles

Document = dict[str, Any]
SCHEMA = "xmed-drift/1"
INTERVAL_ALPHA, DISTRUST = 0.1, 0.05
COMPONENTS, LEAST_FOR_PSI = 3, 100
"""A PSI of ten bins is 9 (1/n + 1/m) where nothing has changed: 0.18 of 100 and 100 patients, and 3 of six and six."""
METHOD = "soft Dice confidence (Borges et al., arXiv 2402.10665) taken for Dice, mean over patients"
ALARMED = "the alarm was raised: an estimate that was calibrated on other images means nothing here"
TODO = {
    "alarm": "Do not rely on the model for these data. Look at the images and at what changed; validate the model on "
    "labelled cases of the new kind (xmed validate), or adapt it anew (xmed run).",
    "no_alarm": "No change was found that chance does not explain; with few patients only large changes can be found.",
    "undecided": "Check again when more patients have come.",
}
HOPELESS = "No number of new patients can decide this: validate the model on more patients, and check against those."


def compose(
    about: Mapping[str, Any],
    reference: ValidationReference,
    new: Mapping[str, Row],
    refused: Sequence[Mapping[str, str]],
) -> Document:
    """drift.json. about: model, input, created, as they are. new: by patient. refused: {case, code, message}."""
    known, rows = [content(patient) for patient in reference.patients], list(new.values())
    read = reference.cases, about["input"]["cases"] - len(refused)
    found = judge(known, rows, read, (reference.refused, len(refused)))
    least = wanted(len(known)) if len(known) >= 2 else None
    return {
        "schema": SCHEMA,
        "xmed": __version__,
        **about,
        "reference": {
            **{key: getattr(reference, key) for key in ("dataset", "study", "run", "fingerprint", "refused", "cases")},
            "patients": len(known),
        },
        "rule": {
            "text": reference.rule,
            "alpha": ALPHA,
            "images": IMAGES,
            "unreadable": UNREADABLE,
            "least_patients": least,
            "simulation": content(alarm_trial(reference.simulation, ALPHA)),
        },
        "verdict": found.verdict,
        "reason": found.reason,
        "do": HOPELESS if found.verdict == "undecided" and least is None else TODO[found.verdict],
        "p": found.shift.p if found.shift else None,
        "groups": _groups(found),
        "unreadable": {
            "n": len(refused),
            "of": about["input"]["cases"],
            "p": found.p_unreadable,
            "by_code": dict(sorted(Counter(one["code"] for one in refused).items())),
            "cases": list(refused),
        },
        "numbers": _numbers(known, rows, about["model"]["modality"]),
        "estimate": {name: _estimate(name, reference, rows, found) for name in reference.structures},
        "patients": [
            {"patient": name, "structures": {s: _patient(s, reference, row) for s in reference.structures}}
            for name, row in sorted(new.items())
        ],
    }


def _groups(found: Alarm) -> list[Document]:
    shift = found.shift
    fired = moved(shift) if shift else []
    out = []
    for name, text in GROUPS.items():
        one = shift.groups[name] if shift else None
        numbers = {key: getattr(one, key) if one else None for key in ("mmd2", "p", "p_adjusted")}
        note = "too few patients" if shift is None else "the same in all patients" if one and one.p is None else None
        out.append({"id": name, "text": text, **numbers, "changed": name in fired, "reason": note})
    return out


def _numbers(known: Sequence[Row], rows: Sequence[Row], modality: str) -> list[Document]:
    """Every number and category on both sides: what an alarm is read from. The rule itself looks at groups only."""
    out: list[Document] = []
    credible = any("spacing_max" in row["numbers"]["acquisition"] for row in [*known, *rows])
    for group in [one for one in GROUPS if one != "embedding"]:
        for name in sorted({key for row in [*known, *rows] for key in row["numbers"][group]}):
            old, new = ([row["numbers"][group][name] for row in side] for side in (known, rows))
            shift = stats.ks_test(old, new)
            psi = stats.psi_of_values(old, new) if min(len(old), len(new)) >= LEAST_FOR_PSI else None
            both = {"reference": _spread(old), "new": _spread(new), "psi": psi}
            unit = unit_of(group, name, modality, credible)
            out.append({"group": group, "name": name, "unit": unit, **both, **_tested(shift)})
    for name in sorted({key for row in [*known, *rows] for key in row["categories"]}):
        before, now = ([row["categories"].get(name, "not said") for row in side] for side in (known, rows))
        counted = [{"counts": dict(sorted(Counter(side).items()))} for side in (before, now)]
        shift = stats.chi2_test(before, now)
        both = {"reference": counted[0], "new": counted[1], "psi": None}
        out.append({"group": "acquisition", "name": name, "unit": "patients", **both, **_tested(shift)})
    out += _components(known, rows)
    tested = [one for one in out if one["p"] is not None]
    for one, p in zip(tested, stats.holm_adjusted([one["p"] for one in tested])):
        one["p_holm"] = p
    return out


def _components(known: Sequence[Row], rows: Sequence[Row]) -> list[Document]:
    if min(len(known), len(rows)) < 2:
        return []
    old, new = (side["embedding"] for side in matrices(known, rows))
    found = stats.ks_component_tests(old, new, COMPONENTS)
    blank = {"unit": None, "reference": None, "new": None, "psi": None}
    return [
        {"group": "embedding", "name": f"component {n} ({share:.0%} of the spread)", **blank, **_tested(shift)}
        for n, (shift, share) in enumerate(zip(found.shifts, found.explained), 1)
    ]


def _tested(shift: stats.Shift) -> Document:
    return {"statistic": shift.statistic, "p": shift.p, "p_holm": None, "method": shift.method, "reason": shift.note}


def _spread(values: Sequence[float]) -> Document:
    return {"n": len(values), "quantiles": quantiles(values), "values": sorted(values)}


def _estimate(name: str, reference: ValidationReference, rows: Sequence[Row], found: Alarm) -> Document:
    """What Dice to expect of one structure without a label, and how far one patient's Dice may lie from confidence."""
    errors, confidence = reference.errors[name], [row["numbers"]["confidence"][name] for row in rows]
    card = stats.estimate_card(METHOD, f"{reference.dataset}, test", errors, [], [], INTERVAL_ALPHA, _embedding(found))
    half, mean = card.conformal.half_width, float(sum(confidence) / len(confidence)) if confidence else None
    low = None if half is None or mean is None else sum(one - half < reference.tau for one in confidence)
    return {
        "method": card.method,
        "cohort": card.cohort,
        "calibrated_on": card.conformal.n,
        "mean": mean,
        "n": len(confidence),
        "half_width": half,
        "alpha": card.conformal.alpha,
        "tau": reference.tau,
        "may_be_below_tau": low,
        "exchangeable": False if found.verdict == "alarm" else card.exchangeable,
        "warning": _warning(card, found),
        "reason": card.conformal.reason,
    }


def _warning(card: stats.EstimateCard, found: Alarm) -> str | None:
    """Why nobody should rely on an estimate. Its own test may warn where the rule, adjusted for all, does not."""
    if found.verdict == "alarm":
        return card.warning if card.exchangeable is False else ALARMED
    if card.exchangeable is not False or found.shift is None:
        return None
    p = said(found.shift.groups["embedding"].p, DISTRUST)
    return f"{card.warning}. The embedding differs by itself ({p}, not adjusted), though that is no alarm by the rule"


def _embedding(found: Alarm) -> stats.MmdTest | None:
    """The test of exchangeability that an estimate must carry: of the embeddings alone, not adjusted."""
    if found.shift is None:
        return None
    one = found.shift.groups["embedding"]
    if one.mmd2 is None or one.sigma is None:
        return None
    return stats.MmdTest(one.mmd2, one.sigma, one.p, found.shift.n_reference, found.shift.n_new)


def _patient(name: str, reference: ValidationReference, row: Row) -> Document:
    """One structure of one patient: size (see `measured`), confidence, and where the Dice is to be expected."""
    confidence = row["numbers"]["confidence"][name]
    ends = stats.conformal_interval(reference.errors[name], INTERVAL_ALPHA).around(confidence)
    return {"volume": row["numbers"]["volumes"][name], "confidence": confidence, "interval": ends and list(ends)}
