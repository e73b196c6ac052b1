"""What `xmed inspect` prints: which images are good, which are not, and what to do about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xmed.console.printable import one_line

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
            console.print(Text.assemble("\n", (row["code"], "red"), " ", one_line(where)))
            console.print(Text(f"  {one_line(row['message'] + do)}"))
    noted = [(row["path"], one["text"]) for row in images for one in row["notes"] if one["code"] != "SEVERAL_VOLUMES"]
    if noted:
        console.print("\nput right while reading:")
    for text in dict.fromkeys(text for _, text in noted):
        paths = list(dict.fromkeys(path for path, said in noted if said == text))
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        console.print(Text(one_line(f"  {', '.join(paths[:3])}{more}: {text}")))
    passed = Counter(row["message"] for row in rows if row["verdict"] == "skipped")
    if passed:
        said = "; ".join(f"{count} × {message}" for message, count in passed.most_common())
        console.print(Text(f"\npassed over: {one_line(said)}"))
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
        texts = [Text(one_line(cell)) for cell in (*cells, row["volume"] or "")]
        grid.add_row(Text(verdict, COLOUR[row["verdict"]]), *texts)
    return grid
