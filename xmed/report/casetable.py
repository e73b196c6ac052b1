"""Casetable: cases.csv, one line per arm, seed, case and structure, from which every mean can be taken again."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xmed.files import documents
from xmed.report.edition import EDITION

Row = dict[str, Any]
NAMES = ("arm", "seed", "case", "patient", "structure", "status")
NUMBERS = (
    "dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "volume_ml", "reference_volume_ml", "components", "confidence",
    "centre_off_mm", "largest_share",
)  # fmt: skip
FLAGS = ("centre_inside", "reference_empty")
LAST = ("rule", "reason", "prediction_sha256", "reference_sha256")
COUNTS = ("voxels", "reference_voxels")
"""Not in the table of edition 1."""
WHOLE = {"seed", "components", *COUNTS}
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula when a text begins with it; such a text gets an apostrophe first."""


def cases_csv(rows: Sequence[Row], edition: int = EDITION) -> str:
    """Rows as CSV; an empty field is null, numbers are written so that they come back bit by bit (repr)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = (*NAMES, *NUMBERS, *FLAGS, *LAST, *(COUNTS if edition > 1 else ()))
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_written(row.get(name)) for name in columns])
    return out.getvalue()


def read_cases(path: Path) -> list[Row]:
    """The rows of a cases.csv, as `cases_csv` wrote them; a key that every row lacks comes back as null.

    Raises XmedError DOCUMENT_INVALID for a table of other columns, or with a cell that is not of its column's kind.
    """
    with (
        documents.guarded(path.name, "DOCUMENT_INVALID", "a table as `xmed report build` writes it"),
        path.open(encoding="utf-8", newline="") as file,
    ):
        return [{name: _read(name, text) for name, text in line.items()} for line in csv.DictReader(file)]


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) or value.startswith("'") else value
    return repr(value)


def _read(name: str, text: str) -> Any:
    if text == "":
        return None
    if name in FLAGS:
        return text == "1"
    if name in WHOLE:
        return int(text)
    return float(text) if name in NUMBERS else text.removeprefix("'")
