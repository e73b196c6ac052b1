"""Monitoring: what the validated data looked like, so that incoming data can be held against it, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xmed import stats
from xmed.html.render import word
from xmed.report.plain import quantiles, span
from xmed.report.sources import Sources

Document = dict[str, Any]
ALLOWED = 0.05
"""Share of false alarms that the rule allows, where the trial of an older version does not say it."""


def monitoring(sources: Sources, cases: Sequence[Document], risk: Mapping[str, Document]) -> Document:
    """Section 14: reference distributions over the target's test cases (values sorted, so that no case is named)."""
    found: dict[str, Document] = {}
    for s in sources.structures:
        found[f"confidence.{s}"] = _distribution([case["confidence"].get(s) for case in cases], None)
        volumes = [case["metrics"].get(s, {}).get("volume_ml") for case in cases]
        found[f"volume_ml.{s}"] = _distribution(volumes, "ml")
    for name in sorted({key for one in sources.reference.values() for key in one}):
        unit = "share of the image" if name == "in_view" else "as read"
        found[f"image.{name}"] = _distribution([one.get(name) for one in sources.reference.values()], unit)
    edges = [max(case["spacing_mm"]) for case in sources.tested if case.get("spacing_mm")]
    found["spacing_mm.max"] = _distribution(edges, "mm")
    return {
        "reference": f"{sources.data['target']['name']}, test",
        "n": len(sources.tested),
        "distributions": found,
        "rules": _rules(sources, edges, risk),
        "simulation": tried(sources.monitor.get("simulation")),
    }


def tried(simulation: Document | None) -> Document | None:
    """The trial of the alarm with what so many checks can tell: intervals, and whether it was wrong too often."""
    if not simulation or not simulation["in_control"]:
        return simulation
    n, calm = simulation["repeats"], simulation["in_control"]
    found, allowed = stats.proportion_interval(calm["alarms"], n), simulation.get("allowed", ALLOWED)
    said = f"{calm['alarms']} of {n} checks, where the rule may be wrong in at most {100 * allowed:g} of 100"
    far = (
        f"{said}: more often than the rule allows" if found.lo > allowed else f"{said}; {n} checks do not contradict it"
    )
    disturbed = [
        {**one, "ci": span(*stats.clopper_pearson(round(one["seen"] * n), n))} for one in simulation["disturbed"]
    ]
    return {**simulation, "in_control": {**calm, "ci": span(found.lo, found.hi), "text": far}, "disturbed": disturbed}


def _distribution(values: Sequence[float | None], unit: str | None) -> Document:
    known = sorted(value for value in values if value is not None)
    reason = None if known else "not measured"
    return {"n": len(known), "unit": unit, "quantiles": quantiles(known), "values": known, "reason": reason}


def _rules(sources: Sources, edges: Sequence[float], risk: Mapping[str, Document]) -> list[Document]:
    rules = [{"id": "modality", "text": f"another modality than {sources.data['target']['modality']} is refused"}]
    if edges and sources.metrics["spacing_credible"]:
        least, most = f"{min(edges):.3g}", f"{max(edges):.3g}"
        tested = f"other than {least} mm" if least == most else f"outside {least} to {most} mm"
        rules.append({"id": "spacing", "text": f"largest voxel edge {tested}: never tested, ask a person"})
    threshold = risk.get(sources.primary, {}).get("operating_point", {}).get("threshold")
    if threshold is not None:
        text = f"confidence of {word(sources.primary)} below {threshold:.3f}: a person draws it"
        rules.append({"id": "confidence", "text": text})
    how = f"; {sources.monitor['rule']}" if sources.monitor else ""
    rules.append({"id": "drift", "text": f"an alarm of xmed drift: validate again{how}"})
    return rules
