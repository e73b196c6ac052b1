"""Subgroups: does the mean hide a kind of patient that the model serves worse; small groups are not shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmed import stats
from xmed.report.plain import interval
from xmed.report.rows import NO_REFERENCE, Rows
from xmed.report.sources import Sources
from xmed.report.words import fact

Document = dict[str, Any]
FACTORS = {
    "size": "reference volume, in thirds of the patients",
    "spacing": "largest voxel edge",
    "sex": "sex, by the image header",
    "age": "age at the study in bands of ten years, by the image header",
    "vendor": "manufacturer, by the image header",
}
HIDDEN = {
    "inference": "fewer than 5 patients: a mean, no interval",
    "display": "fewer than 3 patients: not shown, it could identify someone",
    "complement": "not shown: the group it would give away by subtraction is hidden",
}
HEADERS = ("sex", "age", "vendor")


def subgroups(sources: Sources, rows: Rows) -> list[Document]:
    """Section 11: every factor and structure, Dice of the adapted arm; one level alone is no comparison."""
    asked = sources.protocol["protocol"].get("subgroups") or list(FACTORS)
    return [_factor(name, s, sources, rows) for name in FACTORS if name in asked for s in sources.structures]


def _factor(name: str, structure: str, sources: Sources, rows: Rows) -> Document:
    values = rows.by_patient("adapted", structure, "dice")[0]
    level_of = _levels(name, structure, sources, rows, values)
    shown: Document = {"factor": name, "text": FACTORS[name], "structure": structure, "metric": "dice"}
    known = {level for level in level_of.values() if level is not None}
    if len(known) < 2:
        why = NO_REFERENCE if structure in rows.unsupported else _one_level(name, known)
        nothing, unknown = {"value": None, "ci": None, "reason": why}, sum(v is None for v in level_of.values())
        return {
            **shown, "levels": [], "n": len(values), "n_unknown": unknown, "worst": None, "gap": nothing,
            "interaction": {"p": None, "method": "permutation", "reason": why}, "reason": why,
        }  # fmt: skip
    found = stats.compare_subgroups(values, level_of)
    p = found.p_interaction
    return {
        **shown,
        "levels": [_level(one) for one in found.levels],
        "n": found.n,
        "n_unknown": found.n_unknown,
        "worst": found.worst,
        "gap": interval(found.gap),
        "interaction": {"p": p, "method": "permutation", "reason": None if p is not None else found.note},
        "reason": found.note,
    }


def _level(found: stats.Level) -> Document:
    mean = interval(found.mean) if found.mean is not None else {"value": None, "ci": None}
    suppressed = HIDDEN[found.suppressed] if found.suppressed else None
    return {
        "level": found.name, "n_patients": found.n, "mean": mean["value"], "ci": mean["ci"], "suppressed": suppressed,
    }  # fmt: skip


def _levels(
    name: str, structure: str, sources: Sources, rows: Rows, values: Mapping[str, float]
) -> dict[str, str | None]:
    """The level of every patient that has a value, None where nothing tells it."""
    if name == "size":
        volumes = rows.by_patient("adapted", structure, "reference_volume_ml")[0]
        thirds = stats.tertiles({p: ml for p, ml in volumes.items() if p in values and ml > 0})
        return {p: thirds.get(p) for p in values}
    cases = {case["patient"]: case for case in sources.tested}
    if name == "spacing":
        credible = sources.metrics["spacing_credible"]
        edges = {p: max(case["spacing_mm"]) for p, case in cases.items() if case.get("spacing_mm") and credible}
        return {p: f"{edges[p]:.1f} mm" if p in edges else None for p in values}
    key = {"age": "age_band"}.get(name, name)
    return {p: (cases.get(p, {}).get("facts") or {}).get(key) for p in values}


def _one_level(name: str, known: set[str]) -> str:
    if not known:
        return f"the headers give no {fact(name)}" if name in HEADERS else f"no {name} is known"
    only = next(iter(known))
    return f"all test patients are alike: {only}" if name in ("vendor", "spacing") else "all known patients are alike"
