"""Failure causes: what went wrong with a prediction, decided from numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

from xmed.records.evaluation import CaseRow
from xmed.report.edition import EDITION
from xmed.report.row_facts import failed, invented
from xmed.report.sources import Sources

TAU = 0.7
"""Dice below which a prediction is poor, where the protocol names no `failure_below`: a convention."""
TOO_LARGE, PIECES = 1.5, 0.1
CAUSES = {
    "missing": "no prediction, or an error in its place",
    "empty": "the structure is there and was not found at all",
    "invented": "the structure was found where the reference has none",
    "wrong_place": "not a voxel in common, or its centre lies outside the reference's bounding box",
    "too_large": f"more than {TOO_LARGE:g} times the reference's volume",
    "too_small": f"less than {1 / TOO_LARGE:.2f} of the reference's volume",
    "fragmented": f"pieces beside the largest hold more than {PIECES:.0%} of the volume",
    "boundary": "place and pieces are right, and size where it is known; the boundary is not",
}
"""Cause codes, most telling first; the first that applies is a case's primary cause."""


def tau(sources: Sources) -> float:
    """Return the Dice below which a prediction is poor: a case that its confidence should point out."""
    return float(sources.protocol["protocol"].get("failure_below") or TAU)


def causes(row: CaseRow, below: float, edition: int = EDITION) -> list[str]:
    """Return what is wrong with one prediction.

    Args:
        row: One row of rows.json.
        below: Dice below which a prediction is poor.
        edition: The edition by whose rules it is decided.

    Returns:
        Codes of CAUSES, the primary cause first; none where the prediction neither failed nor is poor.
    """
    dice = row.dice
    if edition > 1 and invented(row):
        return ["invented"]
    if not failed(row) and (dice is None or dice >= below):
        return []
    if row.status in ("missing", "error"):
        return ["missing"]
    if row.status == "empty_prediction":
        return ["empty"]
    volume, reference, _ = _sizes(row, edition)
    if row.reference_empty or (reference == 0 and volume):
        return ["invented"]
    codes = []
    if dice == 0 or row.centre_inside is False:
        codes.append("wrong_place")
    if volume is not None and reference:
        codes += ["too_large"] if volume > TOO_LARGE * reference else []
        codes += ["too_small"] if volume < reference / TOO_LARGE else []
    share = row.largest_share
    if share is not None and share < 1 - PIECES:
        codes.append("fragmented")
    return codes or ["boundary"]


def worst_first(row: CaseRow) -> tuple[float, bool, str]:
    """Sort key for the rows of one case's seeds: the worst prediction first."""
    return (2.0 if row.dice is None else row.dice, not invented(row), str(row.seed))


def description(row: CaseRow, codes: Sequence[str], edition: int) -> str:
    """Return the numbers behind the cause codes of a row, as one clause; empty where there is no code."""
    if not codes:
        return ""
    if codes[0] == "missing":
        return row.reason or "no prediction"
    parts = [_size_description(row, codes, edition)]
    if row.centre_off_mm is not None:
        parts.append(f"centre {row.centre_off_mm:.1f} mm off")
    if row.components:
        parts.append(f"{row.components} piece{'s' * (row.components != 1)}")
    if row.hd95_mm is not None and row.dice:
        parts.append(f"HD95 {row.hd95_mm:.1f} mm")
    return ", ".join(filter(None, parts))


def _size_description(row: CaseRow, codes: Sequence[str], edition: int) -> str:
    volume, reference, unit = _sizes(row, edition)
    if volume is not None and reference and unit == "ml":
        return f"volume {volume / reference:.2f} of the reference"
    if volume is not None and reference:
        return f"{volume / reference:.2f} times the reference's voxels ({volume:.0f} of {reference:.0f})"
    if volume:
        return f"{volume:.1f} ml found" if unit == "ml" else f"{volume:.0f} voxels found"
    if volume is None and codes == ["boundary"] and edition > 1:
        return "its size is not known"
    return ""


def _sizes(row: CaseRow, edition: int) -> tuple[float | None, float | None, str]:
    """Size of prediction and reference, and their unit: ml, or voxels where the spacing is not credible."""
    if row.volume_ml is None and edition > 1:
        return row.voxels, row.reference_voxels, "voxels"
    return row.volume_ml, row.reference_volume_ml, "ml"
