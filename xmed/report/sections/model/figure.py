"""Loss curves: the losses of every training, a small panel each, with the step whose weights were kept."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from xmed.run import ARMS, Run

Document = dict[str, Any]
Figure = dict[str, Any]
Table = dict[str, np.ndarray]
POINTS = 120
"""Points per training curve: as many as a small panel can show."""
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 200.0, 96.0, 6.0, 16.0, 6
"""Of a panel and its margins, in units of the drawing."""


def loss_curves(run: Run, training: list[Document], selection: Document) -> list[Figure]:
    """Return one group per trained arm, one panel per named loss, one smoothed line per seed.

    Args:
        run: The run, whose losses.csv are read.
        training: `training` of the document.
        selection: `selection` of the document; the kept step is marked.
    """
    # An arm whose weights are made of others has no chosen step.
    chosen = [entry for entry in selection["arms"] if isinstance(entry.get("chosen"), int)]
    chosen_step = {(entry["arm"], entry["seed"]): entry["chosen"] for entry in chosen}
    groups = []
    for arm in ARMS:
        seeds = [record["seed"] for record in training if record["arm"] == arm]
        tables = {seed: table for seed in seeds if (table := _losses(run.arm(arm, seed) / "losses.csv"))}
        columns = dict.fromkeys(name for table in tables.values() for name in table)
        names = [name for name in columns if name not in ("step", "lr", "total")] or ["total"]
        kept_steps = [step for seed in tables if (step := chosen_step.get((arm, seed)))]
        panels = [panel for name in names if (panel := _panel(name, tables, kept_steps))]
        if panels:
            groups.append({"arm": arm, "panels": panels})
    return groups


def _panel(name: str, tables: dict[int, Table], kept_steps: list[int]) -> Figure | None:
    lines = {}
    for seed, table in tables.items():
        if name in table:
            finite = np.isfinite(table[name]) & np.isfinite(table["step"])
            if finite.any():
                lines[seed] = _thinned(table["step"][finite], table[name][finite])
    if not lines:
        return None
    last = max(float(table["step"].max()) for table in tables.values())
    smoothed = np.concatenate([smooth for _, smooth in lines.values()])
    low, high = min(0.0, float(smoothed.min())), float(smoothed.max())
    span = (high - low) or 1.0

    def across(step: float) -> float:
        return LEFT + (WIDTH - 2 * LEFT) * step / max(last, 1)

    def point(step: float, value: float) -> str:
        return f"{across(step):.1f},{(HEIGHT - BOTTOM) * (1 - (value - low) / span) + TOP:.1f}"

    return {
        "name": name,
        "lines": [
            {"seed": seed, "path": " ".join(map(point, steps, smooth))} for seed, (steps, smooth) in lines.items()
        ],
        "marks": [across(step) for step in sorted(set(kept_steps))],
        "width": WIDTH,
        "height": HEIGHT + TOP,
        "base": HEIGHT - BOTTOM + TOP,
        "high": high,
        "low": low,
        "last": int(last),
        "final": float(np.mean([smooth[-1] for _, smooth in lines.values()])),
    }


def _thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of equal stretches: at most POINTS of them, each over at least one step."""
    parts = np.array_split(np.arange(len(steps)), min(POINTS, max(1, len(steps) // 3)))
    return np.array([steps[part].mean() for part in parts]), np.array([values[part].mean() for part in parts])


def _losses(path: Path) -> Table:
    """Columns of losses.csv by name; empty where the file or its rows are missing."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return {}
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0] if name}
