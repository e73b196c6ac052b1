"""Draw the contours of an RTSTRUCT (Contour Sequence, PS3.3 C.8.8.6) onto the slices of a grid.

A closed contour encloses an area (CLOSED_PLANAR, INTERPOLATED_PLANAR); the areas of one slice are united. Areas of
CLOSEDPLANAR_XOR are combined by exclusive or, which cuts holes. A single contour that runs inwards and back (a keyhole)
cuts a hole as well. Contours that are not drawn are noted with their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.notes import add_note
from xmed.volume import Grid

SAMPLES = 8
"""Samples along each edge of a pixel. A pixel belongs to a structure if at least half of its samples lie inside."""
PLANE_TOLERANCE = 0.25  # of the slice distance, between a contour and the slice it is drawn on
EDGE_TOLERANCE = 0.05
"""In pixels. Contours along the edge of an image are written with few decimals, and exceed it by less than this."""
AREAS = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "INTERPOLATED_PLANAR"}
_OTHERS = {"POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"}


@dataclass(frozen=True, eq=False)
class ContourArea:
    """A closed contour on one slice.

    Attributes:
        polygon: Pixel coordinates (i, j), shape (n, 2).
        k: Index of the slice.
        xor: Whether the area is combined by exclusive or.
    """

    polygon: np.ndarray
    k: int
    xor: bool


def draw_contours(items: Sequence[Dataset], grid: Grid, name: str) -> np.ndarray:
    """Draw the contours of one structure. Contours that are left out, cut or doubtful are noted.

    Args:
        items: Items of the Contour Sequence.
        grid: Grid of the image.
        name: Name of the structure, for messages.

    Returns:
        Boolean mask of shape (i, j, k).

    Raises:
        XmedError: GRID_MISMATCH for contours between slices, across slices, or all outside the image; LABEL_MISSING if
            none of the contours encloses an area.
    """
    areas = _drawable_areas(items, grid, name)
    mask = np.zeros(grid.shape, dtype=bool)
    small_count = nested_count = 0
    for k in sorted({area.k for area in areas}):
        slice_areas = [area for area in areas if area.k == k]
        mask[:, :, k], shares = _combine_areas(slice_areas, grid.shape[:2])
        small_count += sum(share < 0.5 for share in shares)
        nested_count += _count_nested([area for area in slice_areas if not area.xor], grid.shape[:2])
    _note_count("CONTOURS_SMALL", small_count, f"contours of {name} cover no pixel by at least half")
    _note_count(
        "CONTOURS_NESTED",
        nested_count,
        f"contours of {name} lie within another one and cut no hole, because they are not XOR",
    )
    if areas:
        slices = {area.k for area in areas}
        gaps = max(slices) - min(slices) + 1 - len(slices)
        _note_count(
            "CONTOUR_GAPS", gaps, f"slices without a contour of {name} lie between contoured slices: left empty"
        )
    return mask


def _drawable_areas(items: Sequence[Dataset], grid: Grid, name: str) -> list[ContourArea]:
    """Return the contours that can be drawn, and note the others."""
    areas: list[ContourArea] = []
    left_out, outside, cut, miscounted, kinds = Counter[str](), 0, 0, 0, Counter[str]()
    for item in items:
        kind = str(item.get("ContourGeometricType") or "CLOSED_PLANAR").strip().upper()
        points = _contour_points(item)
        if kind not in AREAS or points is None or len(points) < 3:
            reason = "damaged" if points is None else "of fewer than three points"
            left_out[reason if kind in AREAS else kind if kind in _OTHERS else "of another type"] += 1
            continue
        miscounted += item.get("NumberOfContourPoints") not in (None, len(points))
        area = _place_contour(points, kind, grid, name)
        if area is None:
            outside += 1
            continue
        cut += _exceeds_picture(area.polygon, grid.shape[:2])
        kinds[kind] += 1
        areas.append(area)
    if outside and not areas:
        raise XmedError("GRID_MISMATCH", f"all {outside} contours of {name} lie outside the image", "contours inside")
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    if left_out and not areas:
        raise XmedError("LABEL_MISSING", f"no contour of {name} encloses an area ({reasons})", "closed contours")
    _note_count(
        "CONTOURS_LEFT_OUT", left_out.total(), f"contours of {name} enclose no area and were left out ({reasons})"
    )
    _note_count("CONTOURS_OUTSIDE", outside, f"contours of {name} lie outside the image and were left out")
    _note_count("CONTOURS_CUT", cut, f"contours of {name} reach beyond the picture's edge and were cut there")
    _note_count(
        "CONTOURS_COUNTED", miscounted, f"contours of {name} state a wrong Number of Contour Points: drawn as stored"
    )
    _note_count(
        "CONTOURS_INTERPOLATED", kinds["INTERPOLATED_PLANAR"], f"contours of {name} are interpolated: drawn as others"
    )
    if 0 < kinds["CLOSEDPLANAR_XOR"] < kinds.total():
        _note_count(
            "CONTOURS_MIXED", kinds["CLOSEDPLANAR_XOR"], f"contours of {name} are XOR, others are not: applied last"
        )
    return areas


def _note_count(code: str, count: int, text: str) -> None:
    """Note how many contours something applies to, if any."""
    if count:
        add_note(code, f"{count} {text}")


def _contour_points(item: Dataset) -> np.ndarray | None:
    """Return the points (n, 3) in mm, n = 0 without Contour Data, or None if the data are damaged."""
    try:
        values = np.atleast_1d(np.array(item.get("ContourData") or [], dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        return None
    return values.reshape(-1, 3) if values.size % 3 == 0 and np.isfinite(values).all() else None


def _place_contour(points: np.ndarray, kind: str, grid: Grid, name: str) -> ContourArea | None:
    """Return a contour as an area on its slice, or None if it lies outside the image."""
    to_index = np.linalg.inv(grid.affine)
    ijk = points @ to_index[:3, :3].T + to_index[:3, 3]
    middle = float(ijk[:, 2].mean())
    low, high = ijk[:, :2].min(axis=0), ijk[:, :2].max(axis=0)
    if (
        not -0.5 <= middle < grid.shape[2] - 0.5
        or (high <= -0.5).any()
        or (low >= np.array(grid.shape[:2]) - 0.5).any()
    ):
        return None
    k = round(middle)
    if np.abs(ijk[:, 2] - k).max() > PLANE_TOLERANCE:
        raise XmedError(
            "GRID_MISMATCH",
            f"a contour of {name} at slice {ijk[:, 2].min():.2f} to {ijk[:, 2].max():.2f}",
            "contours drawn on the image's own slices",
            "take the series that the RTSTRUCT refers to",
        )
    return ContourArea(_without_repeats(ijk[:, :2]), k, kind == "CLOSEDPLANAR_XOR")


def _without_repeats(polygon: np.ndarray) -> np.ndarray:
    """Remove repeated points, and keep a single turn of a contour that is drawn several times over."""
    polygon = polygon[(polygon != np.roll(polygon, 1, axis=0)).any(axis=1)]
    while len(polygon) >= 6 and len(polygon) % 2 == 0:
        half = len(polygon) // 2
        if not np.allclose(polygon[:half], polygon[half:], atol=1e-6):
            break
        polygon = polygon[:half]
    return polygon


def _exceeds_picture(polygon: np.ndarray, size: Sequence[int]) -> bool:
    """Return whether a contour reaches beyond the edge of the image."""
    low, high = -0.5 - EDGE_TOLERANCE, np.array(size) - 0.5 + EDGE_TOLERANCE
    return bool((polygon < low).any() or (polygon > high).any())


def _combine_areas(areas: Sequence[ContourArea], size: Sequence[int]) -> tuple[np.ndarray, list[float]]:
    """Return the mask (i, j) of the areas of one slice, and the largest share of a pixel that each of them covers."""
    mask = np.zeros(tuple(size), dtype=bool)
    low, high = _pixel_box(np.concatenate([area.polygon for area in areas]), size)
    covered, shares = np.zeros((high - low) * SAMPLES, dtype=bool), []
    for area in sorted(areas, key=lambda area: area.xor):
        inside = _samples_inside(area.polygon - low, high - low)
        shares.append(float(_covered_share(inside).max(initial=0)))
        covered = covered ^ inside if area.xor else covered | inside
    mask[low[0] : high[0], low[1] : high[1]] = _covered_share(covered) >= 0.5
    return mask, shares


def _count_nested(areas: Sequence[ContourArea], size: Sequence[int]) -> int:
    """Count the areas of one slice that lie completely within another one."""
    count = 0
    for n, inner in enumerate(areas):
        for outer in (*areas[:n], *areas[n + 1 :]):
            ends = inner.polygon.min(0), inner.polygon.max(0)
            if (ends[0] < outer.polygon.min(0)).any() or (ends[1] > outer.polygon.max(0)).any():
                continue
            low, high = _pixel_box(outer.polygon, size)
            inner_samples, outer_samples = (_samples_inside(area.polygon - low, high - low) for area in (inner, outer))
            if (outer_samples & ~inner_samples).any() and not (inner_samples & ~outer_samples).any():
                count += 1
                break
    return count


def _pixel_box(points: np.ndarray, size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pixel of the bounding box of points (n, 2), and the one after its last, within the image."""
    low, high = np.floor(points.min(axis=0) + 0.5), np.ceil(points.max(axis=0) + 0.5)
    return np.clip(low, 0, size).astype(int), np.clip(high, 0, size).astype(int)


