"""Figures: what every patient got, under every arm and between two arms; the template draws and escapes it.

Vector drawings in the page itself follow the reader's light or dark theme and need no script and no font of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xmed.html.axis import Axis, path

Figure = dict[str, Any]
SHOWN_ARMS = ("trivial_threshold", "trivial_position", "source_only", "adapted", "target_supervised")
"""From top to bottom: what needs no learning, no adaptation, the method, the ceiling."""
PAIRS = (("adapted_minus_target_supervised", "target_supervised"), ("adapted_minus_source_only", "source_only"))
ROW, WIDTH, LEFT, RIGHT = 58, 470, 14, 384
"""Height of an arm's row; the drawing's width, and where its axis begins and ends. Numbers stand right of it."""


def patients(report: dict[str, Any], structure: str) -> Figure | None:
    """Every patient's Dice under every arm: a row per arm, a line per patient, each arm's mean with its interval."""
    arms = [arm for arm in SHOWN_ARMS if structure in report["summary"].get(arm, {})]
    axis = Axis(0.0, 1.0, LEFT, RIGHT)
    middle = {arm: ROW * n + 38 for n, arm in enumerate(arms)}
    by_patient: dict[str, dict[str, list[float]]] = {}
    for case in report["cases"]:
        for arm in arms:
            dice = case["arms"].get(arm, {}).get(structure, {}).get("dice")
            if dice is not None:
                by_patient.setdefault(case["patient"], {}).setdefault(arm, []).append(dice)
    if not by_patient:
        return None
    lines = []
    for n, (patient, found) in enumerate(sorted(by_patient.items())):
        shift = ((n * 0.618) % 1 - 0.5) * 17  # golden ratio: neighbours in the list never stand on each other
        means = {arm: float(np.mean(found[arm])) for arm in arms if arm in found}
        dots: list[Figure] = [
            {"arm": arm, "x": axis(dice), "y": round(middle[arm] + shift, 1), "dice": dice}
            for arm, dice in means.items()
        ]
        lines.append({"patient": patient, "dots": dots, "path": path([(d["x"], d["y"]) for d in dots])})
    rows = [_row(report["summary"][arm][structure]["dice"], arm, middle[arm], axis) for arm in arms]
    foot = ROW * len(arms) + 4
    return {
        "structure": structure, "lines": lines, "rows": rows, "n": len(lines), "crowd": len(lines) > 40,
        "ticks": axis.ticks(), "left": LEFT, "right": RIGHT, "foot": foot, "width": WIDTH, "height": foot + 36,
    }  # fmt: skip


def _row(cell: dict[str, Any], arm: str, y: float, axis: Axis) -> Figure:
    """An arm's name, mean and interval."""
    if cell["mean"] is None:
        return {"arm": arm, "y": y, "mean": None}
    low, high = cell["ci"] or (cell["mean"], cell["mean"])
    return {"arm": arm, "y": y, "mean": cell["mean"], "x": axis(cell["mean"]), "from": axis(low), "to": axis(high)}


def differences(report: dict[str, Any], structure: str) -> list[Figure]:
    """Adapted minus ceiling and minus source-only, a bar per patient in order of size, with the margin where set."""
    out = []
    for pair, other in PAIRS:
        found = report["statistics"]["paired"].get(pair, {}).get(structure, [])
        values = [one for one in found if one["difference"] is not None]
        if values:
            out.append(_differences(report, structure, pair, other, values))
    return out


def _differences(report: dict[str, Any], structure: str, pair: str, other: str, values: list[Figure]) -> Figure:
    asked = [one for one in report["statistics"]["non_inferiority"] if one["structure"] == structure]
    margin = next((one["margin"] for one in asked if one["comparison"] == pair), None)
    mean, ci = _effect(report, structure, pair)
    ends = [0.0, *(one["difference"] for one in values), *(ci or []), *([-margin] if margin is not None else [])]
    axis = Axis.over(ends, 190, 14)
    ordered = sorted(values, key=lambda one: (one["difference"], one["patient"]))
    step = 330 / len(ordered)
    left = 52
    bars = [
        {"x": round(left + step * (n + 0.5), 1), "y": axis(one["difference"]), **one} for n, one in enumerate(ordered)
    ]
    right = round(left + step * len(ordered), 1)
    return {
        "structure": structure, "pair": pair, "other": other, "bars": bars, "zero": axis(0.0), "ticks": axis.ticks(),
        "margin": None if margin is None else {"y": axis(-margin), "value": margin},
        "mean": None if mean is None else {"y": axis(mean), "value": mean},
        "band": None if not ci else {"top": axis(ci[1]), "bottom": axis(ci[0])},
        "left": left, "right": right, "thick": round(max(1.0, min(16.0, step * 0.5)), 1), "width": 470, "height": 224,
        "worse": sum(one["difference"] < 0 for one in values), "n": len(values),
    }  # fmt: skip


def _effect(report: dict[str, Any], structure: str, pair: str) -> tuple[float | None, list[float] | None]:
    """Mean difference and interval, where the document gives one."""
    if pair == "adapted_minus_source_only":
        found = report["intervals"][pair].get(structure, {})
        return found.get("value"), found.get("ci")
    for one in report["statistics"]["non_inferiority"]:
        if one["structure"] == structure and one["comparison"] == pair:
            return one["estimate"], one["ci"]
    return None, None
