"""The page of a check: turns drift.json into one self-contained HTML file."""

from __future__ import annotations

from typing import Any

from xmed.html.axis import Axis
from xmed.html.render import drawing, initial, traced
from xmed.monitor.measure import GROUPS
from xmed.report import display_names

Document = dict[str, Any]
MOST_DOTS = 200
SIDES = ("reference", "new")
VERDICTS = {"alarm": ("Alarm", "fail"), "no_alarm": ("No alarm", "pass"), "undecided": ("Undecided", "inconclusive")}
"""What the banner says, and which of the report's verdicts it looks like."""
WORDS = {
    "spacing_min": "Voxel edge, smallest",
    "spacing_max": "Voxel edge, largest",
    "extent_max": "Extent, largest",
    "grain_mean": "Grain, mean",
    "grain_median": "Grain, median",
}
SECTIONS = (
    ("summary", "Summary", ""),
    (
        "groups",
        "What the alarm looks at",
        "Each line is a group of measurements of the new patients against those the model was validated on. p says "
        "how often chance alone would set them so far apart; the adjusted p counts all groups together, and it alone "
        "decides. MMD² is how far apart they are: about 0, or below, when nothing has changed.",
    ),
    (
        "numbers",
        "Number by number",
        "Where to look when a group has changed. Open rings are the validated patients, filled marks the new ones, on "
        "one scale; they should mingle. No alarm comes from here: with so many lines some p is small by chance, which "
        "is what Holm's adjustment is for.",
    ),
    (
        "unreadable",
        "Images that could not be read",
        "Refused by a technical check before the model saw them. They are in no measurement above; many of them are a "
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
    """Make drift.html; the same document always gives the same text."""
    return (
        drawing("xmed.monitor", "xmed.report")
        .get_template("drift.html.j2")
        .render(
            found=found,
            at=traced(found),
            sections=SECTIONS,
            verdict=VERDICTS[found["verdict"]],
            groups=GROUPS,
            named=[_name(one) for one in found["numbers"]],
            spreads=[_spread(one) for one in found["numbers"]],
            thinned=any(len(_values(one[side])) > MOST_DOTS for one in found["numbers"] for side in SIDES),
            most=MOST_DOTS,
            sized=next((one["unit"] for one in found["numbers"] if one["group"] == "volumes"), ""),
            display=display_names,
        )
    )


def _name(one: Document) -> str:
    """A number's name as the report writes it."""
    kinds = {"intensities": "image", "volumes": "volume_ml", "confidence": "confidence"}
    if one["group"] in kinds:
        return display_names.measurement_name(f"{kinds[one['group']]}.{one['name']}")
    return WORDS.get(one["name"]) or initial(display_names.attribute_name(one["name"]))


def _spread(one: Document) -> dict[str, list[float]] | None:
    """Where the values of both sides lie on one scale; null for what is no number."""
    known = {side: _values(one[side]) for side in SIDES}
    if not any(known.values()):
        return None
    axis = Axis.over([value for values in known.values() for value in values], 4, 196)
    return {side: [axis(value) for value in _thinned(values)] for side, values in known.items()}


def _values(side: Document | None) -> list[float]:
    return side.get("values", []) if side else []


def _thinned(values: list[float]) -> list[float]:
    """As many of the sorted values as are drawn: all, or evenly many from the least to the greatest."""
    if len(values) <= MOST_DOTS:
        return values
    return [values[round(k * (len(values) - 1) / (MOST_DOTS - 1))] for k in range(MOST_DOTS)]
