"""Build check: a check's document → drift.json, its source of truth, and drift.html, the same to look at."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.files.json_numbers import whole
from xmed.monitor.drift_page import page
from xmed.records.drift import DriftCheck
from xmed.records.record import write


def build(document: dict[str, Any], folder: Path) -> Path:
    """Write drift.json and drift.html; return the page's path.

    Raises XmedError REPORT_MISMATCH where the document breaks the schema that it promises.
    """
    document = whole(document)
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
    """The document of a check's folder. Raises XmedError DOCUMENT_INVALID, PATH_NOT_FOUND."""
    return documents.read_mapping(folder / "drift.json")


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of drift.json."""
    return json.loads(files("xmed.monitor").joinpath("drift.schema.json").read_text(encoding="utf-8"))
