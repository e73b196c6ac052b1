"""Predict: a Volume → what a model sees in it, on the very same grid."""

from __future__ import annotations

import numpy as np

from xmed.errors import XmedError
from xmed.model import Model
from xmed.prepare.geometry import interpolate
from xmed.tasks import largest_components
from xmed.volume import Volume

__all__ = ["Model", "predict"]


def predict(model: Model, volume: Volume) -> Volume:
    """The label map (uint8, values 1, 2, ... of `model.structures`) of a raw volume, on the volume's own grid.

    Probabilities, not labels, are carried back to the scanner's grid, and the largest wins there. Nothing is predicted
    outside the field of view. Raises XmedError MODALITY_MISMATCH when the volume says it is of another modality.
    """
    if volume.modality and volume.modality != model.modality:
        raise XmedError(
            "MODALITY_MISMATCH", f"a {volume.modality} volume", f"{model.modality}, what the model learned on"
        )
    seen = model.sample("input", volume)
    p = model.probabilities(seen)
    best = np.zeros(volume.array.shape, dtype=np.float32)
    label = np.zeros(volume.array.shape, dtype=np.uint8)
    for value in range(len(p)):  # one class at a time: a CT of 500 slices has no room for all of them
        home = interpolate(p[value], seen.grid, volume.grid, outside=1.0 if value == 0 else 0.0)
        won = home > best
        label[won], best[won] = value, home[won]
    label[~volume.inside] = 0
    if model.largest_component:
        label = largest_components(label)
    return volume.with_array(label)
