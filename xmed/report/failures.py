"""Failures: every prediction that failed or came out poor, and what went wrong, told from numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xmed import stats
from xmed.report.certainty import tau
from xmed.report.edition import EDITION
from xmed.report.plain import proportion
from xmed.report.rows import FAILURE, NO_REFERENCE, Row, Rows, failed, invented
from xmed.report.sources import Sources

Document = dict[str, Any]
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
WORST, RANDOM = 6, 3


def causes(row: Row, below: float, edition: int = EDITION) -> list[str]:
    """What is wrong with one prediction, by `CAUSES`; nothing where it neither failed nor has a Dice under `below`."""
    dice = row["dice"]
    if edition > 1 and invented(row):
        return ["invented"]
    if not failed(row) and (dice is None or dice >= below):
        return []
    if row["status"] in ("missing", "error"):
        return ["missing"]
    if row["status"] == "empty_prediction":
        return ["empty"]
    volume, reference, _ = _sizes(row, edition)
    if row.get("reference_empty") or (reference == 0 and volume):
        return ["invented"]
    found = []
    if dice == 0 or row.get("centre_inside") is False:
        found.append("wrong_place")
    if volume is not None and reference:
        found += ["too_large"] if volume > TOO_LARGE * reference else []
        found += ["too_small"] if volume < reference / TOO_LARGE else []
    share = row.get("largest_share")
    if share is not None and share < 1 - PIECES:
        found.append("fragmented")
    return found or ["boundary"]


def badness(row: Row) -> tuple[float, bool, str]:
    """Order of one case's seeds, worst first."""
    return (2.0 if row["dice"] is None else row["dice"], not invented(row), str(row["seed"]))


def _sizes(row: Row, edition: int) -> tuple[float | None, float | None, str]:
    """Size of prediction and reference, and their unit: ml, or voxels where spacing is not credible."""
    if row.get("volume_ml") is None and edition > 1:
        return row.get("voxels"), row.get("reference_voxels"), "voxels"
    return row.get("volume_ml"), row.get("reference_volume_ml"), "ml"


def failures(sources: Sources, rows: Rows, cases: Sequence[Document]) -> Document:
    """Section 13: rates of every arm with exact intervals; of the adapted arm causes, the worst and some at random."""
    below = tau(sources)
    listed = [one for case in cases for one in _of_case(case, sources, rows, below)]
    poor = [one for one in listed if one["causes"]]
    everyone = sorted(case["case"] for case in cases)
    draw = np.random.default_rng(0).permutation(len(everyone))[:RANDOM].tolist()
    worst = sorted(listed, key=lambda one: (1.0 if one["dice"] is None else one["dice"], one["case"], one["structure"]))
    return {
        "definition": FAILURE,
        "tau": below,
        "looked_at": f"every prediction of the adapted arm that failed or has a Dice below {below:g}, worst seed",
        "by_arm": {arm: {s: _rate(rows, arm, s) for s in sources.structures if rows.of(arm, s)} for arm in rows.arms},
        "rules": CAUSES,
        "causes": [
            {
                "code": code,
                "n": sum(code in one["causes"] for one in poor),
                "n_primary": sum(one["causes"][0] == code for one in poor),
                "cases": sorted({one["case"] for one in poor if code in one["causes"]}),
            }
            for code in CAUSES
        ],
        "worst": worst[:WORST],
        "random": sorted(everyone[n] for n in draw),
        "failed": [one for one in worst if one["failed"]],
    }


def _rate(rows: Rows, arm: str, structure: str) -> Document:
    mine = rows.of(arm, structure)
    bad, everyone = {row["case"] for row in mine if failed(row)}, {row["case"] for row in mine}
    found = proportion(stats.proportion_interval(len(bad), len(everyone)))
    counted = {"n_failed": len(bad), "n_cases": len(everyone)}
    if structure in rows.unsupported:
        return {**counted, "rate": None, "ci": None, "reason": NO_REFERENCE}
    return {**counted, "rate": found["value"], "ci": found["ci"]}


def _of_case(case: Document, sources: Sources, rows: Rows, below: float) -> list[Document]:
    """One entry per structure: the seed that did worst, and what went wrong with it."""
    out = []
    for structure in sources.structures:
        mine = rows.of_case("adapted", structure, case["case"])
        if not mine:
            continue
        row = min(mine, key=badness)
        codes = causes(row, below, sources.edition)
        out.append({
            "case": case["case"],
            "patient": case["patient"],
            "anchor": case["anchor"],
            "structure": structure,
            "seed": row["seed"],
            "dice": row["dice"],
            "status": row["status"],
            "failed": failed(row),
            "causes": codes,
            "text": _told(row, codes, sources.edition),
        })  # fmt: skip
    return out


def _told(row: Row, codes: Sequence[str], edition: int) -> str:
    """The numbers behind the codes, in one clause."""
    if not codes:
        return ""
    if codes[0] == "missing":
        return str(row.get("reason") or "no prediction")
    parts = []
    volume, reference, unit = _sizes(row, edition)
    if volume is not None and reference and unit == "ml":
        parts.append(f"volume {volume / reference:.2f} of the reference")
    elif volume is not None and reference:
        parts.append(f"{volume / reference:.2f} times the reference's voxels ({volume:.0f} of {reference:.0f})")
    elif volume:
        parts.append(f"{volume:.1f} ml found" if unit == "ml" else f"{volume:.0f} voxels found")
    elif volume is None and codes == ["boundary"] and edition > 1:
        parts.append("its size is not known")
    if row.get("centre_off_mm") is not None:
        parts.append(f"centre {row['centre_off_mm']:.1f} mm off")
    if row.get("components"):
        parts.append(f"{row['components']} piece{'s' * (row['components'] != 1)}")
    if row.get("hd95_mm") is not None and row["dice"]:
        parts.append(f"HD95 {row['hd95_mm']:.1f} mm")
    return ", ".join(parts)
