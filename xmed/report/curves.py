"""Curves: the losses of every training, a small panel each, with the step that was kept."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from xmed.run import ARMS, Run

Figure = dict[str, Any]
POINTS = 120
"""Points per training curve: as many as a small panel can show."""


def curves(run: Run, training: list[dict[str, Any]], selection: dict[str, Any]) -> list[Figure]:
    """One group per trained arm, one panel per named loss, one smoothed line per seed; the kept step is marked."""
    steps = [one for one in selection["arms"] if isinstance(one.get("chosen"), int)]  # not of those made of others
    kept = {(one["arm"], one["seed"]): one["chosen"] for one in steps}
    groups = []
    for arm in ARMS:
        read = {one["seed"]: _losses(run.arm(arm, one["seed"]) / "losses.csv") for one in training if one["arm"] == arm}
        tables = {seed: table for seed, table in read.items() if table}
        names = list(
            dict.fromkeys(name for table in tables.values() for name in table if name not in ("step", "lr", "total"))
        )
        panels = [_panel(name, tables, {seed: kept.get((arm, seed)) for seed in tables}) for name in names or ["total"]]
        found = [panel for panel in panels if panel]
        if found:
            groups.append({"arm": arm, "panels": found})
    return groups


def _panel(name: str, tables: dict[int, dict[str, np.ndarray]], kept: dict[int, int | None]) -> Figure | None:
    width, height, left, bottom = 200.0, 96.0, 6.0, 16.0
    lines = {}
    for seed, table in tables.items():
        if name in table:
            there = np.isfinite(table[name]) & np.isfinite(table["step"])
            if there.any():
                lines[seed] = _thinned(table["step"][there], table[name][there])
    if not lines:
        return None
    last = max(float(table["step"].max()) for table in tables.values())
    shown = np.concatenate([smooth for _, smooth in lines.values()])
    low, high = min(0.0, float(shown.min())), float(shown.max())
    span = (high - low) or 1.0

    def across(step: float) -> float:
        return left + (width - 2 * left) * step / max(last, 1)

    def at(step: float, value: float) -> str:
        return f"{across(step):.1f},{(height - bottom) * (1 - (value - low) / span) + 6:.1f}"

    paths = [{"seed": seed, "path": " ".join(map(at, steps, smooth))} for seed, (steps, smooth) in lines.items()]
    marks = [
        left + (width - 2 * left) * step / max(last, 1) for step in sorted({step for step in kept.values() if step})
    ]
    ends = {
        "high": high,
        "low": low,
        "last": int(last),
        "final": float(np.mean([smooth[-1] for _, smooth in lines.values()])),
    }
    base = height - bottom + 6
    return {"name": name, "lines": paths, "marks": marks, "width": width, "height": height + 6, "base": base, **ends}


def _thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of equal stretches: at most POINTS of them, each over at least one step."""
    parts = np.array_split(np.arange(len(steps)), min(POINTS, max(1, len(steps) // 3)))
    return np.array([steps[p].mean() for p in parts]), np.array([values[p].mean() for p in parts])


def _losses(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return {}
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0] if name}
