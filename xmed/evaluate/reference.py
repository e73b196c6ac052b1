"""The reference segmentation of one case, and the row that a prediction of it gets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from xmed import metrics
from xmed.cohort import Case
from xmed.files.digest import array_digest, digest
from xmed.metrics.masks import CONNECTED
from xmed.model.prediction import Prediction
from xmed.prepare import orthogonal_grid, resample_to
from xmed.volume import Grid, Volume

Row = dict[str, Any]


@cache
def measurement_digest() -> str:
    """Return the sha256 (hex) of the code and conventions that rows are computed by; other ones need new rows."""
    rooms = Path(str(metrics.__file__)).parent, Path(__file__).parent
    files = [path for room in rooms for path in sorted(room.glob("*.py"))]
    return digest([[path.name, path.read_text(encoding="utf-8")] for path in files])


@dataclass(frozen=True, eq=False)
class ReferenceCase:
    """What the predictions of one case are compared with.

    Attributes:
        case: The case.
        reference: Its reference segmentation in the study's label values, on the native grid.
        structures: Names of the structures, with label values 1, 2, ...
        tolerance_mm: Tolerance of the normalised surface Dice.
        credible: Whether the voxel spacing can be trusted, so that distances in mm make sense.
    """

    case: Case
    reference: Volume
    structures: list[str]
    tolerance_mm: float
    credible: bool

    @property
    def values(self) -> range:
        """Return the label values of the structures."""
        return range(1, len(self.structures) + 1)

    @cached_property
    def sha256(self) -> str:
        """Return the digest of the reference in the study's values, which a row refers to."""
        return array_digest(self.reference.array.astype(np.uint8))

    def row(self, arm: str, seed: int | None, value: int, label: np.ndarray | None, reason: str = "") -> Row:
        """Return one row of rows.json.

        Args:
            arm: Name of the arm.
            seed: Seed, or None for a trivial arm.
            value: Label value of the structure.
            label: Predicted label map on the native grid. None is an error, and counts as a miss.
            reason: Why there is no label map.

        Returns:
            The row, without what only probabilities give.
        """
        reference = self.reference.array == value
        guess = np.zeros_like(reference) if label is None else label == value
        place = orthogonal_grid(self.reference.grid)  # distances are measured between voxels at right angles
        masks = (self.reference.with_array(mask.astype(np.uint8)) for mask in (guess, reference))
        drawn, true = (resample_to(mask, place, labels=True).array > 0 for mask in masks)
        numbers = metrics.measure_structure(
            drawn, true, place.spacing, self.tolerance_mm, spacing_credible=self.credible
        )
        status = "empty_prediction" if reference.any() and not guess.any() else "ok"
        return {
            "arm": arm,
            "seed": seed,
            "case": self.case.id,
            "patient": self.case.patient,
            "structure": self.structures[value - 1],
            **numbers,
            **({"status": status} if label is not None else {"status": "error", "reason": reason}),
            **placement(drawn, true, place, self.credible),
            "reference_empty": not reference.any(),
            "voxels": int(guess.sum()),
            "reference_voxels": int(reference.sum()),
            "reference_sha256": self.sha256,
        }

    def certainty(self, value: int, prediction: Prediction) -> Row:
        """Measure how certain a prediction is, and how well its probabilities are calibrated.

        Args:
            value: Label value of the structure.
            prediction: The prediction, with probabilities.

        Returns:
            `confidence` and `calibration` of the row.
        """
        p, guess = prediction.probability(value), prediction.label.array == value
        sums = metrics.measure_calibration(p, guess, self.reference.array == value, self.reference.spacing)
        return {"confidence": metrics.soft_dice_confidence(p, guess), "calibration": sums.as_record()}


def placement(drawn: np.ndarray, true: np.ndarray, grid: Grid, credible: bool) -> Row:
    """Describe where a prediction lies relative to its reference, from which causes of failure are derived.

    Args:
        drawn: Predicted mask, bool (i, j, k).
        true: Reference mask, bool (i, j, k).
        grid: Their grid.
        credible: Whether the voxel spacing can be trusted.

    Returns:
        centre_off_mm: distance of the centres of mass. centre_inside: whether the prediction's centre lies in the
            reference's bounding box. largest_share: share of the predicted voxels in their largest component. None
            where a mask is empty.
    """
    out: Row = dict.fromkeys(("centre_off_mm", "centre_inside", "largest_share"))
    if drawn.any():
        pieces, n = ndimage.label(drawn[ndimage.find_objects(drawn.astype(np.uint8))[0]], CONNECTED)
        out["largest_share"] = float(np.bincount(pieces.ravel())[1:].max() / drawn.sum()) if n > 1 else 1.0
    if drawn.any() and true.any():
        centre, true_centre = (np.array(ndimage.center_of_mass(mask)) for mask in (drawn, true))
        box = ndimage.find_objects(true.astype(np.uint8))[0]
        inside = all(edge.start - 0.5 <= at <= edge.stop - 0.5 for edge, at in zip(box, centre))
        out |= {"centre_inside": bool(inside)}
        if credible:
            out["centre_off_mm"] = float(np.linalg.norm(grid.points(centre[None]) - grid.points(true_centre[None])))
    return out
