"""Comparison page: comparison.json, its document, and comparison.html, which shows it with a forest plot and cost bars.

Coordinates are in units of the drawing's viewBox, y downwards.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from xmed import __version__
from xmed.comparison.comparison_document import compose_comparison
from xmed.comparison.conclusion import ALPHA
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.json_numbers import without_nan
from xmed.html.render import drawing
from xmed.html.slices import views
from xmed.records.method_comparison import MethodComparison
from xmed.run import Run

Entry = dict[str, Any]
Figure = dict[str, Any]
LINE, TOP, LEFT, ACROSS, RIGHT = 27.0, 16.0, 150.0, 520.0, 130.0
"""Height of a line, room above, for names, for the scale and for numbers."""
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
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


def forest(ranking: list[Entry], structure: str, against: str) -> Figure | None:
    """Make one line per tested method: its mean paired difference of Dice, the interval, and p after Holm.

    Args:
        ranking: The entries of one structure.
        structure: Name of the structure.
        against: What the methods are compared with, for example `source_only`.

    Returns:
        Coordinates for the template; None where no method was tested.
    """
    tested = [(entry["method"], entry[f"minus_{against}"]) for entry in ranking if entry.get(f"minus_{against}")]
    tested = [(name, test) for name, test in tested if test["value"] is not None]
    if not tested:
        return None
    ends = [end for _, test in tested for end in (test["ci"] or [test["value"]])] + [0.0]
    step = next((step for step in STEPS if (max(ends) - min(ends)) / step <= 8), STEPS[-1])
    low, high = math.floor(min(ends) / step) * step, math.ceil(max(ends) / step) * step
    high = high if high > low else low + step

    def x(value: float) -> float:
        coordinate: float = round(LEFT + ACROSS * (value - low) / (high - low), 1)
        return coordinate

    lines = []
    for n, (name, test) in enumerate(tested):
        near, far = test["ci"] or (test["value"], test["value"])
        lines.append({
            "method": name, "y": TOP + LINE * (n + 0.5), "x": x(test["value"]), "low": x(near), "high": x(far),
            "value": test["value"], "ci": test["ci"], "p": test["p_holm"],
            "sure": test["p_holm"] is not None and test["p_holm"] <= ALPHA,
        })  # fmt: skip
    count = round((high - low) / step)
    grid = [{"x": x(low + n * step), "value": low + n * step} for n in range(count + 1)]
    bottom = TOP + LINE * len(lines)
    size = {"width": LEFT + ACROSS + RIGHT, "height": bottom + 30, "top": TOP, "bottom": bottom, "zero": x(0.0)}
    return {"structure": structure, "against": against, "lines": lines, "grid": grid, "right": LEFT + ACROSS, **size}


def cost(ranking: list[Entry]) -> Figure:
    """Make one bar per trained method: seconds of one seed's training, with every training that it begins with.

    Args:
        ranking: The entries of one structure.

    Returns:
        Coordinates for the template.
    """
    longest = max(entry["seconds"] for entry in ranking) or 1.0
    lines = [
        {
            "method": entry["method"],
            "y": TOP + LINE * (n + 0.5),
            "width": round(ACROSS * entry["seconds"] / longest, 1),
            "seconds": entry["seconds"],
            "blind": not entry["target_labels_used"],
        }
        for n, entry in enumerate(ranking)
    ]
    return {"lines": lines, "left": LEFT, "width": LEFT + ACROSS + RIGHT, "height": TOP + LINE * len(lines) + 6}


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


def write_comparison(run: Run) -> Path:
    """Write comparison.json and comparison.html of an evaluated comparison; only files are read, so it can be repeated.

    Returns:
        The page's path.

    Args:
        run: The run of a comparison, evaluated.

    Raises:
        XmedError: RUN_NOT_FOUND, for a run that compares nothing or has not been evaluated.
    """
    for name in ("methods", "data", "rows", "metrics"):
        if not run.has(name):
            raise XmedError(
                "RUN_NOT_FOUND", f"run {run.id} has no {name}.json", "a judged comparison", "finish it first"
            )
    document = without_nan(compose_comparison(run))
    html = comparison_html(run, document)
    run.write(MethodComparison.model_validate(document))
    write_atomically(run.folder / "comparison.html", html)
    return run.folder / "comparison.html"
