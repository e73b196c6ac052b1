"""Intended use of a model, what it was not tested on, known risks, and the quality of its references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xmed.html import render
from xmed.html.render import word
from xmed.report.headline import machine_limitations
from xmed.report.rows import Rows, absent
from xmed.report.sources import Sources

Document = dict[str, Any]
USE = ("intended_use", "users", "population", "out_of_scope")
STANDARD = ("reference_standard", "reference_rationale", "annotators", "test_annotation", "rater_variability")
ONE_RATER = "one reference label per case"
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


def intended_use(sources: Sources, text: Document) -> Document:
    """Section 2: what people say it is for, and the range in which a machine saw it tested."""
    tested = sources.tested
    sizes = [_size(case) for case in tested if case.get("shape") and case.get("spacing_mm")]
    edges = [case["spacing_mm"] for case in tested if case.get("spacing_mm")]
    items = text["items"]
    target = sources.data["target"]
    return {
        "anchor": "#intended",
        "human": {key: items[key] for key in USE},
        "machine": {
            "modality": target["modality"],
            "structures": sources.structures,
            "spacing_mm": _ends(edges),
            "size_mm": _ends(sizes) if sources.metrics["spacing_credible"] else None,
            "patients": len({case["patient"] for case in tested}),
            "vendors": sorted({vendor for case in tested if (vendor := (case.get("facts") or {}).get("vendor"))}),
        },
        "out_of_scope": [
            f"images of another modality than {target['modality']}, which are refused",
            f"structures other than {', '.join(map(word, sources.structures))}",
            _untested(_ends(edges), _ends(sizes) if sources.metrics["spacing_credible"] else None),
            "diagnosis: this is research software and no medical device",
        ],
        "risks": [dict(zip(("hazard", "cause", "control", "evidence"), risk)) for risk in RISKS],
    }


def limitations(sources: Sources, report: Document, text: Document) -> Document:
    """What limits the study, said by people and by the numbers."""
    return {"human": text["items"]["limitations"], "machine": machine_limitations(sources, report)}


def reference_standard(sources: Sources, rows: Rows, text: Document, summary: Mapping[str, Any]) -> Document:
    """Section 4. There is one label per case here, so agreement between raters is never made up."""
    empty, patient = {}, {case["case"]: case["patient"] for case in sources.tested}
    lacking: dict[str, set[str]] = {}
    for s in sources.structures:
        lacking[s] = {row["case"] for row in rows.rows if row["structure"] == s and absent(row)}
        empty[s] = len(lacking[s])
    having = {s: len({who for case, who in patient.items() if case not in lacking[s]}) for s in sources.structures}
    unknown = {"value": None, "ci": None, "reason": ONE_RATER}
    return {
        "human": {key: text["items"][key] for key in STANDARD},
        "labelled_test_cases": len(sources.tested),
        "empty_references": empty,
        "patients_with": having,
        "patients": len(set(patient.values())),
        "inter_rater": unknown,
        "intra_rater": unknown,
        "ceiling": {
            "kind": "a net trained with the target's own labels",
            "structures": {s: summary.get(s, {}).get("dice", {}).get("mean") for s in sources.structures},
        },
    }


def _untested(edges: Document | None, size: Document | None) -> str:
    """What voxel sizes and fields of view no test case had, in mm."""
    if edges is None or size is None:
        return "images of another size or resolution than the tested ones: these have no spacing that can be believed"
    return (
        f"voxels other than {render.ranges(edges, 2)} mm and fields of view other than {render.ranges(size, 0)} mm: "
        "none was tested"
    )


def _size(case: Document) -> list[float]:
    return [n * edge for n, edge in zip(case["shape"], case["spacing_mm"])]


def _ends(triples: Sequence[Sequence[float]]) -> Document | None:
    if not triples:
        return None
    return {name: [end(t[axis] for t in triples) for axis in range(3)] for name, end in (("min", min), ("max", max))}
