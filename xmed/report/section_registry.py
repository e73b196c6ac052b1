"""Section registry: what a section of the report is, and which sections there are.

A section is a folder `sections/<name>/` with these files:

    compute.py         the rules, and `SECTION`, which says what the section adds to report.json and to the page
    section.html.j2    the section's part of report.html
    figure.py, figure.svg.j2, section.css, schema.json    optional: drawings, styles, JSON Schema of its keys

A folder with a compute.py is a section. No list names them, so a new section needs no edit in any other file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Any

import xmed.report.sections as section_folders
from xmed.report.rows import Rows
from xmed.report.sources import Sources
from xmed.run import Run

Document = dict[str, Any]
Files = dict[str, str | bytes]


def _nothing(run: Run, report: Document) -> Document:
    return {}


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of the report.

    Attributes:
        title: Heading on the page and in the table of contents.
        order: Position on the page; sections are shown in increasing order.
        how_to_read: What the section shows and what a good result looks like; shown below the heading.
        anchor: Id of the section on the page and in report.json, lower-case letters; the folder's name where empty.
        is_subsection: Whether it is numbered as a part of the section before it (3.1 after 3).
        provides: Top-level keys of report.json that `compute` returns.
        needs: Keys of other sections that `compute` reads; it gets no others.
        compute: From the sources, the completed rows and the keys it needs (and those that no section owns) to the
            section's part of report.json.
        template_values: From the run's folder and the whole document to the extra variables of section.html.j2.
        extra_files: From the run's folder and the whole document to files beside report.html, by their name.
        not_in_id: Keys that differ between two runs with the same results; left out of the report's id.
        written_by_people: Keys that change with what people write; left out of the digest of the numbers.
        kept_from_copy: Keys that cannot be recomputed from a copied report and are taken from it as they are.
        name: The folder's name; set by the registry.
        folder: The folder; set by the registry.
    """

    title: str
    order: int
    compute: Callable[[Sources, Rows, Document], Document]
    how_to_read: str = ""
    anchor: str = ""
    is_subsection: bool = False
    provides: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    template_values: Callable[[Run, Document], Document] = _nothing
    extra_files: Callable[[Run, Document], Files] = _nothing
    not_in_id: tuple[str, ...] = ()
    written_by_people: tuple[str, ...] = ()
    kept_from_copy: tuple[str, ...] = ()
    name: str = ""
    folder: Path = Path()

    @property
    def styles(self) -> str:
        """CSS of the section; empty where it has no section.css."""
        path = self.folder / "section.css"
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""

    @property
    def schema(self) -> Document:
        """The part of report.json's schema for this section's keys: {properties, required}."""
        path = self.folder / "schema.json"
        schema: Document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return schema


def sections() -> list[Section]:
    """Return every section in the order of the page.

    Sections are read from the folders on the path of the package `xmed.report.sections`. A folder that is appended to
    its `__path__` adds the sections in it.
    """
    return list(_sections_in(folders()))


def folders() -> tuple[Path, ...]:
    """Return the folders that hold the sections' folders; templates of sections are looked up in them."""
    return tuple(Path(folder) for folder in section_folders.__path__)


@cache
def _sections_in(parents: tuple[Path, ...]) -> tuple[Section, ...]:
    read = []
    for folder in sorted(path.parent for parent in parents for path in parent.glob("*/compute.py")):
        section = import_module(f"xmed.report.sections.{folder.name}.compute").SECTION
        read.append(replace(section, name=folder.name, folder=folder, anchor=section.anchor or folder.name))
    return tuple(sorted(read, key=lambda section: section.order))


def in_order_of_needs() -> list[Section]:
    """Return every section after those whose keys it needs.

    Raises:
        KeyError: A section needs a key that no section provides.
        graphlib.CycleError: Sections need each other's keys.
    """
    by_name = {section.name: section for section in sections()}
    provider = {key: section.name for section in by_name.values() for key in section.provides}
    needed = {name: {provider[key] for key in section.needs} for name, section in by_name.items()}
    return [by_name[name] for name in TopologicalSorter(needed).static_order()]


def numbered_sections() -> list[tuple[str, Section]]:
    """Return (number, section) in the order of the page; a subsection continues the number before it: 3, 3.1, 4."""
    numbered, number, part = [], 0, 0
    for section in sections():
        number, part = (number, part + 1) if section.is_subsection else (number + 1, 0)
        numbered.append((f"{number}.{part}" if part else str(number), section))
    return numbered
