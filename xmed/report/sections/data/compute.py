"""Section Data: which cases were received, refused and used for what, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from xmed.records.data_summary import CaseSummary, CohortSummary
from xmed.records.record import content
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sections.data.figure import flow_charts
from xmed.report.sections.leakage.compute import leakage
from xmed.report.sources import SIDES, Sources, case_flow
from xmed.report.stats_as_json import quantiles
from xmed.run import Run

Document = dict[str, Any]
PARTITIONS = ("train", "select", "test")
FEWEST = 3
"""Patients below which a table shows no breakdown by anything personal: it could identify someone."""
PERSONAL, MACHINE = ("sex", "age_band"), ("vendor", "field_t")
"""Attributes of a header that describe the patient, and the scanner."""
KEPT = ("name", "modality", "licence", "source", "structures", "spacing_credible", "cases", "quarantined")
"""Keys of each side of data.json that the report keeps."""


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return data: flow of cases, cohort tables, missing data, leakage, fingerprints and both sides' cases.

    Single cases are listed without what headers say of their patients.
    """
    sides = sources.sides
    data = {
        "flow": {side: content(case_flow(sides[side])) for side in SIDES},
        "steps": {side: _steps(sides[side]) for side in SIDES},
        "cohort": [_cohort_row(side, part, sources, rows) for side in SIDES for part in PARTITIONS],
        "missing": _missing(sources),
        "leakage": leakage(sources.data),
        "fingerprint": {side: sides[side].fingerprint for side in SIDES},
        **{side: _side(sides[side]) for side in SIDES},
    }
    return {"data": data}


def _side(side: CohortSummary) -> Document:
    personal = ("facts", "label_ml")
    plain: Document = content(side)
    cases = [{key: case[key] for key in case if key not in personal} for case in plain["cases"]]
    return {**{key: plain[key] for key in KEPT}, "cases": cases}


def _steps(side: CohortSummary) -> Document:
    flow, partition = case_flow(side), {}
    for part in PARTITIONS:
        cases = [case for case in side.cases if case.split == part]
        labelled, patients = sum(case.has_label for case in cases), {case.patient for case in cases}
        partition[part] = {"cases": len(cases), "labelled": labelled, "patients": len(patients)}
    by_code = Counter(refusal.code for refusal in side.quarantined)
    return {
        "received": flow.n_found,
        "in_no_partition": flow.n_found - flow.readable - flow.quarantined,
        "quarantined": {"n": flow.quarantined, "by_code": dict(sorted(by_code.items()))},
        "readable": flow.readable,
        "partition": partition,
    }


def _cohort_row(side: str, part: str, sources: Sources, rows: Rows) -> Document:
    dataset = sources.sides[side]
    cases = [case for case in dataset.cases if case.split == part]
    facts = {case.patient: case.facts for case in cases}
    studies = {study for case in cases if (study := case.facts.get("study"))}
    tested = side == "target" and part == "test"
    volumes = {s: _volumes(cases, s, rows if tested else None) for s in sources.structures}
    notes = Counter(note.code for case in cases for note in case.notes)
    return {
        "side": side,
        "dataset": dataset.name,
        "modality": dataset.modality,
        "partition": part,
        "patients": len(facts),
        "volumes": len(cases),
        "studies": len(studies) or None,
        "labelled": sum(case.has_label for case in cases),
        "model": {},  # free text of a header never leaves ingest
        **{
            name: _counts((fact.get(name) for fact in facts.values()), name in PERSONAL)
            for name in (*PERSONAL, *MACHINE)
        },
        "spacing_mm": _ranges(case.spacing_mm for case in cases),
        "shape": _ranges(case.shape for case in cases),
        "label_volume_ml": {structure: volume for structure, volume in volumes.items() if volume},
        "notes": dict(sorted(notes.items())),
    }


def _counts(values: Iterable[str | None], personal: bool) -> Document:
    """How many patients of each level; of anything personal only where no level has fewer than FEWEST."""
    counted = Counter(value for value in values if value)
    if personal and any(n < FEWEST for n in counted.values()):
        return {"suppressed": f"a level with fewer than {FEWEST} patients"}
    return dict(sorted(counted.items()))


def _ranges(triples: Iterable[Sequence[float] | None]) -> Document | None:
    """Lowest and highest value along each axis."""
    given = [triple for triple in triples if triple]
    if not given:
        return None
    ends: dict[str, Callable[..., float]] = {"min": min, "max": max}
    return {name: [end(triple[axis] for triple in given) for axis in range(3)] for name, end in ends.items()}


def _volumes(cases: Sequence[CaseSummary], structure: str, rows: Rows | None) -> Document | None:
    """Label volume over patients, ml; of test cases from evaluation, since nothing reads their labels before it."""
    if rows is not None:
        arm = next(iter(rows.arms), "")
        values = list(rows.by_patient(arm, structure, "reference_volume_ml")[0].values())
    else:
        values = [ml for case in cases if (ml := case.label_ml.get(structure)) is not None]
    spread = quantiles(values, (0, 0.5, 1))
    return spread and {"n": len(values), "min": spread["0"], "median": spread["0.5"], "max": spread["1"]}


def _missing(sources: Sources) -> list[Document]:
    """What is missing, how often, and what was done about it; a line only where something is."""
    lines = []
    for side in SIDES:
        for part in PARTITIONS:
            cases = [case for case in sources.sides[side].cases if case.split == part]
            unlabelled = sum(not case.has_label for case in cases)
            if unlabelled:
                lines.append(_missing_line(side, part, "label", unlabelled, len(cases), _use_unlabelled(side, part)))
            for name in (*PERSONAL, "vendor"):
                absent = sum(not case.facts.get(name) for case in cases)
                if absent and part == "test":
                    lines.append(_missing_line(side, part, name, absent, len(cases), "left out of subgroups by it"))
    return lines


def _missing_line(side: str, part: str, what: str, n_missing: int, n: int, handling: str) -> Document:
    return {"side": side, "partition": part, "what": what, "n_missing": n_missing, "n": n, "handling": handling}


def _use_unlabelled(side: str, part: str) -> str:
    if part == "test":
        return "not judged"
    return "not learned from" if side == "source" else "learned from without labels, as every case of this partition"


def template_values(run: Run, report: Document) -> Document:
    """A flow chart for each dataset."""
    return {"flow_charts": flow_charts(report["data"])}


SECTION = Section(
    title="Data",
    order=30,
    how_to_read="From what was received to what was tested: nothing disappears on the way without a reason. Better is "
    "an empty quarantine, and partitions that look alike. Where they differ, read the subgroups before "
    "the means.",
    provides=("data",),
    kept_from_copy=("data",),
    compute=compute,
    template_values=template_values,
)
