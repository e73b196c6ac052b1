"""Population: who was received, refused, and used for what; what is missing; and the proof that nothing leaked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from xmed.report.plain import quantiles
from xmed.report.rows import Rows
from xmed.report.sources import SIDES, Sources

Document = dict[str, Any]
PARTITIONS = ("train", "select", "test")
FEWEST = 3
"""Patients below which a table shows no breakdown by anything personal: it could identify someone."""
PERSONAL, MACHINE = ("sex", "age_band"), ("vendor", "field_t")
LEAKS = ("patient_overlap", "study_overlap", "series_overlap", "pixel_overlap", "near_duplicates")
KEPT = ("name", "modality", "licence", "source", "structures", "spacing_credible", "cases", "quarantined")


def data(sources: Sources, rows: Rows) -> Document:
    """Section 3 of the report. Single cases are listed without what headers say of their patients."""
    found = sources.data
    return {
        "flow": {side: found[side]["flow"] for side in SIDES},
        "steps": {side: _steps(found[side]) for side in SIDES},
        "cohort": [_row(side, part, sources, rows) for side in SIDES for part in PARTITIONS],
        "missing": _missing(sources),
        "leakage": leakage(found),
        "fingerprint": {side: found[side]["fingerprint"] for side in SIDES},
        **{side: _side(found[side]) for side in SIDES},
    }


def _side(found: Document) -> Document:
    personal = ("facts", "label_ml")
    cases = [{key: case[key] for key in case if key not in personal} for case in found["cases"]]
    return {**{key: found[key] for key in KEPT}, "cases": cases}


def leakage(found: Document) -> Document:
    """What ingest compared, and the patients compared once more here: from the very lists that the report shows."""
    known = {c["patient"] for side in SIDES for c in found[side]["cases"] if c["split"] in ("train", "select")}
    tested = {c["patient"] for c in found["target"]["cases"] if c["split"] == "test"}
    noted = found["leakage"]
    patients = sorted((known & tested) | set(noted["patient_overlap"]))
    lists = {key: noted.get(key, []) for key in LEAKS} | {"patient_overlap": patients}
    checks = [
        {**one, "found": len(lists[one["id"]])} if one["found"] is not None else one for one in noted.get("checks", [])
    ]
    both = {side: {c["patient"] for c in found[side]["cases"]} for side in SIDES}
    shared = sorted(both["source"] & both["target"])
    text = "patients that stand in both datasets, in whatever partition"
    return {**lists, "checks": checks, "source_target": {"patients": shared, "text": text}}


def leaks(found: Document) -> int:
    """How many overlaps the report proves; near duplicates are for a person to look at and do not count here."""
    return sum(len(found[key]) for key in LEAKS if key != "near_duplicates")


def uncompared(found: Document) -> str | None:
    """Why patients were not compared at all; None where they were."""
    patients = next((one for one in found["checks"] if one["id"] == "patient_overlap"), None)
    return patients["reason"] if patients and patients["found"] is None else None


def _steps(found: Document) -> Document:
    flow = found["flow"]
    partition = {}
    for part in PARTITIONS:
        mine = [case for case in found["cases"] if case["split"] == part]
        labelled = sum(bool(case["has_label"]) for case in mine)
        partition[part] = {"cases": len(mine), "labelled": labelled, "patients": len({c["patient"] for c in mine})}
    by_code = Counter(refusal["code"] for refusal in found["quarantined"])
    return {
        "received": flow["found"],
        "in_no_partition": flow["found"] - flow["readable"] - flow["quarantined"],
        "quarantined": {"n": flow["quarantined"], "by_code": dict(sorted(by_code.items()))},
        "readable": flow["readable"],
        "partition": partition,
    }


def _row(side: str, part: str, sources: Sources, rows: Rows) -> Document:
    found = sources.data[side]
    cases = [case for case in found["cases"] if case["split"] == part]
    patients = {case["patient"] for case in cases}
    facts = {case["patient"]: case.get("facts") or {} for case in cases}
    studies = {study for case in cases if (study := (case.get("facts") or {}).get("study"))}
    tested = side == "target" and part == "test"
    volumes = {s: _volumes(cases, s, rows if tested else None) for s in sources.structures}
    notes = Counter(note["code"] for case in cases for note in case.get("notes", ()))
    return {
        "side": side,
        "dataset": found["name"],
        "modality": found["modality"],
        "partition": part,
        "patients": len(patients),
        "volumes": len(cases),
        "studies": len(studies) or None,
        "labelled": sum(bool(case["has_label"]) for case in cases),
        "model": {},  # free text of a header never crosses ingest
        **{
            name: _counts((one.get(name) for one in facts.values()), name in PERSONAL) for name in (*PERSONAL, *MACHINE)
        },
        "spacing_mm": _ranges(case["spacing_mm"] for case in cases),
        "shape": _ranges(case["shape"] for case in cases),
        "label_volume_ml": {s: found for s, found in volumes.items() if found},
        "notes": dict(sorted(notes.items())),
    }


def _counts(values: Iterable[str | None], personal: bool) -> Document:
    """How many patients of each level; of anything personal only where no level has fewer than FEWEST."""
    counted = Counter(value for value in values if value)
    few = [level for level, n in counted.items() if n < FEWEST]
    if personal and few:
        return {"suppressed": f"a level with fewer than {FEWEST} patients"}
    return dict(sorted(counted.items()))


def _ranges(triples: Iterable[Sequence[float] | None]) -> Document | None:
    known = [triple for triple in triples if triple]
    if not known:
        return None
    ends: dict[str, Callable[..., float]] = {"min": min, "max": max}
    return {name: [end(triple[axis] for triple in known) for axis in range(3)] for name, end in ends.items()}


def _volumes(cases: Sequence[Document], structure: str, rows: Rows | None) -> Document | None:
    """Label volume over patients, ml: of test cases from evaluation, since nothing reads their labels before it."""
    if rows is not None:
        arm = next(iter(rows.arms), "")
        values = list(rows.by_patient(arm, structure, "reference_volume_ml")[0].values())
    else:
        values = [ml for case in cases if (ml := (case.get("label_ml") or {}).get(structure)) is not None]
    spread = quantiles(values, (0, 0.5, 1))
    return spread and {"n": len(values), "min": spread["0"], "median": spread["0.5"], "max": spread["1"]}


def _missing(sources: Sources) -> list[Document]:
    """What is absent, how often, and what was done about it; a line only where something is."""
    out = []
    for side in SIDES:
        for part in PARTITIONS:
            cases = [case for case in sources.data[side]["cases"] if case["split"] == part]
            unlabelled = sum(not case["has_label"] for case in cases)
            if unlabelled:
                out.append(_absent(side, part, "label", unlabelled, len(cases), _unlabelled(side, part)))
            for name in (*PERSONAL, "vendor"):
                absent = sum(not (case.get("facts") or {}).get(name) for case in cases)
                if absent and part == "test":
                    out.append(_absent(side, part, name, absent, len(cases), "left out of subgroups by it"))
    return out


def _absent(side: str, part: str, what: str, n_missing: int, n: int, handling: str) -> Document:
    return {"side": side, "partition": part, "what": what, "n_missing": n_missing, "n": n, "handling": handling}


def _unlabelled(side: str, part: str) -> str:
    if part == "test":
        return "not judged"
    return "not learned from" if side == "source" else "learned from without labels, as every case of this partition"
