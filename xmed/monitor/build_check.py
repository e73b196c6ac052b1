"""Writes drift.json, the document of a check, and drift.html, the page that shows it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.files.json_numbers import without_nan
from xmed.monitor.drift_page import page
from xmed.records.drift import DriftCheck
from xmed.records.record import write


def build(document: dict[str, Any], folder: Path) -> Path:
    """Write drift.json and drift.html.

    Args:
        document: What `compose` returned.
        folder: The folder to write to.

    Returns:
        The page's path.

    Raises:
        XmedError: REPORT_MISMATCH, where the document does not follow its schema.
    """
    document = without_nan(document)
    problems = [
        f"{'.'.join(map(str, one.absolute_path)) or 'drift'}: {one.message[:200]}"
        for one in Draft202012Validator(schema()).iter_errors(document)
    ]
    if problems:
        raise XmedError("REPORT_MISMATCH", "; ".join(problems[:5]), "a check as drift.schema.json describes it")
    write(DriftCheck.model_validate(document), folder / DriftCheck.FILE, ensure_ascii=False)
    write_atomically(folder / "drift.html", page(document))
    return folder / "drift.html"


def read(folder: Path) -> dict[str, Any]:
    """Read the drift.json of a check's folder.

    Raises:
        XmedError: DOCUMENT_INVALID, PATH_NOT_FOUND.
    """
    return documents.read_mapping(folder / "drift.json")


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of drift.json."""
    return json.loads(files("xmed.monitor").joinpath("drift.schema.json").read_text(encoding="utf-8"))
