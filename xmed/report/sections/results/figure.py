"""Figures of the results: every patient's Dice under every arm, and between two arms; the template draws and escapes.

Vector drawings in the page itself follow the reader's light or dark theme and need no script and no font of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xmed.html.axis import Axis, path

Document = dict[str, Any]
Figure = dict[str, Any]
SHOWN_ARMS = ("trivial_threshold", "trivial_position", "source_only", "adapted", "target_supervised")
"""From top to bottom: what needs no learning, no adaptation, the method, the ceiling."""
PAIRS = (("adapted_minus_target_supervised", "target_supervised"), ("adapted_minus_source_only", "source_only"))
"""(key of the paired differences, the arm that the adapted one is compared with)."""
ROW, WIDTH, LEFT, RIGHT = 58, 470, 14, 384
"""Height of an arm's row; the drawing's width, and where its axis begins and ends. Numbers stand right of it."""
CROWD = 40
"""Patients above which lines and dots are drawn fainter."""


def patient_plot(report: Document, structure: str) -> Figure | None:
    """Return every patient's Dice: a row per arm, a line per patient, each arm's mean with its interval.

    Returns:
        Coordinates for the template; None where no patient has a Dice.
    """
    arms = [arm for arm in SHOWN_ARMS if structure in report["summary"].get(arm, {})]
    axis = Axis(0.0, 1.0, LEFT, RIGHT)
    middle = {arm: ROW * n + 38 for n, arm in enumerate(arms)}
    by_patient = _dice_by_patient(report, structure, arms)
    if not by_patient:
        return None
    lines = []
    for n, (patient, dice) in enumerate(sorted(by_patient.items())):
        shift = ((n * 0.618) % 1 - 0.5) * 17  # golden ratio: neighbours in the list never stand on each other
        means = {arm: float(np.mean(dice[arm])) for arm in arms if arm in dice}
        dots: list[Figure] = [
            {"arm": arm, "x": axis(mean), "y": round(middle[arm] + shift, 1), "dice": mean}
            for arm, mean in means.items()
        ]
        lines.append({"patient": patient, "dots": dots, "path": path([(dot["x"], dot["y"]) for dot in dots])})
    rows = [_mean_row(report["summary"][arm][structure]["dice"], arm, middle[arm], axis) for arm in arms]
    foot = ROW * len(arms) + 4
    return {
        "structure": structure, "lines": lines, "rows": rows, "n": len(lines), "crowd": len(lines) > CROWD,
        "ticks": axis.ticks(), "left": LEFT, "right": RIGHT, "foot": foot, "width": WIDTH, "height": foot + 36,
    }  # fmt: skip


def difference_plots(report: Document, structure: str) -> list[Figure]:
    """Return adapted minus ceiling and minus source-only: a bar per patient in order of size, the margin where set."""
    plots = []
    for pair, other in PAIRS:
        pairs = report["statistics"]["paired"].get(pair, {}).get(structure, [])
        defined = [entry for entry in pairs if entry["difference"] is not None]
        if defined:
            plots.append(_difference_plot(report, structure, pair, other, defined))
    return plots


def _dice_by_patient(report: Document, structure: str, arms: list[str]) -> dict[str, dict[str, list[float]]]:
    by_patient: dict[str, dict[str, list[float]]] = {}
    for case in report["cases"]:
        for arm in arms:
            dice = case["arms"].get(arm, {}).get(structure, {}).get("dice")
            if dice is not None:
                by_patient.setdefault(case["patient"], {}).setdefault(arm, []).append(dice)
    return by_patient


def _mean_row(cell: Document, arm: str, y: float, axis: Axis) -> Figure:
    """An arm's name, mean and interval."""
    if cell["mean"] is None:
        return {"arm": arm, "y": y, "mean": None}
    low, high = cell["ci"] or (cell["mean"], cell["mean"])
    return {"arm": arm, "y": y, "mean": cell["mean"], "x": axis(cell["mean"]), "from": axis(low), "to": axis(high)}


def _difference_plot(report: Document, structure: str, pair: str, other: str, defined: list[Document]) -> Figure:
    non_inferiority = [test for test in report["statistics"]["non_inferiority"] if test["structure"] == structure]
    margin = next((test["margin"] for test in non_inferiority if test["comparison"] == pair), None)
    mean, ci = _effect(report, structure, pair)
    ends = [0.0, *(entry["difference"] for entry in defined), *(ci or []), *([-margin] if margin is not None else [])]
    axis = Axis.over(ends, 190, 14)
    ordered = sorted(defined, key=lambda entry: (entry["difference"], entry["patient"]))
    step, left = 330 / len(ordered), 52
    bars = [
        {"x": round(left + step * (n + 0.5), 1), "y": axis(entry["difference"]), **entry}
        for n, entry in enumerate(ordered)
    ]
    right = round(left + step * len(ordered), 1)
    return {
        "structure": structure, "pair": pair, "other": other, "bars": bars, "zero": axis(0.0), "ticks": axis.ticks(),
        "margin": None if margin is None else {"y": axis(-margin), "value": margin},
        "mean": None if mean is None else {"y": axis(mean), "value": mean},
        "band": None if not ci else {"top": axis(ci[1]), "bottom": axis(ci[0])},
        "left": left, "right": right, "thick": round(max(1.0, min(16.0, step * 0.5)), 1), "width": 470, "height": 224,
        "worse": sum(entry["difference"] < 0 for entry in defined), "n": len(defined),
    }  # fmt: skip


def _effect(report: Document, structure: str, pair: str) -> tuple[float | None, list[float] | None]:
    """Mean difference and interval, where the document gives one."""
    if pair == "adapted_minus_source_only":
        result = report["intervals"][pair].get(structure, {})
        return result.get("value"), result.get("ci")
    for test in report["statistics"]["non_inferiority"]:
        if test["structure"] == structure and test["comparison"] == pair:
            return test["estimate"], test["ci"]
    return None, None
