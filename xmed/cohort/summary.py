"""Summary: both cohorts of a study as the report shows them, with the metadata of every case."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from xmed.cohort.case import Case, Cohort
from xmed.cohort.leakage import find_leakage
from xmed.cohort.store import Store
from xmed.files.digest import digest
from xmed.records.data_summary import CaseFlow, CaseSummary, CohortSummary, DataSummary, QuarantinedCaseSummary
from xmed.spec import SPLITS


def summarise_cohorts(source: Cohort, target: Cohort) -> DataSummary:
    """Make data.json of a run.

    No label of the target is opened. For each label of the source, the volume of every structure is computed.

    Args:
        source: The source.
        target: The target.

    Returns:
        Both cohorts (cases, quarantine, flow), and what they share, see `find_leakage`.
    """
    return DataSummary(
        source=describe_cohort(source, labels=True),
        target=describe_cohort(target),
        leakage=find_leakage([source, target], target),
    )


def describe_cohort(cohort: Cohort, labels: bool = False) -> CohortSummary:
    """Describe one cohort, as in data.json.

    Args:
        cohort: The cohort.
        labels: Whether label maps are opened to compute the volumes of their structures.

    Returns:
        The cohort without its voxels.
    """
    spec = cohort.spec
    counts = {name: len(cohort.split(name)) for name in SPLITS}
    keys = sorted(key for case in cohort.cases for key in (case.image, case.label) if key)
    flow = CaseFlow(found=cohort.n_found, readable=len(cohort.cases), quarantined=len(cohort.quarantined), **counts)
    return CohortSummary(
        name=spec.name,
        modality=spec.modality,
        licence=spec.licence,
        source=spec.source,
        fingerprint=cohort.fingerprint,
        merkle_root=merkle_root(keys),
        files=len(keys),
        structures=spec.label_table.names,
        spacing_credible=spec.spacing_credible,
        cases=[_case(cohort, case, labels) for case in cohort.cases],
        quarantined=[QuarantinedCaseSummary(**asdict(refused)) for refused in cohort.quarantined],
        flow=flow,
    )


def _case(cohort: Cohort, case: Case, labels: bool) -> CaseSummary:
    metas = [Store(cohort.home).meta(key) for key in (case.image, case.label) if key]
    meta = metas[0] if metas else None
    facts = meta.facts if meta and case.image else {}
    return CaseSummary(
        case=case.id,
        patient=case.patient,
        split=case.split,
        has_label=case.label is not None,
        shape=meta.shape if meta else None,
        spacing_mm=meta.spacing_mm if meta else None,
        notes=[note for meta in metas for note in meta.notes],
        facts={name: text for name, text in facts.items() if name != "series"},
        label_ml=_volumes(cohort, case) if labels and case.label else {},
    )


def _volumes(cohort: Cohort, case: Case) -> dict[str, float]:
    """Structure → its volume in ml; empty where the header's spacing is not credible."""
    if not cohort.spec.spacing_credible:
        return {}
    label = cohort.label(case)
    return {
        s.name: int(np.count_nonzero(label.array == s.value)) * label.grid.voxel_ml for s in cohort.spec.label_table
    }


def merkle_root(leaves: list[str]) -> str | None:
    """Root (hex) of a Merkle tree over digests, which changes with any of them; None without leaves.

    Source: Merkle, A digital signature based on a conventional encryption function, CRYPTO 1987.
    """
    level = leaves
    while len(level) > 1:
        level = [digest(level[n : n + 2]) for n in range(0, len(level), 2)]
    return level[0] if level else None
