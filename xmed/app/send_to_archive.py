"""Send the DICOM objects of a prediction to an archive (PACS)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmed.errors import XmedError
from xmed.io.pacs import connect, send
from xmed.spec import load_dataset


def archive(named: str, form: str) -> str:
    """Find the address of an archive and check it before anything is done.

    Args:
        named: An address, such as https://… or dimse://…, or a dataset whose spec has `pacs`.
        form: The format of the prediction; only `dicom-seg` can be sent.

    Raises:
        XmedError: USAGE, SPEC_INVALID, SPEC_NOT_FOUND.
    """
    if form != "dicom-seg":
        raise XmedError("USAGE", f"--send beside {form}", "--format dicom-seg: archives store DICOM alone")
    if "://" not in named:
        spec = load_dataset(named)
        if spec.pacs is None:
            raise XmedError("SPEC_INVALID", f"dataset {spec.name} has no `pacs`", "one, or the address of an archive")
        named = spec.pacs.server
    connect(named)
    return named


def send_back(files: list[Path], server: str) -> list[dict[str, Any]]:
    """Store files in an archive; to send them again does no harm.

    Returns:
        file and status of each.

    Raises:
        XmedError: PACS_UNREACHABLE, PACS_REFUSED, PACS_ANSWER; the sentence says what became of every file.
    """
    found: list[dict[str, Any]] = []
    failed: XmedError | None = None
    for path in files:
        try:
            found.append({"file": str(path), "status": send(path, server)})
        except XmedError as problem:
            failed = failed or problem
            found.append({"file": str(path), "status": problem.what})
    if failed is not None:
        told = "; ".join(f"{one['file']}: {one['status']}" for one in found)
        raise XmedError(failed.code, told, failed.expected, failed.do or "the files are written: send them again")
    return found
