"""Extras: the files that stand beside report.html and are not needed to read it."""

from __future__ import annotations

from typing import Any

from xmed.report.chai import chai_card
from xmed.report.contact import contact
from xmed.report.huggingface import model_card
from xmed.report.viewer import viewer
from xmed.run import Run

MEASURED = "dicom"
"""Folder of the measurement reports, DICOM SR of TID 1500; the segmentations that they refer to stay with the run."""


SBOM = "sbom.cdx.json"


def extras(run: Run, report: dict[str, Any]) -> dict[str, str | bytes]:
    """Every file beside the report by its name. Deterministic: the same files give the same bytes."""
    return {
        "viewer.html": viewer(run, report),
        "contact.html": contact(run, report),
        "chai_model_card.xml": chai_card(report),
        "README.md": model_card(report),
        **({SBOM: (run.folder / "sbom.json").read_bytes()} if run.has("sbom") else {}),
        **measured(run),
    }


def measured(run: Run) -> dict[str, str | bytes]:
    """The measurement reports of a run's DICOM test cases, as the run keeps them."""
    cases = [row["case"] for row in run.read("objects")["cases"] if not row["reason"]] if run.has("objects") else []
    paths = [run.objects / f"{case}.sr.dcm" for case in cases]
    return {f"{MEASURED}/{path.name}": path.read_bytes() for path in paths if path.is_file()}
