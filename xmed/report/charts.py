"""Charts: agreement, calibration, risk and robustness as coordinates; each is null where its numbers are."""

from __future__ import annotations

from math import floor
from typing import Any

from xmed.html.axis import Axis, path

Figure = dict[str, Any]
LEFT, TOP, RIGHT, BOTTOM = 48, 12, 408, 222
SIZE = {"left": LEFT, "top": TOP, "right": RIGHT, "bottom": BOTTOM, "width": 470, "height": 264}


def agreement(found: dict[str, Any]) -> Figure | None:
    """Bland–Altman: difference of the volumes over their mean, with bias and limits of agreement."""
    points = [one for one in found["points"] if one["difference_ml"] is not None]
    if not points:
        return None
    levels = [("bias", found["bias_ml"], found["bias_ci"])]
    limits = found["loa_ml"] or [None, None]
    ends = found["loa_ci"] or [None, None]
    levels += [("upper limit", limits[1], ends[1]), ("lower limit", limits[0], ends[0])]
    shown = [level for level in levels if level[1] is not None]
    spread = [one["difference_ml"] for one in points] + [0.0]
    spread += [v for _, value, ci in shown for v in (value, *(ci or []))]
    x, y = Axis.over([one["mean_ml"] for one in points], LEFT, RIGHT), Axis.over(spread, BOTTOM, TOP)
    return {
        **SIZE, "x_ticks": x.ticks(), "y_ticks": y.ticks(), "zero": y(0.0), "n": len(points),
        "points": [{"x": x(one["mean_ml"]), "y": y(one["difference_ml"]), **one} for one in points],
        "levels": [
            {"name": name, "value": value, "y": y(value), "band": ci and {"top": y(ci[1]), "bottom": y(ci[0])}}
            for name, value, ci in shown
        ],
    }  # fmt: skip


def reliability(found: dict[str, Any]) -> Figure | None:
    """Observed share over stated probability, one point per bin, with how many voxels each bin holds below."""
    bins = [one for one in found["bins"] if one["n"] and one["observed"] is not None]
    if not bins:
        return None
    x, y = Axis(0.0, 1.0, LEFT, RIGHT), Axis(0.0, 1.0, BOTTOM, TOP)
    most = max(one["n"] for one in bins)
    points = [{"x": x(one["confidence"]), "y": y(one["observed"]), **one} for one in bins]
    bars = [
        {
            "x": x(one["lo"]),
            "width": round(x(one["hi"]) - x(one["lo"]) - 1, 1),
            "height": round(26 * one["n"] / most, 1),
        }
        for one in bins
    ]
    return {
        **SIZE, "height": 296, "x_ticks": x.ticks(), "y_ticks": y.ticks(), "points": points, "bars": bars,
        "path": path([(p["x"], p["y"]) for p in points]),
        "gaps": [{"x": p["x"], "from": p["y"], "to": y(p["confidence"])} for p in points],
    }  # fmt: skip


def risk(found: dict[str, Any]) -> Figure | None:
    """Risk of what is kept, and share of undetected risk, over how much is kept; the operating point where chosen."""
    points = found["points"]
    if not points:
        return None
    ends = [0.0, *(one["risk"] for one in points), *(one["undetected"] for one in points)]
    x, y = Axis(0.0, 1.0, LEFT, RIGHT), Axis(0.0, max(0.02, 1.12 * max(ends)), BOTTOM, TOP)
    chosen = found["operating_point"]
    mark = None
    share = chosen["coverage"]["value"]
    if chosen["threshold"] is not None and share is not None:
        reached = min(points, key=lambda one: abs(one["coverage"] - share))
        mark = {"x": x(share), "y": y(reached["risk"])}
    return {
        **SIZE, "x_ticks": x.ticks(), "y_ticks": y.ticks(), "mark": mark, "n": found["n"],
        "risk": path([(x(one["coverage"]), y(one["risk"])) for one in points]),
        "undetected": path([(x(one["coverage"]), y(one["undetected"])) for one in points]),
        "dots": [{"x": x(one["coverage"]), "y": y(one["risk"])} for one in points] if len(points) <= 60 else [],
    }  # fmt: skip


