"""What `xmed inspect` prints: which images can be read, which cannot, and what to do about them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xmed.console.printable import escape_line

COLOUR = {"ok": "green", "refused": "red", "skipped": "dim"}
SHOWN_PATHS = 3


def relative_to_folder(rows: Sequence[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """The same findings with paths relative to the folder that was inspected."""
    base = path if path.is_dir() else path.parent
    return [{**row, "path": os.path.relpath(row["path"], base)} for row in rows]


def show_findings(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print a line for every image, then why images are refused, what was corrected, and what was skipped.

    Args:
        console: Where to print.
        rows: Findings of `xmed.io.inspect` as dicts, with short paths.
    """
    images = [row for row in rows if row["verdict"] != "skipped"]
    if images:
        console.print(_image_table(images))
    for row in images:
        if row["verdict"] == "refused":
            fix = f" → {row['do']}" if row["do"] else ""
            where = ", ".join(part for part in (row["path"], row["volume"]) if part)
            console.print(Text.assemble("\n", (row["code"], "red"), " ", escape_line(where)))
            console.print(Text(f"  {escape_line(row['message'] + fix)}"))
    _show_corrections(console, images)
    skipped = Counter(row["message"] for row in rows if row["verdict"] == "skipped")
    if skipped:
        reasons = "; ".join(f"{count} × {message}" for message, count in skipped.most_common())
        console.print(Text(f"\npassed over: {escape_line(reasons)}"))
    count = Counter(row["verdict"] for row in rows)
    console.print(f"\n{count['ok']} good, {count['refused']} refused, {count['skipped']} passed over", highlight=False)


def _show_corrections(console: Console, images: Sequence[dict[str, Any]]) -> None:
    """What the reader corrected, each sentence once with the first paths that it is about."""
    notes = [
        (row["path"], note["text"]) for row in images for note in row["notes"] if note["code"] != "SEVERAL_VOLUMES"
    ]
    if notes:
        console.print("\nput right while reading:")
    for text in dict.fromkeys(text for _, text in notes):
        paths = list(dict.fromkeys(path for path, note_text in notes if note_text == text))
        more = f" and {len(paths) - SHOWN_PATHS} more" if len(paths) > SHOWN_PATHS else ""
        console.print(Text(escape_line(f"  {', '.join(paths[:SHOWN_PATHS])}{more}: {text}")))


def _image_table(rows: Sequence[dict[str, Any]]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("verdict", "path", "series", "modality", "files", "voxels", "spacing mm", "volume"):
        grid.add_column(name, overflow="fold", no_wrap=name not in ("path", "volume"))
    for row in rows:
        voxels = " × ".join(map(str, row["shape"] or ()))
        spacing = " × ".join(f"{mm:.4g}" for mm in row["spacing_mm"] or ())
        verdict = row["code"] or row["verdict"]
        cells = [row["path"], row["series"] or row["kind"], row["modality"] or "", str(row["files"]), voxels, spacing]
        texts = [Text(escape_line(cell)) for cell in (*cells, row["volume"] or "")]
        grid.add_row(Text(verdict, COLOUR[row["verdict"]]), *texts)
    return grid
