"""What `xmed inspect` prints: which images can be read, which cannot, and what to do about them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xmed.console.printable import escape_line

if TYPE_CHECKING:
    from xmed.io import Finding

COLOUR = {"ok": "green", "refused": "red", "skipped": "dim"}
MOST_PATHS = 3
"""Paths that are named beside a correction."""


def relative_to_folder(findings: Sequence[Finding], path: Path) -> list[Finding]:
    """Shorten the paths of findings.

    Args:
        findings: Findings of `xmed.io.inspect`.
        path: The file or folder that was inspected.

    Returns:
        The same findings with paths relative to that folder.
    """
    base = path if path.is_dir() else path.parent
    return [replace(finding, path=Path(os.path.relpath(finding.path, base))) for finding in findings]


def show_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print a line for every image, then why images are refused, what was corrected, and what was skipped.

    Args:
        console: Where to print.
        findings: Findings of `xmed.io.inspect`, with short paths.
    """
    images = [finding for finding in findings if finding.verdict != "skipped"]
    if images:
        console.print(_image_table(images))
    for finding in images:
        if finding.verdict == "refused":
            fix = f" → {finding.do}" if finding.do else ""
            where = ", ".join(part for part in (str(finding.path), finding.volume) if part)
            console.print(Text.assemble("\n", (finding.code or "", "red"), " ", escape_line(where)))
            console.print(Text(f"  {escape_line((finding.message or '') + fix)}"))
    _show_corrections(console, images)
    skipped = Counter(finding.message for finding in findings if finding.verdict == "skipped")
    if skipped:
        reasons = "; ".join(f"{count} × {message}" for message, count in skipped.most_common())
        console.print(Text(f"\npassed over: {escape_line(reasons)}"))
    count = Counter(finding.verdict for finding in findings)
    console.print(f"\n{count['ok']} good, {count['refused']} refused, {count['skipped']} passed over", highlight=False)


def _show_corrections(console: Console, images: Sequence[Finding]) -> None:
    """What the reader corrected, each sentence once with the first paths that it is about."""
    notes = [
        (str(finding.path), note.text) for finding in images for note in finding.notes if note.code != "SEVERAL_VOLUMES"
    ]
    if notes:
        console.print("\ncorrected while reading:")
    for text in dict.fromkeys(text for _, text in notes):
        paths = list(dict.fromkeys(path for path, note_text in notes if note_text == text))
        more = f" and {len(paths) - MOST_PATHS} more" if len(paths) > MOST_PATHS else ""
        console.print(Text(escape_line(f"  {', '.join(paths[:MOST_PATHS])}{more}: {text}")))


def _image_table(findings: Sequence[Finding]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("verdict", "path", "series", "modality", "files", "voxels", "spacing mm", "volume"):
        grid.add_column(name, overflow="fold", no_wrap=name not in ("path", "volume"))
    for finding in findings:
        voxels = " × ".join(map(str, finding.shape or ()))
        spacing = " × ".join(f"{mm:.4g}" for mm in finding.spacing_mm or ())
        series, modality = finding.series or finding.kind, finding.modality or ""
        cells = [str(finding.path), series, modality, str(finding.files), voxels, spacing, finding.volume or ""]
        verdict = Text(finding.code or finding.verdict, COLOUR[finding.verdict])
        grid.add_row(verdict, *(Text(escape_line(cell)) for cell in cells))
    return grid
