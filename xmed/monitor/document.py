"""The document of a check, drift.json: the rule, every number that it rests on, and what Dice to expect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from xmed import __version__, stats
from xmed.files.json_numbers import without_nan
from xmed.monitor.alarm import ALPHA, IMAGES, UNREADABLE, Alarm, changed_groups, judge, least_new_patients, p_text
from xmed.monitor.measure import GROUPS, matrices, unit_of
from xmed.records.drift import (
    CheckedInput,
    CheckedModel,
    DriftCheck,
    Measurements,
    RefusedCase,
    ValidationReference,
)
from xmed.records.record import content, parse
from xmed.report.sections.monitoring.compute import alarm_trial
from xmed.report.stats_as_json import quantiles

Document = dict[str, Any]
"""A part of drift.json; the whole is a record."""
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


def compose_drift_check(
    created: str,
    model: CheckedModel,
    data: CheckedInput,
    reference: ValidationReference,
    new: Mapping[str, Measurements],
    refused: Sequence[RefusedCase],
) -> DriftCheck:
    """Compare new data with what a model was validated on, and make drift.json of it.

    Args:
        created: Time of the check, ISO 8601, UTC.
        model: The model.
        data: The new data; its cases include those that could not be read.
        reference: What the model was validated on.
        new: Patient id → measurements of each new patient.
        refused: New cases that could not be read.

    Returns:
        The check: verdict, the numbers that it rests on, and what Dice to expect.
    """
    old_rows, rows = reference.patients, list(new.values())
    read = reference.cases, data.cases - len(refused)
    alarm = judge(old_rows, rows, read, (reference.refused, len(refused)))
    least = least_new_patients(len(old_rows)) if len(old_rows) >= 2 else None
    document = {
        "schema": SCHEMA,
        "xmed": __version__,
        "created": created,
        "model": content(model),
        "input": content(data),
        "reference": {
            **{key: getattr(reference, key) for key in ("dataset", "study", "run", "fingerprint", "refused", "cases")},
            "patients": len(old_rows),
        },
        "rule": {
            "text": reference.rule,
            "alpha": ALPHA,
            "images": IMAGES,
            "unreadable": UNREADABLE,
            "least_patients": least,
            "simulation": content(alarm_trial(reference.simulation, ALPHA)),
        },
        "verdict": alarm.verdict,
        "reason": alarm.reason,
        "do": HOPELESS if alarm.verdict == "undecided" and least is None else TODO[alarm.verdict],
        "p": alarm.shift.p if alarm.shift else None,
        "groups": _groups(alarm),
        "unreadable": _unreadable(refused, data.cases, alarm.p_unreadable),
        "numbers": _numbers(old_rows, rows, model.modality),
        "estimate": {name: _estimate(name, reference, rows, alarm) for name in reference.structures},
        "patients": [
            {"patient": name, "structures": {s: _patient(s, reference, row) for s in reference.structures}}
            for name, row in sorted(new.items())
        ],
    }
    return parse(DriftCheck, without_nan(document), DriftCheck.FILE, "REPORT_MISMATCH")


def _unreadable(refused: Sequence[RefusedCase], cases: int, p: float) -> Document:
    return {
        "n": len(refused),
        "of": cases,
        "p": p,
        "by_code": dict(sorted(Counter(case.code for case in refused).items())),
        "cases": [content(case) for case in refused],
    }


def _groups(alarm: Alarm) -> list[Document]:
    shift = alarm.shift
    changed = changed_groups(shift) if shift else []
    out = []
    for name, text in GROUPS.items():
        group = shift.groups[name] if shift else None
        numbers = {key: getattr(group, key) if group else None for key in ("mmd2", "p", "p_adjusted")}
        is_constant = group is not None and group.p is None
        note = "too few patients" if shift is None else "the same in all patients" if is_constant else None
        out.append({"id": name, "text": text, **numbers, "changed": name in changed, "reason": note})
    return out


def _numbers(old_rows: Sequence[Measurements], rows: Sequence[Measurements], modality: str) -> list[Document]:
    """Every number and category on both sides: what an alarm is read from. The rule itself looks at groups only."""
    out: list[Document] = []
    credible = any("spacing_max" in row.numbers["acquisition"] for row in [*old_rows, *rows])
    for group in [name for name in GROUPS if name != "embedding"]:
        for name in sorted({key for row in [*old_rows, *rows] for key in row.numbers[group]}):
            old, new = ([row.numbers[group][name] for row in side] for side in (old_rows, rows))
            shift = stats.ks_test(old, new)
            psi = stats.psi_of_values(old, new) if min(len(old), len(new)) >= LEAST_FOR_PSI else None
            both = {"reference": _spread(old), "new": _spread(new), "psi": psi}
            unit = unit_of(group, name, modality, credible)
            out.append({"group": group, "name": name, "unit": unit, **both, **_tested(shift)})
    for name in sorted({key for row in [*old_rows, *rows] for key in row.categories}):
        before, now = ([row.categories.get(name, "not said") for row in side] for side in (old_rows, rows))
        counted = [{"counts": dict(sorted(Counter(side).items()))} for side in (before, now)]
        shift = stats.chi2_test(before, now)
        both = {"reference": counted[0], "new": counted[1], "psi": None}
        out.append({"group": "acquisition", "name": name, "unit": "patients", **both, **_tested(shift)})
    out += _components(old_rows, rows)
    tested = [entry for entry in out if entry["p"] is not None]
    for entry, p in zip(tested, stats.holm_adjusted([entry["p"] for entry in tested])):
        entry["p_holm"] = p
    return out


def _components(old_rows: Sequence[Measurements], rows: Sequence[Measurements]) -> list[Document]:
    if min(len(old_rows), len(rows)) < 2:
        return []
    old, new = (side["embedding"] for side in matrices(old_rows, rows))
    tests = stats.ks_component_tests(old, new, COMPONENTS)
    blank = {"unit": None, "reference": None, "new": None, "psi": None}
    return [
        {"group": "embedding", "name": f"component {n} ({share:.0%} of the spread)", **blank, **_tested(shift)}
        for n, (shift, share) in enumerate(zip(tests.shifts, tests.explained), 1)
    ]


def _tested(shift: stats.Shift) -> Document:
    return {"statistic": shift.statistic, "p": shift.p, "p_holm": None, "method": shift.method, "reason": shift.note}


def _spread(values: Sequence[float]) -> Document:
    return {"n": len(values), "quantiles": quantiles(values), "values": sorted(values)}


def _estimate(name: str, reference: ValidationReference, rows: Sequence[Measurements], alarm: Alarm) -> Document:
    """What Dice to expect of one structure without a label, and how far one patient's Dice may lie from confidence."""
    errors, confidence = reference.errors[name], [row.numbers["confidence"][name] for row in rows]
    embedding = _embedding_test(alarm)
    card = stats.estimate_card(METHOD, f"{reference.dataset}, test", errors, [], [], INTERVAL_ALPHA, embedding)
    half, mean = card.conformal.half_width, float(sum(confidence) / len(confidence)) if confidence else None
    low = None if half is None or mean is None else sum(value - half < reference.tau for value in confidence)
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
        "exchangeable": False if alarm.verdict == "alarm" else card.exchangeable,
        "warning": _warning(card, alarm),
        "reason": card.conformal.reason,
    }


