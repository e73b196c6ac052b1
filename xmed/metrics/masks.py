"""Masks: metrics that compare the predicted mask of one structure with the reference mask.

Every function takes `prediction` and `reference` as bool arrays (i, j, k) on the scanner's own grid, and `spacing`, the
voxel edges in mm along i, j, k. `CONVENTIONS` has the definitions. All raise XmedError METRIC_INPUT for masks that have
different shapes, are not three-dimensional or not binary, and for a spacing that is not three positive lengths.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from xmed.errors import XmedError
from xmed.metrics.conventions import BOTH_EMPTY, NO_MM
from xmed.metrics.distances import Distances, distances
from xmed.metrics.surface import Spacing, bounding_box, surface

CONNECTED = np.ones((3, 3, 3), dtype=bool)
"""26-connectivity: voxels that share a face, an edge or a corner are connected."""


def dice(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> float | None:
    """Dice similarity coefficient 2|P∩R| / (|P| + |R|), 0 to 1 (Dice, Ecology 1945).

    Args:
        prediction: Predicted mask, bool (i, j, k).
        reference: Reference mask, bool (i, j, k).
        spacing: Voxel edges in mm; checked, but without influence.

    Returns:
        The coefficient; None if both masks are empty, 0 if exactly one is.

    Raises:
        XmedError: METRIC_INPUT.
    """
    p, r, _ = _checked(prediction, reference, spacing)
    total = int(np.count_nonzero(p)) + int(np.count_nonzero(r))
    return 2.0 * int(np.count_nonzero(p & r)) / total if total else None


def nsd(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing, tolerance_mm: float) -> float | None:
    """Normalised surface Dice at a tolerance, 0 to 1.

    Source: Nikolov et al. 2021, doi 10.2196/26151.

    Args:
        prediction: Predicted mask, bool (i, j, k).
        reference: Reference mask, bool (i, j, k).
        spacing: Voxel edges in mm along i, j, k.
        tolerance_mm: The tolerance, at least half the largest spacing, below which the voxel grid would be measured.

    Returns:
        The share of both boundaries within the tolerance; None if both masks are empty, 0 if exactly one is.

    Raises:
        XmedError: METRIC_INPUT.
    """
    checked = _checked(prediction, reference, spacing)
    _check_tolerance(tolerance_mm, checked[2])
    return _boundary(checked, lambda apart: apart.within(tolerance_mm), missed=0.0)


def hd95(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> float | None:
    """95th percentile Hausdorff distance in mm (Huttenlocher et al., IEEE TPAMI 1993, as a partial distance).

    Args:
        prediction: Predicted mask, bool (i, j, k).
        reference: Reference mask, bool (i, j, k).
        spacing: Voxel edges in mm along i, j, k.

    Returns:
        The distance; None if both masks are empty, the image diagonal if exactly one is.

    Raises:
        XmedError: METRIC_INPUT.
    """
    return _boundary(_checked(prediction, reference, spacing), lambda apart: apart.percentile(95))


def hd(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> float | None:
    """Hausdorff distance in mm: the largest distance from either boundary to the other.

    Args:
        prediction: Predicted mask, bool (i, j, k).
        reference: Reference mask, bool (i, j, k).
        spacing: Voxel edges in mm along i, j, k.

    Returns:
        The distance; None if both masks are empty, the image diagonal if exactly one is.

    Raises:
        XmedError: METRIC_INPUT.
    """
    return _boundary(_checked(prediction, reference, spacing), Distances.maximum)


def assd(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> float | None:
    """Average symmetric surface distance in mm: area-weighted mean over both boundaries together.

    Args:
        prediction: Predicted mask, bool (i, j, k).
        reference: Reference mask, bool (i, j, k).
        spacing: Voxel edges in mm along i, j, k.

    Returns:
        The distance; None if both masks are empty, the image diagonal if exactly one is.

    Raises:
        XmedError: METRIC_INPUT.
    """
    return _boundary(_checked(prediction, reference, spacing), Distances.mean)


def volume_ml(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> float:
    """Volume of the prediction in ml.

    Args:
        prediction: Predicted mask, bool (i, j, k).
        reference: Reference mask, bool (i, j, k), of which only the grid is checked.
        spacing: Voxel edges in mm along i, j, k.

    Returns:
        The volume.

    Raises:
        XmedError: METRIC_INPUT.
    """
    p, _, (di, dj, dk) = _checked(prediction, reference, spacing)
    return int(np.count_nonzero(p)) * di * dj * dk / 1000.0


def components(mask: np.ndarray) -> int:
    """Number of connected components of a bool mask (i, j, k), with 26-connectivity.

    Args:
        mask: The mask.

    Returns:
        The number, 0 for an empty mask.
    """
    return int(ndimage.label(mask[bounding_box(mask)], CONNECTED)[1]) if mask.any() else 0


def measure_structure(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Spacing,
    tolerance_mm: float | None,
    *,
    spacing_credible: bool = True,
) -> dict[str, float | int | str | None]:
    """Compute every metric of one structure of one case: the metric columns of rows.json.

    Args:
        prediction: Predicted mask, bool (i, j, k).
        reference: Reference mask, bool (i, j, k).
        spacing: Voxel edges in mm along i, j, k.
        tolerance_mm: Tolerance of the surface Dice; None takes the largest spacing.
        spacing_credible: Whether the spacing can be trusted; otherwise only metrics without a length are computed.

    Returns:
        Metric → value; undefined values are None with a "reason".

    Raises:
        XmedError: METRIC_INPUT.
    """
    checked = _checked(prediction, reference, spacing)
    p, r, _ = checked
    row: dict[str, float | int | str | None] = dict.fromkeys(
        ("dice", "nsd", "hd95_mm", "hd_mm", "assd_mm", "volume_ml", "reference_volume_ml")
    )
    row |= {"dice": dice(p, r, spacing), "components": components(p)}
    if not spacing_credible:
        return {**row, "reason": NO_MM if p.any() or r.any() else BOTH_EMPTY}
    row |= {"volume_ml": volume_ml(p, r, spacing), "reference_volume_ml": volume_ml(r, p, spacing)}
    tolerance = max(checked[2]) if tolerance_mm is None else tolerance_mm
    _check_tolerance(tolerance, checked[2])
    if not p.any() and not r.any():
        return {**row, "reason": BOTH_EMPTY}
    if not (p.any() and r.any()):
        far = _diagonal(checked)
        return {**row, "nsd": 0.0, "hd95_mm": far, "hd_mm": far, "assd_mm": far}
    apart = _apart(checked)
    far_95, far_all, mean = apart.percentile(95), apart.maximum(), apart.mean()
    return {**row, "nsd": apart.within(tolerance), "hd95_mm": far_95, "hd_mm": far_all, "assd_mm": mean}


_Checked = tuple[np.ndarray, np.ndarray, Spacing]


def _checked(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> _Checked:
    p, r = np.asarray(prediction), np.asarray(reference)
    if p.ndim != 3 or p.shape != r.shape:
        raise XmedError("METRIC_INPUT", f"masks of shape {p.shape} and {r.shape}", "two masks on one (i, j, k) grid")
    for name, mask in (("prediction", p), ("reference", r)):
        if mask.dtype != bool and (mask.dtype.kind not in "iu" or mask.min(initial=0) < 0 or mask.max(initial=0) > 1):
            raise XmedError("METRIC_INPUT", f"{name} of {mask.dtype}", "a bool mask", "compare one structure at a time")
    lengths = np.asarray(spacing, dtype=np.float64)
    if lengths.shape != (3,) or not np.isfinite(lengths).all() or lengths.min() <= 0:
        raise XmedError("METRIC_INPUT", f"spacing {spacing}", "three lengths in mm along i, j, k, each above 0")
    di, dj, dk = (float(length) for length in lengths)
    return p.astype(bool, copy=False), r.astype(bool, copy=False), (di, dj, dk)


def _check_tolerance(tolerance_mm: float, spacing: Spacing) -> None:
    least = max(spacing) / 2
    if not least * (1 - 1e-6) <= tolerance_mm < np.inf:
        raise XmedError(
            "METRIC_INPUT", f"tolerance {tolerance_mm:g} mm", f"at least half the largest spacing, {least:g} mm"
        )


def _diagonal(checked: _Checked) -> float:
    p, _, spacing = checked
    return float(np.linalg.norm(np.multiply(p.shape, spacing)))


def _boundary(checked: _Checked, of: Callable[[Distances], float], missed: float | None = None) -> float | None:
    p, r, _ = checked
    if not p.any() or not r.any():
        return None if not (p.any() or r.any()) else _diagonal(checked) if missed is None else missed
    return of(_apart(checked))


def _apart(checked: _Checked) -> Distances:
    p, r, spacing = checked
    return distances(surface(p, spacing), surface(r, spacing))
