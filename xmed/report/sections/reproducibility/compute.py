"""Section Reproducibility and provenance: what it takes to make the report again, or to see that it cannot be."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from xmed import __version__
from xmed.files.digest import digest
from xmed.records.data_summary import CohortSummary
from xmed.records.evaluation import DicomObjects
from xmed.report.rows import Rows
from xmed.report.section_registry import Files, Section
from xmed.report.sources import Sources
from xmed.run import Run

Document = dict[str, Any]
LATER = "logged after this report; the model version names the report's sha256"
NOT_RECORDED = "not recorded when the run was made"
SYSTEM = ("os", "python", "cpu", "gpu", "driver", "cuda", "cudnn", "container")
BILL_OF_MATERIALS = "sbom.cdx.json"
"""File of the report with every package of the run, CycloneDX."""
MEASUREMENT_REPORTS = "dicom"
"""Folder of the report with a DICOM SR of TID 1500 for each test case that has one."""


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return environment, as the run wrote it, and reproducibility; what is null there is named in `missing`."""
    return {"environment": sources.environment, "reproducibility": reproducibility(sources)}


def reproducibility(sources: Sources) -> Document:
    """Return versions, hashes, seeds, system and commands of a run; what is null is named in `missing`."""
    environment = sources.environment
    started, finished = environment.get("started"), environment.get("finished")
    packages = environment.get("packages") or None
    source_code = environment.get("source_code") or {}
    weights = {str(record.seed): record.weights_sha256 for record in sources.trained if record.arm == "adapted"}
    block: Document = {
        "git": {"commit": environment.get("git"), "dirty": None, "diff_sha256": None, **source_code},
        "lock_sha256": environment.get("lock_sha256"),
        "packages": packages,
        "packages_sha256": digest(packages) if packages else None,
        "sbom_sha256": sources.hashes.get("sbom.json"),
        "system": _system(environment),
        "config": {"study": sources.study["name"], "sha256": digest(sources.study)},
        "seeds": sources.study["seeds"],
        "determinism": environment.get("determinism"),
        "data": {side: _data(cohort) for side, cohort in sources.sides.items()},
        "preparation_sha256": digest([sources.study["grid"], sources.data.target.fingerprint, __version__]),
        "weights": {"format": "safetensors", "sha256": weights},
        "metrics": {
            "implementation": f"xmed.metrics {__version__}",
            "statistics": f"xmed.stats {__version__}",
            "scipy": environment.get("scipy"),
            "conventions_sha256": digest(sources.metrics.conventions),
        },
        "dicom": _measurement_reports(sources.objects),
        "mlflow": {"run_id": None, "model_version": None, "reason": LATER},
        "command": environment.get("command"),
        "started": started,
        "finished": finished,
        "seconds": _seconds(started, finished),
        "sources": sources.hashes,
    }
    block["missing"] = [f"{path}: {NOT_RECORDED}" for path in _nulls(block) if not path.startswith("mlflow")]
    return block


def _system(environment: Document) -> Document:
    recorded = {key: value for key, value in (environment.get("system") or {}).items() if key in SYSTEM}
    basic = {"os": environment.get("platform"), "python": environment.get("python"), "cpu": environment.get("cpu")}
    return {**dict.fromkeys(SYSTEM), **basic, **recorded}


def _data(side: CohortSummary) -> Document:
    """fingerprint: over the store keys of every case, which are sha256 of the input bytes and how they are read."""
    cases = sorted([case.case, case.patient, case.split] for case in side.cases)
    return {
        "fingerprint": side.fingerprint,
        "merkle_root": side.merkle_root,
        "files": side.files,
        "splits_sha256": digest(cases),
    }


def _measurement_reports(objects: DicomObjects | None) -> Document | None:
    """How many DICOM test cases have a measurement report beside this one, and why the others have none."""
    if objects is None:
        return None
    reasons = Counter(row.reason.partition(":")[0] for row in objects.cases if row.reason)
    n = len(objects.cases)
    return {"measurement_reports": n - reasons.total(), "of_cases": n, "withheld": dict(sorted(reasons.items()))}


def _seconds(started: str | None, finished: str | None) -> float | None:
    if not started or not finished:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()


def _nulls(block: Any, path: str = "") -> list[str]:
    """Paths of every null in a document."""
    if isinstance(block, dict):
        return [null for key, value in block.items() for null in _nulls(value, f"{path}.{key}" if path else str(key))]
    return [path] if block is None else []


def extra_files(run: Run, report: Document) -> Files:
    """The bill of materials, and the measurement reports (DICOM SR, TID 1500) of the test cases that have one.

    The segmentations that the measurement reports refer to stay with the run.
    """
    files: Files = {BILL_OF_MATERIALS: (run.folder / "sbom.json").read_bytes()} if run.has("sbom") else {}
    cases = [row.case for row in run.read(DicomObjects).cases if not row.reason] if run.has(DicomObjects) else []
    paths = [run.objects / f"{case}.sr.dcm" for case in cases]
    return files | {f"{MEASUREMENT_REPORTS}/{path.name}": path.read_bytes() for path in paths if path.is_file()}


SECTION = Section(
    title="Reproducibility and provenance",
    order=200,
    how_to_read="What it takes to make this report again, and to notice if anything in it was changed.",
    provides=("environment", "reproducibility"),
    not_in_id=("environment", "reproducibility"),
    kept_from_copy=("reproducibility",),
    compute=compute,
    extra_files=extra_files,
)
