"""Case pictures: which test cases the page shows in pictures, and their slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xmed.html.slices import MOST_PIXELS, SliceView, views
from xmed.run import TRAINED_ARMS, Run

Document = dict[str, Any]
N_WORST, MOST = 12, 24
"""Cases from the bad end, and pictured cases in all: every case stands in the table and on the contact sheet."""
THUMBNAIL = 150
"""A thumbnail's longer side in pixels: 500 cases in three planes stay well below 25 MB."""


def gallery(run: Run, report: Document) -> list[Document]:
    """Return the pictured cases: the worst, some at random, and failures while there is room.

    Returns:
        {n, entry, why, views} in the order of the document; n: the case's index in `cases` of the document.
    """
    index = {entry["case"]: n for n, entry in enumerate(report["cases"])}
    # A report of edition 1 lists the names of failed cases, a later one an entry for each.
    failed = [entry["case"] if isinstance(entry, dict) else entry for entry in report["failures"]["failed"]]
    why: dict[int, str] = dict.fromkeys(range(min(N_WORST, len(report["cases"]))), "worst")
    more = [*((case, "at random") for case in report["failures"]["random"]), *((case, "failed") for case in failed)]
    for case, reason in more:
        if case in index and len(why) < MOST:
            why.setdefault(index[case], reason)
    pictured = []
    for n in sorted(why):
        entry = report["cases"][n]
        of_case = case_views(run, entry["case"], through=primary_label(report))
        pictured.append({"n": n, "entry": entry, "why": why[n], "views": of_case})
    return pictured


def thumbnails(run: Run, report: Document) -> dict[str, list[SliceView]]:
    """Return a small picture, in one plane, of every case that the headline names."""
    return {
        entry["case"]: thumbnail_views(run, entry["case"], report, planes=1) for entry in report["headline"]["worst"]
    }


def thumbnail_views(run: Run, case: str, report: Document, planes: int = 3) -> list[SliceView]:
    """Return small views of one case with the reference and the adapted prediction."""
    return case_views(run, case, arms=("adapted",), through=primary_label(report), planes=planes, pixels=THUMBNAIL)


def case_views(
    run: Run,
    case: str,
    *,
    through: int | None = None,
    arms: Sequence[str] = TRAINED_ARMS,
    planes: int = 3,
    pixels: int = MOST_PIXELS,
) -> list[SliceView]:
    """Return the views of a case as `xmed.html.slices.views` draws them; none where evaluation kept no picture."""
    path = run.pictures / f"{case}.npz"
    return views(path, arms=arms, through=through, planes=planes, pixels=pixels) if path.is_file() else []


def primary_label(report: Document) -> int:
    """Return the label value of the primary structure."""
    structures: list[str] = report["study"]["structures"]
    return structures.index(report["protocol"]["protocol"]["primary"]["structure"]) + 1
