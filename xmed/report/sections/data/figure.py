"""Flow charts: from the cases received to the cases tested; refused and unused cases stand beside the path."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
Figure = dict[str, Any]
USES = {
    ("source", "train"): ("learned from,", "with labels"),
    ("source", "select"): ("checks on what", "was learned"),
    ("source", "test"): ("not used here",),
    ("target", "train"): ("learned from,", "without labels"),
    ("target", "select"): ("choice of weights,", "without labels"),
    ("target", "test"): ("judged,", "with labels"),
}
BOX, STEP, LINE = 46, 74, 15
"""Height of a box, from one box to the next, and of a line of text, in units of the drawing."""


def flow_charts(data: Document) -> list[Figure]:
    """Return a drawing for each dataset.

    Args:
        data: `data` of the document.
    """
    return [
        _flow_chart(data["steps"][side], side, f"{data[side]['modality']} · {data[side]['name']}")
        for side in ("source", "target")
        if side in data["steps"]
    ]


def _flow_chart(steps: Document, side: str, heading: str) -> Figure:
    refused, no_case = steps["quarantined"], {"cases": 0, "labelled": 0, "patients": 0}
    codes = [f"{count} × {code}" for code, count in sorted(refused["by_code"].items())] or ["nothing was refused"]
    quarantine_height = max(BOX, 31 + LINE * len(codes))
    second = 4 + STEP + quarantine_height - BOX
    unplaced = ["named in no split"] if steps["in_no_partition"] else ["every case has its place"]
    y = second + STEP
    return {
        "side": side,
        "heading": heading,
        "down": [
            {"y": 4, "title": "received", "n": steps["received"]},
            {"y": second, "title": "readable", "n": steps["readable"]},
        ],
        "aside": [
            {"y": 4, "title": "quarantined", "n": refused["n"], "lines": codes, "bad": refused["n"] > 0},
            {"y": second, "title": "in no partition", "n": steps["in_no_partition"], "lines": unplaced, "bad": False},
        ],
        "parts": [
            {"x": 2 + 157 * n, "name": name, "use": USES[side, name], **steps["partition"].get(name, no_case)}
            for n, name in enumerate(("train", "select", "test"))
        ],
        "y": y,
        "high": BOX,
        "first": quarantine_height,
        "height": y + 92,
    }