def robustness(found: dict[str, Any], structures: list[str]) -> list[Figure]:
    """One small panel per disturbance: mean Dice of every structure over severity, from undisturbed onwards."""
    out = []
    for curve in found["curves"]:
        levels = curve["levels"]
        x, y = Axis(0.0, float(max(1, len(levels))), 34, 214), Axis(0.0, 1.0, 124, 8)
        lines = []
        for n, name in enumerate(structures):
            start = found["baseline"].get(name, {}).get("dice")
            values = [start, *(level["structures"].get(name, {}).get("dice") for level in levels)]
            points = [(x(float(at)), y(value)) for at, value in enumerate(values) if value is not None]
            if points:
                lines.append({"structure": name, "n": n, "path": path(points), "points": points, "last": values[-1]})
        short, unit = _shared([level["text"] for level in levels])
        labels = [{"x": x(0.0), "text": "as is"}]
        labels += [{"x": x(float(n)), "text": text} for n, text in enumerate(short, start=1)]
        named = {"name": curve["disturbance"], "text": curve["text"], "unit": unit}
        out.append({**named, "lines": lines, "labels": labels, "ticks": y.ticks(5)})
    return out


def _shared(texts: list[str]) -> tuple[list[str], str]:
    """Texts that would run into each other below an axis, less the words that they begin or end with alike."""
    parts = [text.split() for text in texts]
    one = min(map(len, parts), default=0)
    head = next((n for n in range(one) if len({words[n] for words in parts}) > 1), one)
    tail = next((n for n in range(one - head) if len({words[-1 - n] for words in parts}) > 1), one - head)
    if head == one:  # all are the same
        return texts, ""
    unit = [*parts[0][:head], *parts[0][len(parts[0]) - tail :]]
    return [" ".join(words[head : len(words) - tail]) for words in parts], " ".join(unit)


def forest(groups: list[dict[str, Any]], overall: dict[str, float | None]) -> Figure:
    """Every level of every subgroup on one scale of Dice; `overall`: each structure's mean, a line to compare with."""
    means = [level["mean"] for group in groups for level in group["levels"]] + list(overall.values())
    lows = [level["ci"][0] for group in groups for level in group["levels"] if level["ci"]]
    least = min([1.0, *lows, *(mean for mean in means if mean is not None)])
    axis = Axis(max(0.0, floor(10 * least - 0.5) / 10), 1.0, 4, 196)
    rows = []
    for group in groups:
        for level in group["levels"]:
            ci = level["ci"]
            drawn = None if level["mean"] is None else axis(level["mean"])
            rows.append({"x": drawn, "from": axis(ci[0]) if ci else None, "to": axis(ci[1]) if ci else None})
    lines = {name: None if value is None else axis(value) for name, value in overall.items()}
    return {"rows": rows, "overall": lines, "scale": [axis.low, (axis.low + 1) / 2, 1.0]}


def spread(found: dict[str, Any]) -> Figure | None:
    """A reference distribution: its values, its middle half and its 5th to 95th percentile, on a scale of its own."""
    marks = found["quantiles"] or {}
    values = [value for value in found["values"] if value is not None]
    if not values or any(marks.get(q) is None for q in ("0.05", "0.25", "0.5", "0.75", "0.95")):
        return None
    axis = Axis.over([*values, *marks.values()], 4, 196)
    return {
        "values": [axis(value) for value in values[:200]], "low": axis(marks["0.05"]), "high": axis(marks["0.95"]),
        "from": axis(marks["0.25"]), "to": axis(marks["0.75"]), "median": axis(marks["0.5"]), "ends": axis.ticks(3),
    }  # fmt: skip
