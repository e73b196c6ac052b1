"""Ratings: how people judged single predictions on the contact sheet, as evidence beside the numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import file_digest
from xmed.report.sources import Sources

Document = dict[str, Any]
RATING_NAMES = {1: "good", 2: "doubtful", 3: "bad"}
NOT_RATED = "nobody has rated the predictions; contact.html exports a file that `xmed report build --ratings` reads"
MOST_CHARACTERS = 500
MOST_BYTES = 16 << 20
"""10,000 cases with a comment of MOST_CHARACTERS each are 6 MB."""


def read_ratings(path: Path, cases: set[str]) -> Document:
    """Read ratings.json of a run from what the contact sheet exported.

    Args:
        path: A JSON file {rater, items: [{case, rating, comment}]}.
        cases: The cases of the report.

    Returns:
        {file, sha256, rater, items}, items sorted by case.

    Raises:
        XmedError: SPEC_INVALID for another shape, a case that the report does not have, or one rated twice.
    """
    expected = 'the contact sheet\'s export: {"rater", "items": [{"case", "rating": 1 | 2 | 3, "comment"}]}'
    document = documents.read_json(path, "SPEC_INVALID", MOST_BYTES)
    with documents.guarded(path.name, "SPEC_INVALID", expected):
        items = [_item(entry) for entry in document["items"]]
        rater = None if document.get("rater") is None else str(document["rater"])[:MOST_CHARACTERS]
    counted = Counter(item["case"] for item in items)
    wrong = sorted({case for case in counted if case not in cases or counted[case] > 1})
    wrong += [f"{item['case']}: rating {item['rating']}" for item in items if item["rating"] not in RATING_NAMES]
    if wrong:
        raise XmedError("SPEC_INVALID", f"{path.name}: {', '.join(wrong[:5])}", "each case of the report, once, 1 to 3")
    return {
        "file": path.name,
        "sha256": file_digest(path),
        "rater": rater,
        "items": sorted(items, key=lambda item: item["case"]),
    }


def ratings(sources: Sources) -> Document:
    """Return the report's `ratings`: how many cases have each rating, and every item; a reason where there are none."""
    given = sources.ratings
    if not given:
        nobody = dict.fromkeys(("file", "sha256", "rater"))
        empty: Document = {"n": 0, "of": len(sources.tested), "by_rating": {}, "items": []}
        return {"provided": False, "reason": NOT_RATED, **nobody, **empty}
    counted = Counter(RATING_NAMES[item["rating"]] for item in given["items"])
    return {
        "provided": True,
        "reason": None,
        **{key: given[key] for key in ("file", "sha256", "rater")},
        "n": len(given["items"]),
        "of": len(sources.tested),
        "by_rating": {name: counted.get(name, 0) for name in RATING_NAMES.values()},
        "items": given["items"],
    }


def _item(entry: Document) -> Document:
    """One rating. A value of another type is refused, never converted."""
    case, rating = entry["case"], entry["rating"]
    if not isinstance(case, str) or isinstance(rating, bool) or not isinstance(rating, int):
        raise ValueError("a rating that is no whole number, or a case that is no text")
    return {"case": case, "rating": rating, "comment": str(entry.get("comment") or "")[:MOST_CHARACTERS]}