def _covered_share(inside: np.ndarray) -> np.ndarray:
    """Return the share of each pixel (i, j) that is covered by samples."""
    width, height = (n // SAMPLES for n in inside.shape)
    share: np.ndarray = inside.reshape(width, SAMPLES, height, SAMPLES).mean(axis=(1, 3))
    return share


def _samples_inside(polygon: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return which samples (SAMPLES² per pixel) lie inside a polygon, by the even-odd rule.

    Each edge toggles inside and outside for all samples to its right, in the sample rows that it crosses.

    polygon: pixel coordinates (n, 2). size: width and height in pixels.
    """
    width, height = (int(n) for n in size)
    switches = np.zeros((width * SAMPLES + 1, height * SAMPLES), dtype=np.int32)
    # Sample n has its centre at (n + ½) / SAMPLES − ½ pixels; in units of samples, centres are integers.
    start = (polygon + 0.5) * SAMPLES - 0.5
    end = np.roll(start, -1, axis=0)
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first = np.clip(np.ceil(low), 0, height * SAMPLES).astype(int)
    # A half-open interval, so that a corner that two edges share counts once
    last = np.clip(np.ceil(high), 0, height * SAMPLES).astype(int)
    edge = np.repeat(np.arange(len(start)), last - first)
    row = np.concatenate([np.arange(a, b) for a, b in zip(first, last)] or [np.zeros(0)]).astype(int)
    slope = (row - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    crossing = start[edge, 0] + slope * (end[edge, 0] - start[edge, 0])
    np.add.at(switches, (np.clip(np.ceil(crossing), 0, width * SAMPLES).astype(int), row), 1)
    inside: np.ndarray = np.cumsum(switches[:-1], axis=0) % 2 == 1
    return inside
