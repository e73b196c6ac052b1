"""Robustness panels: coordinates for the template."""

from __future__ import annotations

from typing import Any

from xmed.html.axis import Axis, path

Figure = dict[str, Any]


def robustness_panels(robustness: dict[str, Any], structures: list[str]) -> list[Figure]:
    """Return one small panel per disturbance: mean Dice of every structure over severity, from undisturbed onwards.

    Args:
        robustness: `robustness` of the document.
        structures: The study's structures; a structure keeps its colour in all panels.
    """
    panels = []
    for curve in robustness["curves"]:
        levels = curve["levels"]
        x, y = Axis(0.0, float(max(1, len(levels))), 34, 214), Axis(0.0, 1.0, 124, 8)
        lines = []
        for n, name in enumerate(structures):
            start = robustness["baseline"].get(name, {}).get("dice")
            values = [start, *(level["structures"].get(name, {}).get("dice") for level in levels)]
            points = [(x(float(step)), y(value)) for step, value in enumerate(values) if value is not None]
            if points:
                lines.append({"structure": name, "n": n, "path": path(points), "points": points, "last": values[-1]})
        short, unit = without_shared_words([level["text"] for level in levels])
        labels = [{"x": x(0.0), "text": "as is"}]
        labels += [{"x": x(float(n)), "text": text} for n, text in enumerate(short, start=1)]
        panels.append({
            "name": curve["disturbance"], "text": curve["text"], "unit": unit, "lines": lines, "labels": labels,
            "ticks": y.ticks(5),
        })  # fmt: skip
    return panels


def without_shared_words(texts: list[str]) -> tuple[list[str], str]:
    """Shorten labels that would overlap below an axis by the words that all of them begin or end with.

    Returns:
        The shortened texts, and the words that were left out.
    """
    parts = [text.split() for text in texts]
    least = min(map(len, parts), default=0)
    head = next((n for n in range(least) if len({words[n] for words in parts}) > 1), least)
    tail = next((n for n in range(least - head) if len({words[-1 - n] for words in parts}) > 1), least - head)
    if head == least:  # all are the same
        return texts, ""
    unit = [*parts[0][:head], *parts[0][len(parts[0]) - tail :]]
    return [" ".join(words[head : len(words) - tail]) for words in parts], " ".join(unit)
