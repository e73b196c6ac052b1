"""Robustness: Dice of the adapted model on test volumes disturbed on purpose, by kind and severity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from xmed.report.sources import Sources

Document = dict[str, Any]
OFF, NEVER = "the study says `robustness: false`", "evaluation measured no disturbed volume"


def robustness(sources: Sources, unsupported: Collection[str] = ()) -> Document:
    """Section 12, from robustness.json: of few volumes, so a mean and a minimum stand there, and no interval.

    unsupported: structures that no reference has; a Dice of 0 says nothing about them.
    """
    found, asked = sources.robustness, bool(sources.study.get("robustness", True))
    if not found:
        return {
            "asked": asked, "reason": NEVER if asked else OFF, "arm": "adapted", "seed": None, "cases": [],
            "n_cases": 0, "baseline": {}, "curves": [],
        }  # fmt: skip
    scores: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for row in found["rows"]:
        if row["dice"] is not None and row["structure"] not in unsupported:
            scores[row["disturbance"], row["severity"], row["structure"]].append(row["dice"])
    baseline = {s: _cell(scores.get(("none", 0, s), []), None) for s in sources.structures}
    return {
        "asked": asked,
        "reason": None,
        "arm": "adapted",
        "seed": found["seed"],
        "cases": found["cases"],
        "n_cases": len(found["cases"]),
        "baseline": baseline,
        "curves": [
            {
                "disturbance": name,
                "text": kind["text"],
                "levels": [
                    {
                        "severity": n,
                        "text": text,
                        "structures": {
                            s: _cell(scores.get((name, n, s), []), baseline[s]["dice"]) for s in sources.structures
                        },
                    }
                    for n, text in enumerate(kind["levels"], start=1)
                ],
            }
            for name, kind in found["disturbances"].items()
        ],
    }


def _cell(values: list[float], before: float | None) -> Document:
    if not values:
        return {"dice": None, "min": None, "n": 0, "change": None, "reason": "no disturbed volume shows the structure"}
    mean = sum(values) / len(values)
    change = None if before is None else mean - before
    return {"dice": mean, "min": min(values), "n": len(values), "change": change, "reason": None}
