"""Summary: both cohorts of a study as the report shows them, and what must not stand in two places."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from xmed.cohort.case import Case, Cohort
from xmed.cohort.store import Store
from xmed.spec import SPLITS, Split


def summary(source: Cohort, target: Cohort) -> dict[str, Any]:
    """The run's data.json: source, target (cases, quarantine, flow) and leakage.

    leakage names what stands both where something is learned or chosen (train, select of either cohort) and in the
    target's test: patients by name, images by the digest of their voxels (so a renamed or repacked copy is found).
    """
    learned: tuple[Split, ...] = ("train", "select")
    known = [(cohort, case) for cohort in (source, target) for case in cohort.split(*learned)]
    tested = [(target, case) for case in target.split("test")]
    return {
        "source": _cohort(source),
        "target": _cohort(target),
        "leakage": {
            "patient_overlap": sorted({c.patient for _, c in known} & {c.patient for _, c in tested}),
            "pixel_overlap": sorted(_pixels(known) & _pixels(tested)),
        },
    }


def _cohort(cohort: Cohort) -> dict[str, Any]:
    spec = cohort.spec
    counts = {name: len(cohort.split(name)) for name in SPLITS}
    return {
        "name": spec.name,
        "modality": spec.modality,
        "licence": spec.licence,
        "source": spec.source,
        "fingerprint": cohort.fingerprint,
        "structures": spec.label_table.names,
        "spacing_credible": spec.spacing_credible,
        "cases": [_case(cohort, case) for case in cohort.cases],
        "quarantined": [asdict(refusal) for refusal in cohort.quarantined],
        "flow": {
            "found": cohort.found,
            "readable": len(cohort.cases),
            "quarantined": len(cohort.quarantined),
            **counts,
        },
    }


def _case(cohort: Cohort, case: Case) -> dict[str, Any]:
    metas = [Store(cohort.home).meta(key) for key in (case.image, case.label) if key]
    meta = metas[0] if metas else {"shape": None, "spacing_mm": None}
    return {
        "case": case.id,
        "patient": case.patient,
        "split": case.split,
        "has_label": case.label is not None,
        "shape": meta["shape"],
        "spacing_mm": meta["spacing_mm"],
        "notes": [note for meta in metas for note in meta.get("notes", ())],
    }


def _pixels(cases: Iterable[tuple[Cohort, Case]]) -> set[str]:
    return {Store(cohort.home).meta(case.image)["sha256"] for cohort, case in cases if case.image}
