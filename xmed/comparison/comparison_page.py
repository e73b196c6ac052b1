"""Comparison page: turns comparison.json into one self-contained HTML file."""

from __future__ import annotations

from typing import Any

from xmed import __version__
from xmed.comparison.forest_plot import cost, forest
from xmed.html.render import drawing
from xmed.html.slices import views
from xmed.run import Run

SECTIONS = (
    ("summary", "Summary", ""),
    (
        "ranking",
        "Ranking",
        "How to read: mean Dice over the target's test patients with its 95 % interval, seeds averaged first. In "
        "brackets after a rank: where 95 % of the resampled sets of patients put it. Those that saw target labels are "
        "shown, not ranked. A method that does not clear the trivial baselines has learned nothing worth deploying.",
    ),
    (
        "differences",
        "Against source only",
        "How to read: each patient under a method minus the same patient under source only; the bar is its 95 % "
        "interval. A filled mark keeps p ≤ 0.05 (exact sign flips) after Holm's adjustment for all methods together. "
        "An interval is of one method by itself, and may be clear of zero where the adjusted test is not.",
    ),
    (
        "slices",
        "The same hard slices",
        "The cases with the lowest mean Dice over the ranked methods, each in the plane of the largest section of the "
        "truth. How to read: the method's line should cover the truth's. Lines are those of the first seed.",
    ),
    (
        "cost",
        "Training cost",
        "Seconds of one seed's training, mean over seeds, with whatever the method begins with or is made of. Cells "
        "were trained side by side, so only the proportions carry over to another machine.",
    ),
    (
        "selection",
        "Choosing without labels",
        "What the label-free validators would have chosen among these methods, fixed before a test label was read, and "
        "in hindsight what that cost: the best candidate's Dice minus the chosen one's (mean over structures).",
    ),
    ("provenance", "Where this comes from", ""),
)


def comparison_html(run: Run, document: dict[str, Any]) -> str:
    """Make comparison.html; the same files always give the same text.

    Args:
        run: The run, for its pictures.
        document: comparison.json.

    Returns:
        The HTML text.
    """
    methods = [entry["method"] for entry in document["ranking"][document["primary"]]]
    cases = []
    for case in document["hardest"]:
        path = run.pictures / f"{case['case']}.npz"
        planes = views(path, methods) if path.is_file() else []
        if planes:
            outlines = {contour.of: contour.path for contour in planes[0].contours}
            cases.append({**case, "view": planes[0], "outlines": outlines})
    return (
        drawing("xmed.comparison")
        .get_template("comparison.html.j2")
        .render(
            comparison=document,
            methods=methods,
            sections=[section for section in SECTIONS if section[0] != "selection" or "selection" in document],
            forests=[
                figure
                for structure in document["structures"]
                if (figure := forest(document["ranking"][structure], structure, "source_only"))
            ],
            cost=cost(document["ranking"][document["primary"]]),
            cases=cases,
            version=__version__,
        )
    )
