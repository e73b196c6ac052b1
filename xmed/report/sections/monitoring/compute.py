"""Section Deployment monitoring: what the validated data looked like, to compare with incoming data, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from xmed import stats
from xmed.html.axis import Axis
from xmed.html.render import word
from xmed.records.drift import CalmTrial, JudgedSimulation, Simulation
from xmed.records.record import content
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources
from xmed.report.stats_as_json import limits, quantiles
from xmed.run import Run

Figure = dict[str, Any]
MOST_DOTS = 200
QUANTILES = ("0.05", "0.25", "0.5", "0.75", "0.95")
Document = dict[str, Any]
ALLOWED = 0.05
"""Share of false alarms that the rule allows, where the trial of an older version does not say it."""


def distribution_plot(distribution: dict[str, Any]) -> Figure | None:
    """Return the values, the middle half and the 5th to 95th percentile, on a scale of their own.

    Args:
        distribution: One of `monitoring.distributions` of the document.

    Returns:
        Coordinates for the template; None without values.
    """
    marks = distribution["quantiles"] or {}
    values = [value for value in distribution["values"] if value is not None]
    if not values or any(marks.get(quantile) is None for quantile in QUANTILES):
        return None
    axis = Axis.over([*values, *marks.values()], 4, 196)
    return {
        "values": [axis(value) for value in values[:MOST_DOTS]],
        "low": axis(marks["0.05"]),
        "high": axis(marks["0.95"]),
        "from": axis(marks["0.25"]),
        "to": axis(marks["0.75"]),
        "median": axis(marks["0.5"]),
        "ends": axis.ticks(3),
    }


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return monitoring: reference distributions over the target's test cases, rules, and the trial of the alarm.

    Values are sorted, so that no case can be told from its place.
    """
    cases, distributions = report["cases"], {}
    for structure in sources.structures:
        confidences = [case["confidence"].get(structure) for case in cases]
        distributions[f"confidence.{structure}"] = _distribution(confidences, None)
        volumes = [case["metrics"].get(structure, {}).get("volume_ml") for case in cases]
        distributions[f"volume_ml.{structure}"] = _distribution(volumes, "ml")
    images: list[Document] = [content(image) for image in sources.reference.values()]
    for name in sorted({key for image in images for key in image}):
        unit = "share of the image" if name == "in_view" else "as read"
        distributions[f"image.{name}"] = _distribution([image.get(name) for image in images], unit)
    edges = [max(case.spacing_mm) for case in sources.tested if case.spacing_mm]
    distributions["spacing_mm.max"] = _distribution(edges, "mm")
    monitoring = {
        "reference": f"{sources.data.target.name}, test",
        "n": len(sources.tested),
        "distributions": distributions,
        "rules": _rules(sources, edges, report["risk_coverage"]),
        "simulation": content(alarm_trial(sources.monitor.simulation)) if sources.monitor else None,
    }
    return {"monitoring": monitoring}


def alarm_trial(simulation: Simulation, allowed: float | None = None) -> JudgedSimulation:
    """Judge the trial of the alarm: exact intervals, and whether it was wrong more often than the rule allows.

    Args:
        simulation: What xmed.monitor wrote of the trial.
        allowed: Share of false alarms that the rule allows, 0 to 1; None takes that of the trial, else ALLOWED.

    Returns:
        The trial with intervals; without them where there was no trial.
    """
    plain: dict[str, JsonValue] = content(simulation)
    if allowed is not None:
        plain["allowed"] = allowed
    if simulation.in_control is None:
        return JudgedSimulation.model_validate(plain)
    share = simulation.allowed if allowed is None else allowed
    n, disturbed = simulation.repeats, []
    for trial in simulation.disturbed:
        ci = limits(*stats.clopper_pearson(round(trial.seen * n), n))
        disturbed.append({**content(trial), "ci": ci})
    in_control = _in_control(simulation.in_control, n, ALLOWED if share is None else share)
    return JudgedSimulation.model_validate({**plain, "in_control": in_control, "disturbed": disturbed})


def _in_control(trial: CalmTrial, n: int, allowed: float) -> Document:
    """The trial where nothing has changed, with its interval and what follows from it."""
    rate = stats.proportion_interval(trial.alarms, n)
    counted = f"{trial.alarms} of {n} checks, where the rule may be wrong in at most {100 * allowed:g} of 100"
    too_often = rate.lo > allowed
    judged = (
        f"{counted}: more often than the rule allows" if too_often else f"{counted}; {n} checks do not contradict it"
    )
    return {**content(trial), "ci": limits(rate.lo, rate.hi), "text": judged}


def _distribution(values: Sequence[float | None], unit: str | None) -> Document:
    measured = sorted(value for value in values if value is not None)
    reason = None if measured else "not measured"
    return {"n": len(measured), "unit": unit, "quantiles": quantiles(measured), "values": measured, "reason": reason}


def _rules(sources: Sources, edges: Sequence[float], risk: Mapping[str, Document]) -> list[Document]:
    rules = [{"id": "modality", "text": f"another modality than {sources.data.target.modality} is refused"}]
    if edges and sources.metrics.spacing_credible:
        least, most = f"{min(edges):.3g}", f"{max(edges):.3g}"
        untested = f"other than {least} mm" if least == most else f"outside {least} to {most} mm"
        rules.append({"id": "spacing", "text": f"largest voxel edge {untested}: never tested, ask a person"})
    threshold = risk.get(sources.primary, {}).get("operating_point", {}).get("threshold")
    if threshold is not None:
        text = f"confidence of {word(sources.primary)} below {threshold:.3f}: a person draws it"
        rules.append({"id": "confidence", "text": text})
    how = f"; {sources.monitor.rule}" if sources.monitor else ""
    rules.append({"id": "drift", "text": f"an alarm of xmed drift: validate again{how}"})
    return rules


def template_values(run: Run, report: Document) -> Document:
    """A small plot of every reference distribution."""
    distributions = report["monitoring"]["distributions"]
    return {"spreads": {name: distribution_plot(values) for name, values in distributions.items()}}


SECTION = Section(
    title="Deployment monitoring",
    order=150,
    how_to_read="What the model met here, to compare with what it meets later: every value, the middle half and the "
    "5th to 95th percentile. New data should lie inside. When a rule below is broken, stop and validate "
    "again.",
    provides=("monitoring",),
    needs=("cases", "risk_coverage"),
    kept_from_copy=("monitoring",),
    compute=compute,
    template_values=template_values,
)
