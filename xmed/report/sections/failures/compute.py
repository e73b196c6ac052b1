"""Section Failure analysis: every case, every prediction that failed or is poor, and what went wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xmed import stats
from xmed.records.evaluation import CaseRow
from xmed.records.record import content
from xmed.records.report_cases import ReportCase
from xmed.report.case_pictures import contact_sheet, gallery, volume_viewer
from xmed.report.failure_causes import CAUSES, causes, description, tau, worst_first
from xmed.report.ratings import ratings
from xmed.report.row_facts import FAILURE, failed
from xmed.report.rows import NO_REFERENCE, Rows
from xmed.report.section_registry import Files, Section
from xmed.report.sources import Sources
from xmed.report.stats_as_json import proportion
from xmed.run import Run

Document = dict[str, Any]
N_WORST, N_RANDOM = 6, 3
CONTOURS = ("adapted", "source_only", "target_supervised")
"""Arms whose outlines can be shown in the pictures."""


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return cases, worst first; failures, with exact intervals of their rates by arm and causes; and ratings."""
    cases = _cases(sources, rows)
    failures = _failures(sources, rows, cases)
    return {"cases": [content(case) for case in cases], "failures": failures, "ratings": ratings(sources)}


def _cases(sources: Sources, rows: Rows) -> list[ReportCase]:
    """Every case, worst first; for each structure the causes of its worst seed."""
    below, cases = tau(sources), []
    for case in rows.cases(sources.structures, sources.primary):
        codes = {}
        for structure in sources.structures:
            row = _worst_seed(rows, structure, case.case)
            codes[structure] = causes(row, below, sources.edition) if row else []
        cases.append(case.model_copy(update={"causes": codes}))
    return cases


def _failures(sources: Sources, rows: Rows, cases: Sequence[ReportCase]) -> Document:
    below = tau(sources)
    entries = [entry for case in cases for entry in _entries(case, sources, rows, below)]
    poor = [entry for entry in entries if entry["causes"]]
    names = sorted(case.case for case in cases)
    drawn = np.random.default_rng(0).permutation(len(names))[:N_RANDOM].tolist()
    worst = sorted(entries, key=lambda e: (1.0 if e["dice"] is None else e["dice"], e["case"], e["structure"]))
    return {
        "definition": FAILURE,
        "tau": below,
        "looked_at": f"every prediction of the adapted arm that failed or has a Dice below {below:g}, worst seed",
        "by_arm": {arm: {s: _rate(rows, arm, s) for s in sources.structures if rows.of(arm, s)} for arm in rows.arms},
        "rules": CAUSES,
        "causes": [
            {
                "code": code,
                "n": sum(code in entry["causes"] for entry in poor),
                "n_primary": sum(entry["causes"][0] == code for entry in poor),
                "cases": sorted({entry["case"] for entry in poor if code in entry["causes"]}),
            }
            for code in CAUSES
        ],
        "worst": worst[:N_WORST],
        "random": sorted(names[n] for n in drawn),
        "failed": [entry for entry in worst if entry["failed"]],
    }


def _rate(rows: Rows, arm: str, structure: str) -> Document:
    of_arm = rows.of(arm, structure)
    failed_cases, all_cases = {row.case for row in of_arm if failed(row)}, {row.case for row in of_arm}
    counts = {"n_failed": len(failed_cases), "n_cases": len(all_cases)}
    if structure in rows.unsupported:
        return {**counts, "rate": None, "ci": None, "reason": NO_REFERENCE}
    rate = proportion(stats.proportion_interval(len(failed_cases), len(all_cases)))
    return {**counts, "rate": rate["value"], "ci": rate["ci"]}


def _entries(case: ReportCase, sources: Sources, rows: Rows, below: float) -> list[Document]:
    """One entry per structure: the seed that did worst, and what went wrong with it."""
    entries = []
    for structure in sources.structures:
        row = _worst_seed(rows, structure, case.case)
        if row is None:
            continue
        codes = causes(row, below, sources.edition)
        entries.append({
            "case": case.case,
            "patient": case.patient,
            "anchor": case.anchor,
            "structure": structure,
            "seed": row.seed,
            "dice": row.dice,
            "status": row.status,
            "failed": failed(row),
            "causes": codes,
            "text": description(row, codes, sources.edition),
        })  # fmt: skip
    return entries


def _worst_seed(rows: Rows, structure: str, case: str) -> CaseRow | None:
    return min(rows.of_case("adapted", structure, case), key=worst_first, default=None)


def template_values(run: Run, report: Document) -> Document:
    """Pictures of some cases, and the arms whose outlines they show."""
    shown_contours = [arm for arm in CONTOURS if report["summary"].get(arm)]
    return {"gallery": gallery(run, report), "shown_contours": shown_contours}


def extra_files(run: Run, report: Document) -> Files:
    """Every case on one sheet to be rated, and volumes to scroll through."""
    return {"viewer.html": volume_viewer(run, report), "contact.html": contact_sheet(run, report)}


SECTION = Section(
    title="Failure analysis",
    order=140,
    how_to_read="Worst case first. The prediction's line should cover the truth's; where they part, something was "
    "left out or invented. All planes of a case have one scale and pass through the primary structure "
    "where it is largest. Causes are decided from numbers by the rules below, not by eye.",
    provides=("cases", "failures", "ratings"),
    written_by_people=("ratings",),
    kept_from_copy=("ratings",),
    compute=compute,
    template_values=template_values,
    extra_files=extra_files,
)
