"""Findings: what `xmed inspect` shows to whoever must put a folder in order: what is good, what is not, what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

COLOUR = {"ok": "green", "refused": "red", "skipped": "dim"}


def show_findings(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """One line for every image; below, why each refused one is refused and what to do; then what was passed over.

    rows: Findings as dicts, their paths short.
    """
    images = [row for row in rows if row["verdict"] != "skipped"]
    if images:
        console.print(_images(images))
    for row in images:
        if row["verdict"] == "refused":
            do = f" → {row['do']}" if row["do"] else ""
            where = ", ".join(part for part in (row["path"], row["volume"]) if part)
            console.print(
                f"\n[red]{row['code']}[/] {escape(where)}\n  {escape(row['message'])}{escape(do)}", highlight=False
            )
    noted = [(row["path"], one["text"]) for row in images for one in row["notes"] if one["code"] != "SEVERAL_VOLUMES"]
    if noted:
        console.print("\nput right while reading:")
    for text in dict.fromkeys(text for _, text in noted):
        paths = list(dict.fromkeys(path for path, said in noted if said == text))
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        console.print(f"  {escape(', '.join(paths[:3]))}{more}: {escape(text)}", highlight=False)
    passed = Counter(row["message"] for row in rows if row["verdict"] == "skipped")
    if passed:
        said = "; ".join(f"{count} × {message}" for message, count in passed.most_common())
        console.print(f"\npassed over: {escape(said)}", highlight=False)
    count = Counter(row["verdict"] for row in rows)
    console.print(f"\n{count['ok']} good, {count['refused']} refused, {count['skipped']} passed over", highlight=False)


def _images(rows: Sequence[dict[str, Any]]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("verdict", "path", "series", "modality", "files", "voxels", "spacing mm", "volume"):
        grid.add_column(name, overflow="fold", no_wrap=name not in ("path", "volume"))
    for row in rows:
        voxels = " × ".join(map(str, row["shape"] or ()))
        spacing = " × ".join(f"{mm:.4g}" for mm in row["spacing_mm"] or ())
        verdict = row["code"] or row["verdict"]
        cells = [row["path"], row["series"] or row["kind"], row["modality"] or "", str(row["files"]), voxels, spacing]
        grid.add_row(f"[{COLOUR[row['verdict']]}]{verdict}[/]", *map(escape, cells), escape(row["volume"] or ""))
    return grid
