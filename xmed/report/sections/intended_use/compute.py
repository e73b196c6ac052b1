"""Section Intended use and limits: what the model is for, where it was tested, risks and limitations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xmed.html.render import ranges, word
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sections.intended_use.limitations import limitations
from xmed.report.sources import Sources

Document = dict[str, Any]
WRITTEN = ("intended_use", "users", "population", "out_of_scope")
"""Keys of the author's text that belong to the intended use."""
RISKS = (
    (
        "A structure is missed, or found where it is not",
        "images unlike those that were adapted to",
        "confidence below the operating point asks for a person; monitoring compares distributions",
        "#risk",
    ),
    (
        "A volume is systematically too large or too small",
        "adaptation without a single target label",
        "bias and limits of agreement, in ml",
        "#volume",
    ),
    (
        "A good mean hides patients who are served worse",
        "few patients of a kind in training",
        "subgroups, with the worst named; every failure listed",
        "#subgroups",
    ),
    (
        "Results do not carry over to another scanner",
        "one source of target data",
        "robustness to disturbance; validation on external data",
        "#robustness",
    ),
    (
        "A later version is worse for some patients",
        "means improve while single patients lose",
        "wins and losses per patient against the version before",
        "#previous",
    ),
    (
        "Trust in a number that is wrong",
        "a defect of this software, or a report changed by hand",
        "`xmed report verify` recomputes every number and hash",
        "#reproducibility",
    ),
)
"""(hazard, cause, control, where the evidence is), after ISO 14971; the same for every study, evidence differs."""


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return intended_use and limitations: what people wrote, and the range of images that was tested."""
    items = report["text"]["items"]
    return {
        "intended_use": _intended_use(sources, items),
        "limitations": {"human": items["limitations"], "machine": limitations(sources, report)},
    }


def _intended_use(sources: Sources, items: Document) -> Document:
    tested, target = sources.tested, sources.data.target
    edges = _range([case.spacing_mm for case in tested if case.spacing_mm])
    sizes = _range([_size_mm(case.shape, case.spacing_mm) for case in tested if case.shape and case.spacing_mm])
    sizes = sizes if sources.metrics.spacing_credible else None
    return {
        "anchor": "#intended",
        "human": {key: items[key] for key in WRITTEN},
        "machine": {
            "modality": target.modality,
            "structures": sources.structures,
            "spacing_mm": edges,
            "size_mm": sizes,
            "patients": len({case.patient for case in tested}),
            "vendors": sorted({vendor for case in tested if (vendor := case.facts.get("vendor"))}),
        },
        "out_of_scope": [
            f"images of another modality than {target.modality}, which are refused",
            f"structures other than {', '.join(map(word, sources.structures))}",
            _untested(edges, sizes),
            "diagnosis: this is research software and no medical device",
        ],
        "risks": [dict(zip(("hazard", "cause", "control", "evidence"), risk)) for risk in RISKS],
    }


def _untested(edges: Document | None, sizes: Document | None) -> str:
    """Which voxel sizes and fields of view, in mm, no test case had."""
    if edges is None or sizes is None:
        return "images of another size or resolution than the tested ones: these have no spacing that can be believed"
    return (
        f"voxels other than {ranges(edges, 2)} mm and fields of view other than {ranges(sizes, 0)} mm: none was tested"
    )


def _size_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> list[float]:
    return [n * edge for n, edge in zip(shape, spacing_mm)]


def _range(triples: Sequence[Sequence[float]]) -> Document | None:
    """Lowest and highest value along each axis."""
    if not triples:
        return None
    return {name: [end(t[axis] for t in triples) for axis in range(3)] for name, end in (("min", min), ("max", max))}


SECTION = Section(
    title="Intended use and limits",
    order=20,
    anchor="intended",
    how_to_read="What the model is for and where it must not be used. Better is a use that names people, patients and "
    "task. Where it says not provided, a person has to write it before a board reads on.",
    provides=("intended_use", "limitations"),
    needs=("summary", "intervals", "cases", "data", "reference_standard", "robustness"),
    written_by_people=("intended_use", "limitations"),
    kept_from_copy=("intended_use",),
    compute=compute,
)
