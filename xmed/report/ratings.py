"""Ratings: what people said of single predictions on the contact sheet, as evidence beside the numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import file_digest
from xmed.report.sources import Sources

Document = dict[str, Any]
MEANING = {1: "good", 2: "doubtful", 3: "bad"}
NONE = "nobody has rated the predictions; contact.html exports a file that `xmed report build --ratings` reads"
LONGEST = 500
LARGEST = 16 << 20
"""Bytes: 10,000 cases with a comment of that length each are 6 MB."""


def read_ratings(path: Path, cases: set[str]) -> Document:
    """ratings.json of a run from what the contact sheet exported: {rater, items: [{case, rating, comment}]}.

    Raises XmedError SPEC_INVALID for another shape, a case that the report does not have, or one rated twice.
    """
    expected = 'the contact sheet\'s export: {"rater", "items": [{"case", "rating": 1 | 2 | 3, "comment"}]}'
    found = documents.read_json(path, "SPEC_INVALID", LARGEST)
    with documents.guarded(path.name, "SPEC_INVALID", expected):
        items = [_item(one) for one in found["items"]]
        rater = None if found.get("rater") is None else str(found["rater"])[:LONGEST]
    counted = Counter(one["case"] for one in items)
    wrong = sorted({case for case in counted if case not in cases or counted[case] > 1})
    wrong += [f"{one['case']}: rating {one['rating']}" for one in items if one["rating"] not in MEANING]
    if wrong:
        raise XmedError("SPEC_INVALID", f"{path.name}: {', '.join(wrong[:5])}", "each case of the report, once, 1 to 3")
    return {
        "file": path.name,
        "sha256": file_digest(path),
        "rater": rater,
        "items": sorted(items, key=lambda one: one["case"]),
    }


def ratings(sources: Sources) -> Document:
    """The report's `ratings`: counts and every item; what was never rated says so."""
    found = sources.ratings
    if not found:
        nobody = dict.fromkeys(("file", "sha256", "rater"))
        empty: Document = {"n": 0, "of": len(sources.tested), "by_rating": {}, "items": []}
        return {"provided": False, "reason": NONE, **nobody, **empty}
    counted = Counter(MEANING[one["rating"]] for one in found["items"])
    return {
        "provided": True,
        "reason": None,
        **{key: found[key] for key in ("file", "sha256", "rater")},
        "n": len(found["items"]),
        "of": len(sources.tested),
        "by_rating": {word: counted.get(word, 0) for word in MEANING.values()},
        "items": found["items"],
    }


def _item(one: Document) -> Document:
    """One rating; numbers and names are not guessed from values of other kinds."""
    case, rating = one["case"], one["rating"]
    if not isinstance(case, str) or isinstance(rating, bool) or not isinstance(rating, int):
        raise ValueError("a rating that is no whole number, or a case that is no text")
    return {"case": case, "rating": rating, "comment": str(one.get("comment") or "")[:LONGEST]}
