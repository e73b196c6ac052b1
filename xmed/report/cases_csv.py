"""cases.csv: one line per arm, seed, case and structure, from which every mean of a report can be computed again."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xmed.files import documents
from xmed.records.evaluation import CaseRow
from xmed.records.record import parse
from xmed.report.edition import EDITION

KEYS = ("arm", "seed", "case", "patient", "structure", "status")
NUMBERS = (
    "dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "volume_ml", "reference_volume_ml", "components", "confidence",
    "centre_off_mm", "largest_share",
)  # fmt: skip
FLAGS = ("centre_inside", "reference_empty")
TEXTS = ("rule", "reason", "prediction_sha256", "reference_sha256")
VOXEL_COUNTS = ("voxels", "reference_voxels")
"""Not in the table of edition 1."""
WHOLE_NUMBERS = {"seed", "components", *VOXEL_COUNTS}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins so for a formula. Such a text is written with an apostrophe before it."""


def cases_csv(rows: Sequence[CaseRow], edition: int = EDITION) -> str:
    """Write rows as CSV.

    An empty field is null; a number is written so that it is read back bit by bit (repr).

    Args:
        rows: The completed rows of a report.
        edition: The edition of the report; that of version 0.1.0 has no voxel counts.

    Returns:
        The text of cases.csv, with a line of column names first.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = (*KEYS, *NUMBERS, *FLAGS, *TEXTS, *(VOXEL_COUNTS if edition > 1 else ()))
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_field(getattr(row, name)) for name in columns])
    return out.getvalue()


def read_cases(path: Path) -> list[CaseRow]:
    """Read the rows of a cases.csv.

    Args:
        path: The table.

    Returns:
        The rows as `cases_csv` wrote them. A key that a row did not have is null.

    Raises:
        XmedError: DOCUMENT_INVALID for a table with other columns, or a field that is not of its column's type.
    """
    with (
        documents.guarded(path.name, "DOCUMENT_INVALID", "a table as `xmed report build` writes it"),
        path.open(encoding="utf-8", newline="") as file,
    ):
        return [
            parse(CaseRow, {name: _value(name, text) for name, text in line.items()}, f"{path.name}, line {number}")
            for number, line in enumerate(csv.DictReader(file), start=2)
        ]


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) or value.startswith("'") else value
    return repr(value)


def _value(column: str, text: str) -> Any:
    if text == "":
        return None
    if column in FLAGS:
        return text == "1"
    if column in WHOLE_NUMBERS:
        return int(text)
    return float(text) if column in NUMBERS else text.removeprefix("'")