def _warning(card: stats.EstimateCard, alarm: Alarm) -> str | None:
    """Why nobody should rely on an estimate. Its own test may warn where the rule, adjusted for all, does not."""
    if alarm.verdict == "alarm":
        return card.warning if card.exchangeable is False else ALARMED
    if card.exchangeable is not False or alarm.shift is None:
        return None
    p = p_text(alarm.shift.groups["embedding"].p, DISTRUST)
    return f"{card.warning}. The embedding differs by itself ({p}, not adjusted), though that is no alarm by the rule"


def _embedding_test(alarm: Alarm) -> stats.MmdTest | None:
    """The test of exchangeability that an estimate must carry: of the embeddings alone, not adjusted."""
    if alarm.shift is None:
        return None
    group = alarm.shift.groups["embedding"]
    if group.mmd2 is None or group.sigma is None:
        return None
    return stats.MmdTest(group.mmd2, group.sigma, group.p, alarm.shift.n_reference, alarm.shift.n_new)


def _patient(name: str, reference: ValidationReference, row: Measurements) -> Document:
    """One structure of one patient: size (see `measured`), confidence, and where the Dice is to be expected."""
    confidence = row.numbers["confidence"][name]
    ends = stats.conformal_interval(reference.errors[name], INTERVAL_ALPHA).around(confidence)
    return {"volume": row.numbers["volumes"][name], "confidence": confidence, "interval": ends and list(ends)}
