"""Section Subgroups and fairness: whether a good mean hides patients whom the model serves worse."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Any

from xmed import stats
from xmed.html.axis import Axis
from xmed.report.display_names import attribute_name
from xmed.report.rows import NO_REFERENCE, Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources
from xmed.report.stats_as_json import interval
from xmed.run import Run

Figure = dict[str, Any]
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
"""Factors that come from image headers."""


def forest_plot(groups: list[dict[str, Any]], overall: dict[str, float | None]) -> Figure:
    """Return every level of every subgroup on one scale of Dice.

    Args:
        groups: `subgroups` of the document.
        overall: Each structure's mean Dice over all patients, drawn as a line to compare with.
    """
    levels = [level for group in groups for level in group["levels"]]
    means = [level["mean"] for level in levels] + list(overall.values())
    lows = [level["ci"][0] for level in levels if level["ci"]]
    least = min([1.0, *lows, *(mean for mean in means if mean is not None)])
    axis = Axis(max(0.0, floor(10 * least - 0.5) / 10), 1.0, 4, 196)
    rows = []
    for level in levels:
        x, ci = None if level["mean"] is None else axis(level["mean"]), level["ci"]
        rows.append({"x": x, "from": axis(ci[0]) if ci else None, "to": axis(ci[1]) if ci else None})
    lines = {name: None if mean is None else axis(mean) for name, mean in overall.items()}
    return {"rows": rows, "overall": lines, "scale": [axis.low, (axis.low + 1) / 2, 1.0]}


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return subgroups: Dice of the adapted arm for every level of every factor and structure.

    A factor with one level alone is no comparison and gives a reason. Small groups are not shown.
    """
    factors = sources.protocol["protocol"].get("subgroups") or list(FACTORS)
    return {
        "subgroups": [
            _factor(name, structure, sources, rows)
            for name in FACTORS
            if name in factors
            for structure in sources.structures
        ]
    }


def _factor(name: str, structure: str, sources: Sources, rows: Rows) -> Document:
    values = rows.by_patient("adapted", structure, "dice")[0]
    level_of = _levels(name, structure, sources, rows, values)
    about: Document = {"factor": name, "text": FACTORS[name], "structure": structure, "metric": "dice"}
    levels = {level for level in level_of.values() if level is not None}
    if len(levels) < 2:
        reason = NO_REFERENCE if structure in rows.unsupported else _why_one_level(name, levels)
        gap, n_unknown = {"value": None, "ci": None, "reason": reason}, sum(v is None for v in level_of.values())
        return {
            **about, "levels": [], "n": len(values), "n_unknown": n_unknown, "worst": None, "gap": gap,
            "interaction": {"p": None, "method": "permutation", "reason": reason}, "reason": reason,
        }  # fmt: skip
    result = stats.compare_subgroups(values, level_of)
    p = result.p_interaction
    return {
        **about,
        "levels": [_level(level) for level in result.levels],
        "n": result.n,
        "n_unknown": result.n_unknown,
        "worst": result.worst,
        "gap": interval(result.gap),
        "interaction": {"p": p, "method": "permutation", "reason": None if p is not None else result.note},
        "reason": result.note,
    }


def _level(level: stats.Level) -> Document:
    mean = interval(level.mean) if level.mean is not None else {"value": None, "ci": None}
    suppressed = HIDDEN[level.suppressed] if level.suppressed else None
    return {
        "level": level.name, "n_patients": level.n, "mean": mean["value"], "ci": mean["ci"], "suppressed": suppressed,
    }  # fmt: skip


def _levels(
    name: str, structure: str, sources: Sources, rows: Rows, values: Mapping[str, float]
) -> dict[str, str | None]:
    """The level of every patient that has a value; None where it is not known."""
    if name == "size":
        volumes = rows.by_patient("adapted", structure, "reference_volume_ml")[0]
        thirds = stats.tertiles({p: ml for p, ml in volumes.items() if p in values and ml > 0})
        return {patient: thirds.get(patient) for patient in values}
    cases = {case.patient: case for case in sources.tested}
    if name == "spacing":
        credible = sources.metrics.spacing_credible
        edges = {p: max(case.spacing_mm) for p, case in cases.items() if case.spacing_mm and credible}
        return {patient: f"{edges[patient]:.1f} mm" if patient in edges else None for patient in values}
    key = {"age": "age_band"}.get(name, name)
    return {patient: cases[patient].facts.get(key) if patient in cases else None for patient in values}


def _why_one_level(name: str, levels: set[str]) -> str:
    if not levels:
        return f"the headers give no {attribute_name(name)}" if name in HEADERS else f"no {name} is known"
    only = next(iter(levels))
    return f"all test patients are alike: {only}" if name in ("vendor", "spacing") else "all known patients are alike"


def template_values(run: Run, report: Document) -> Document:
    """All groups on one scale, beside each structure's mean over all patients."""
    adapted = report["summary"].get("adapted", {})
    means = {s: adapted.get(s, {}).get("dice", {}).get("mean") for s in report["study"]["structures"]}
    return {"forest": forest_plot(report["subgroups"], means)}


SECTION = Section(
    title="Subgroups and fairness",
    order=120,
    how_to_read="Mean Dice of each group of patients with its interval; the upright line is the mean of all. Better "
    "is every interval over the line. A group whose interval ends before it needs its own look, whatever "
    "the overall mean. Groups of fewer than 3 patients are not shown, of fewer than 5 not judged.",
    provides=("subgroups",),
    kept_from_copy=("subgroups",),
    compute=compute,
    template_values=template_values,
)
