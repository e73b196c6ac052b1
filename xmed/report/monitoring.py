"""Monitoring: what the validated data looked like, so that incoming data can be held against it, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xmed.report.plain import quantiles
from xmed.report.sources import Sources

Document = dict[str, Any]


def monitoring(sources: Sources, cases: Sequence[Document], risk: Mapping[str, Document]) -> Document:
    """Section 14: reference distributions over the target's test cases (values sorted, so that no case is named)."""
    found: dict[str, Document] = {}
    for s in sources.structures:
        found[f"confidence.{s}"] = _distribution([case["confidence"].get(s) for case in cases], None)
        volumes = [case["metrics"].get(s, {}).get("volume_ml") for case in cases]
        found[f"volume_ml.{s}"] = _distribution(volumes, "ml")
    for name in sorted({key for one in sources.reference.values() for key in one}):
        found[f"image.{name}"] = _distribution([one.get(name) for one in sources.reference.values()], "as read")
    edges = [max(case["spacing_mm"]) for case in sources.tested if case.get("spacing_mm")]
    found["spacing_mm.max"] = _distribution(edges, "mm")
    return {
        "reference": f"{sources.data['target']['name']}, test",
        "n": len(sources.tested),
        "distributions": found,
        "rules": _rules(sources, edges, risk),
        "simulation": sources.monitor.get("simulation"),
    }


def _distribution(values: Sequence[float | None], unit: str | None) -> Document:
    known = sorted(value for value in values if value is not None)
    reason = None if known else "not measured"
    return {"n": len(known), "unit": unit, "quantiles": quantiles(known), "values": known, "reason": reason}


def _rules(sources: Sources, edges: Sequence[float], risk: Mapping[str, Document]) -> list[Document]:
    rules = [{"id": "modality", "text": f"another modality than {sources.data['target']['modality']} is refused"}]
    if edges and sources.metrics["spacing_credible"]:
        tested = f"{min(edges):.2g} to {max(edges):.2g} mm"
        rules.append({"id": "spacing", "text": f"largest voxel edge outside {tested}: never tested, ask a person"})
    threshold = risk.get(sources.primary, {}).get("operating_point", {}).get("threshold")
    if threshold is not None:
        text = f"confidence of {sources.primary} below {threshold:.2f}: a person draws it"
        rules.append({"id": "confidence", "text": text})
    how = f"; {sources.monitor['rule']}" if sources.monitor else ""
    rules.append({"id": "drift", "text": f"an alarm of xmed drift: validate again{how}"})
    return rules
