"""Section Robustness: Dice of the adapted model on test volumes disturbed on purpose, by kind and severity."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from xmed.html.axis import Axis, path
from xmed.report.rows import Rows
from xmed.report.section_registry import Section
from xmed.report.sources import Sources
from xmed.run import Run

Figure = dict[str, Any]
Document = dict[str, Any]
OFF, NEVER = "the study says `robustness: false`", "evaluation measured no disturbed volume"
NOT_SHOWN = "no disturbed volume shows the structure"


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


def compute(sources: Sources, rows: Rows, report: Document) -> Document:
    """Return robustness: mean and lowest Dice per disturbance, severity and structure, from robustness.json.

    There are few disturbed volumes, so no interval is given. A structure that no reference has is left out: a Dice of 0
    says nothing about it.
    """
    in_study = bool(sources.study.get("robustness", True))
    if sources.robustness is None:
        return {"robustness": {
            "asked": in_study, "reason": NEVER if in_study else OFF, "arm": "adapted", "seed": None, "cases": [],
            "n_cases": 0, "baseline": {}, "curves": [],
        }}  # fmt: skip
    measured, structures = sources.robustness, sources.structures
    scores: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for row in measured.rows:
        if row.dice is not None and row.structure not in rows.unsupported:
            scores[row.disturbance, row.severity, row.structure].append(row.dice)
    baseline = {s: _cell(scores.get(("none", 0, s), []), None) for s in structures}

    def level(name: str, severity: int, text: str) -> Document:
        cells = {s: _cell(scores.get((name, severity, s), []), baseline[s]["dice"]) for s in structures}
        return {"severity": severity, "text": text, "structures": cells}

    curves = [
        {
            "disturbance": name,
            "text": kind.text,
            "levels": [level(name, n, text) for n, text in enumerate(kind.levels, start=1)],
        }
        for name, kind in measured.disturbances.items()
    ]
    cases = measured.cases
    return {"robustness": {
        "asked": in_study, "reason": None, "arm": "adapted", "seed": measured.seed, "cases": cases,
        "n_cases": len(cases), "baseline": baseline, "curves": curves,
    }}  # fmt: skip


def _cell(values: list[float], undisturbed: float | None) -> Document:
    if not values:
        return {"dice": None, "min": None, "n": 0, "change": None, "reason": NOT_SHOWN}
    mean = sum(values) / len(values)
    change = None if undisturbed is None else mean - undisturbed
    return {"dice": mean, "min": min(values), "n": len(values), "change": change, "reason": None}


def template_values(run: Run, report: Document) -> Document:
    """One small panel per disturbance."""
    return {"panels": robustness_panels(report["robustness"], report["study"]["structures"])}


SECTION = Section(
    title="Robustness",
    order=130,
    how_to_read="The same test volumes, made worse in steps. Better is a line that stays level. Where it falls, do "
    "not use the model on such images without checking.",
    provides=("robustness",),
    kept_from_copy=("robustness",),
    compute=compute,
    template_values=template_values,
)
