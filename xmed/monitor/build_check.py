"""Writes drift.json, the document of a check, and drift.html, the page that shows it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from jsonschema import Draft202012Validator
from pydantic import JsonValue

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.monitor.drift_page import render_drift_page
from xmed.records.drift import DriftCheck
from xmed.records.record import content, read_record, write


def build_drift_check(check: DriftCheck, folder: Path) -> Path:
    """Write drift.json and drift.html.

    Args:
        check: What `compose_drift_check` returned.
        folder: The folder to write to.

    Returns:
        The page's path.

    Raises:
        XmedError: REPORT_MISMATCH, where the document does not follow its schema.
    """
    problems = [
        f"{'.'.join(map(str, fault.absolute_path)) or 'drift'}: {fault.message[:200]}"
        for fault in Draft202012Validator(drift_schema()).iter_errors(content(check))
    ]
    if problems:
        raise XmedError("REPORT_MISMATCH", "; ".join(problems[:5]), "a check as drift.schema.json describes it")
    write(check, folder / DriftCheck.FILE, ensure_ascii=False)
    write_atomically(folder / "drift.html", render_drift_page(check))
    return folder / "drift.html"


def read_drift_check(folder: Path) -> DriftCheck:
    """Read the drift.json of a check's folder.

    Args:
        folder: The folder.

    Returns:
        The check.

    Raises:
        XmedError: DOCUMENT_INVALID, PATH_NOT_FOUND.
    """
    return read_record(DriftCheck, folder / DriftCheck.FILE)


def drift_schema() -> dict[str, JsonValue]:
    """Read the JSON Schema (2020-12) of drift.json.

    Returns:
        The schema.
    """
    text = files("xmed.monitor").joinpath("drift.schema.json").read_text(encoding="utf-8")
    return documents.mapping(json.loads(text), "drift.schema.json")
