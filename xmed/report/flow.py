"""Flow: from what was received to what was tested, as boxes; whatever left the path stands beside it with its code."""

from __future__ import annotations

from typing import Any

Figure = dict[str, Any]
USES = {
    ("source", "train"): ("learned from,", "with labels"),
    ("source", "select"): ("checks on what", "was learned"),
    ("source", "test"): ("not used here",),
    ("target", "train"): ("learned from,", "without labels"),
    ("target", "select"): ("choice of weights,", "without labels"),
    ("target", "test"): ("judged,", "with labels"),
}
HIGH, STEP, LINE = 46, 74, 15
"""Height of a box, from one box to the next, and of a line of text."""


def flow(steps: dict[str, Any], named: dict[str, str]) -> list[Figure]:
    """A drawing per dataset from data.steps; `named` gives each side's heading."""
    return [_side(steps[side], side, named[side]) for side in ("source", "target") if side in steps]


def _side(found: dict[str, Any], side: str, heading: str) -> Figure:
    refused, spare = found["quarantined"], {"cases": 0, "labelled": 0, "patients": 0}
    codes = [f"{count} × {code}" for code, count in sorted(refused["by_code"].items())] or ["nothing was refused"]
    first = max(HIGH, 31 + LINE * len(codes))
    second = 4 + STEP + first - HIGH
    left = ["named in no split"] if found["in_no_partition"] else ["every case has its place"]
    y = second + STEP
    return {
        "side": side,
        "heading": heading,
        "down": [
            {"y": 4, "title": "received", "n": found["received"]},
            {"y": second, "title": "readable", "n": found["readable"]},
        ],
        "aside": [
            {"y": 4, "title": "quarantined", "n": refused["n"], "lines": codes, "bad": refused["n"] > 0},
            {"y": second, "title": "in no partition", "n": found["in_no_partition"], "lines": left, "bad": False},
        ],
        "parts": [
            {"x": 2 + 157 * n, "name": name, "use": USES[side, name], **found["partition"].get(name, spare)}
            for n, name in enumerate(("train", "select", "test"))
        ],
        "y": y,
        "high": HIGH,
        "first": first,
        "height": y + 92,
    }
