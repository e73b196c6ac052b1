"""Drift page: a check's document → one self-contained HTML file in the manner of the report."""

from __future__ import annotations

from typing import Any

from xmed.html.axis import Axis
from xmed.html.render import drawing, traced
from xmed.monitor.measure import GROUPS
from xmed.report.words import measure

Document = dict[str, Any]
MOST_DOTS = 200
VERDICTS = {"alarm": ("Alarm", "fail"), "no_alarm": ("No alarm", "pass"), "undecided": ("Undecided", "inconclusive")}
"""What the banner says, and which of the report's verdicts it looks like."""
WORDS = {
    "spacing_min": "Voxel edge, smallest",
    "spacing_max": "Voxel edge, largest",
    "extent_max": "Extent, largest",
    "grain_mean": "Grain, mean",
    "grain_median": "Grain, median",
    "field_t": "Field strength, T",
}
SECTIONS = (
    ("summary", "Summary", ""),
    (
        "groups",
        "What the alarm looks at",
        "Each line is a group of measurements of the new patients against those the model was validated on. p says "
        "how often chance alone would set them so far apart; the adjusted p counts all groups together, and it alone "
        "decides.",
    ),
    (
        "numbers",
        "Number by number",
        "Where to look when a group has changed. Open rings are the validated patients, filled marks the new ones, on "
        "one scale; they should mingle. No alarm comes from here: with so many lines some p is small by chance, which "
        "is what Holm's adjustment is for. PSI is shown where there are patients enough; above 0.25 is called major.",
    ),
    (
        "unreadable",
        "Images that could not be read",
        "Refused by a technical check before the model saw them. They are in no number above; many of them are a "
        "change, too.",
    ),
    (
        "estimate",
        "What to expect of the model",
        "The model's own confidence as an estimate of Dice, with an interval from how wrong that was at validation. It "
        "holds for one patient at a time, and only while new patients are like those; after an alarm it means nothing.",
    ),
    ("rule", "The rule", "Written down before any of these data were seen, and kept with the model."),
    ("provenance", "Where this comes from", ""),
)


def page(found: Document) -> str:
    """drift.html. Deterministic: the same document gives the same text."""
    return (
        drawing("xmed.monitor")
        .get_template("drift.html.j2")
        .render(
            found=found,
            at=traced(found),
            sections=SECTIONS,
            verdict=VERDICTS[found["verdict"]],
            groups=GROUPS,
            named=[_name(one) for one in found["numbers"]],
            spreads=[_spread(one) for one in found["numbers"]],
        )
    )


def _name(one: Document) -> str:
    """A number's name as the report writes it."""
    kinds = {"intensities": "image", "volumes": "volume_ml", "confidence": "confidence"}
    if one["group"] in kinds:
        return measure(f"{kinds[one['group']]}.{one['name']}")
    return WORDS.get(one["name"], str(one["name"]).replace("_", " ").capitalize())


def _spread(one: Document) -> dict[str, list[float]] | None:
    """Where the values of both sides lie on one scale; null for what is no number."""
    sides = one["reference"], one["new"]
    if any(side is None or "values" not in side for side in sides) or not any(side["values"] for side in sides):
        return None
    axis = Axis.over([value for side in sides for value in side["values"]], 4, 196)
    old, new = ([axis(value) for value in side["values"][:MOST_DOTS]] for side in sides)
    return {"reference": old, "new": new}
