"""Writes drift.json, the document of a check, and drift.html, the self-contained page that shows it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from jsonschema import Draft202012Validator
from pydantic import JsonValue

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.html.axis import Axis
from xmed.html.render import drawing, initial, traced
from xmed.monitor.measure import GROUPS
from xmed.records.drift import DriftCheck, NumberShift, NumberSpread
from xmed.records.record import Number, content, read_record, write
from xmed.report import display_names

MOST_DOTS = 200
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


def render_drift_page(check: DriftCheck) -> str:
    """Make drift.html; the same document always gives the same text."""
    document, numbers = content(check), check.numbers
    return (
        drawing("xmed.monitor", "xmed.report")
        .get_template("drift.html.j2")
        .render(
            found=document,
            at=traced(document),
            sections=SECTIONS,
            verdict=VERDICTS[check.verdict],
            groups=GROUPS,
            named=[_name(number) for number in numbers],
            spreads=[_spread(number) for number in numbers],
            thinned=any(len(values) > MOST_DOTS for number in numbers for values in _sides(number).values()),
            most=MOST_DOTS,
            sized=next((number.unit for number in numbers if number.group == "volumes"), ""),
            display=display_names,
        )
    )


def _name(number: NumberShift) -> str:
    """A number's name as the report writes it."""
    kinds = {"intensities": "image", "volumes": "volume_ml", "confidence": "confidence"}
    if number.group in kinds:
        return display_names.measurement_name(f"{kinds[number.group]}.{number.name}")
    return WORDS.get(number.name) or initial(display_names.attribute_name(number.name))


def _spread(number: NumberShift) -> dict[str, list[float]] | None:
    """Where the values of both sides lie on one scale; null for what is no number."""
    sides = _sides(number)
    if not any(sides.values()):
        return None
    axis = Axis.over([value for values in sides.values() for value in values], 4, 196)
    return {side: [axis(value) for value in _thinned(values)] for side, values in sides.items()}


def _sides(number: NumberShift) -> dict[str, list[Number]]:
    """The values of a measurement on both sides; empty for what is no number."""
    return {"reference": _values(number.reference), "new": _values(number.new)}


def _values(side: NumberSpread | None) -> list[Number]:
    return (side.values if side else None) or []


def _thinned(values: list[Number]) -> list[Number]:
    """As many of the sorted values as are drawn: all, or evenly many from the least to the greatest."""
    if len(values) <= MOST_DOTS:
        return values
    return [values[round(k * (len(values) - 1) / (MOST_DOTS - 1))] for k in range(MOST_DOTS)]


def build_drift_check(check: DriftCheck, folder: Path) -> Path:
    """Write drift.json and drift.html.

    Args:
        check: What `compose_drift_check` returned.
        folder: The folder to write to.

    Returns:
        The page's path.

    Raises:
        XmedError: REPORT_MISMATCH, where the document does not follow its schema.
    """
    problems = [
        f"{'.'.join(map(str, fault.absolute_path)) or 'drift'}: {fault.message[:200]}"
        for fault in Draft202012Validator(drift_schema()).iter_errors(content(check))
    ]
    if problems:
        raise XmedError("REPORT_MISMATCH", "; ".join(problems[:5]), "a check as drift.schema.json describes it")
    write(check, folder / DriftCheck.FILE, ensure_ascii=False)
    write_atomically(folder / "drift.html", render_drift_page(check))
    return folder / "drift.html"


def read_drift_check(folder: Path) -> DriftCheck:
    """Read the drift.json of a check's folder.

    Args:
        folder: The folder.

    Returns:
        The check.

    Raises:
        XmedError: DOCUMENT_INVALID, PATH_NOT_FOUND.
    """
    return read_record(DriftCheck, folder / DriftCheck.FILE)


def drift_schema() -> dict[str, JsonValue]:
    """Read the JSON Schema (2020-12) of drift.json.

    Returns:
        The schema.
    """
    text = files("xmed.monitor").joinpath("drift.schema.json").read_text(encoding="utf-8")
    return documents.mapping(json.loads(text), "drift.schema.json")
