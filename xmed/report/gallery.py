"""Gallery: the cases whose pictures the page carries: the worst, some at random, and failures while there is room."""

from __future__ import annotations

from typing import Any

from xmed.html.slices import views
from xmed.run import Run

WORST, MOST = 12, 24
"""Cases from the bad end, and pictured cases in all: every case stands in the table and on the contact sheet."""
THUMBNAIL = 150
"""A thumbnail's longer side in pixels: 500 cases in three planes stay well below 25 MB."""


def gallery(run: Run, report: dict[str, Any]) -> list[dict[str, Any]]:
    """[{case (its place in the document), entry, why, views}], worst first as the document has them."""
    named = {entry["case"]: n for n, entry in enumerate(report["cases"])}
    failed = [one["case"] if isinstance(one, dict) else one for one in report["failures"]["failed"]]
    wanted: dict[int, str] = dict.fromkeys(range(min(WORST, len(report["cases"]))), "worst")
    for case, why in [*((c, "at random") for c in report["failures"]["random"]), *((c, "failed") for c in failed)]:
        if case in named and len(wanted) < MOST:
            wanted.setdefault(named[case], why)
    through = primary(report)
    return [
        {
            "n": n,
            "entry": report["cases"][n],
            "why": wanted[n],
            "views": pictured(run, report["cases"][n]["case"], through=through),
        }
        for n in sorted(wanted)
    ]


def thumbnails(run: Run, report: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """A small picture, in one plane, of every case that the headline names."""
    named = [one["case"] for one in report["headline"]["worst"]]
    return {
        case: pictured(run, case, arms=("adapted",), through=primary(report), planes=1, pixels=THUMBNAIL)
        for case in named
    }


def primary(report: dict[str, Any]) -> int:
    """The label value of the structure that the protocol judges."""
    structures: list[str] = report["study"]["structures"]
    return structures.index(report["protocol"]["protocol"]["primary"]["structure"]) + 1


def pictured(run: Run, case: str, **how: Any) -> list[dict[str, Any]]:
    """The three planes of a case, none where evaluation kept no picture."""
    path = run.pictures / f"{case}.npz"
    return views(path, **how) if path.is_file() else []
