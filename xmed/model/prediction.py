"""Predict the label map of a volume, on the volume's own grid."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from xmed import methods, networks
from xmed.errors import XmedError
from xmed.model.deployed import Model
from xmed.model.sliding_windows import AT_ONCE
from xmed.networks.monai_parts import sliding_window_inference
from xmed.prepare import Augmentation, Sample, Sampler
from xmed.prepare.geometry import interpolate, part_of, slabs
from xmed.tasks import one_component
from xmed.volume import Volume

__all__ = [
    "Model",
    "Prediction",
    "adapts_at_test_time",
    "embedding",
    "method_of_model",
    "predict",
    "predicted_probabilities",
    "segment",
]

WHOLE = Augmentation(rotation=0, scale=0, shift=0, flips=(False, False, False), gain=0, offset=0, noise=0)
"""No augmentation: at test time a method perturbs patches itself, or not at all."""
TEST_BATCH = 16
"""Patches per batch in test-time adaptation."""


def predicted_probabilities(model: Model, seen: Sample, quick: bool = False) -> np.ndarray:
    """Return the model's probabilities, after adaptation to this volume where its method adapts at test time.

    The model itself is not changed: every volume starts from the same weights, and gets the same result each time.

    Args:
        model: The model.
        seen: A sample of the model's grid.
        quick: For choices among models (see `Model.probabilities`).

    Returns:
        Float32 (classes, i, j, k) on the sample's grid.
    """
    name = method_of_model(model)
    if not adapts_at_test_time(model):
        return model.probabilities(seen, quick)
    was_chosen = name != model.origin.method
    hyperparameters = {} if was_chosen else model.origin.hyperparameters  # candidates of a choice train with defaults
    with torch.enable_grad():
        method = methods.find(name).build(copy.deepcopy(model.net).train(), model.task, hyperparameters, seed=0)
        method.adapt(Sampler([seen], model.grid, TEST_BATCH, WHOLE, seed=0))
    return replace(model, net=method.deployed().eval()).probabilities(seen, quick)


def adapts_at_test_time(model: Model) -> bool:
    """Return whether the model's method adapts to every volume before it predicts it.

    Args:
        model: The model.

    Returns:
        Whether it does.
    """
    name = method_of_model(model)
    return name in methods.names() and methods.find(name).test_time


def method_of_model(model: Model) -> str:
    """Return the method that trained a model's weights.

    Args:
        model: The model.

    Returns:
        Name of the method; of a model that was chosen among several, the chosen one's. Empty where nothing says so.
    """
    return model.origin.trained_by


@torch.inference_mode()
def embedding(model: Model, seen: Sample) -> np.ndarray:
    """Return the mean feature vector of the deepest block over the patches of a volume.

    It is computed in float32 on every device, because vectors that are stored today are compared with others years
    later. Of an ensemble the first network is used.

    Args:
        model: The model.
        seen: A sample on the network's grid.

    Returns:
        Float32 (f,).
    """
    vectors: list[Tensor] = []

    def record_features(patches: Tensor) -> Tensor:
        deepest = networks.deepest_features(model.net, patches.to(model.device))
        vectors.append(deepest.flatten(2).mean(2).cpu())
        return patches[:, :1]  # not used: the function is called for each patch, and that is all it is here for

    patch, low = model.grid.patch[: model.grid.spatial_dims], float(seen.image.min())
    sliding_window_inference(model.stacked(seen), patch, AT_ONCE, record_features, overlap=0, cval=low)
    return torch.cat(vectors).mean(0).numpy()


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of one volume.

    Attributes:
        label: uint8, on the volume's own grid.
        p: Probabilities float32 (classes, i, j, k) on the network's grid.
        seen: The sample that the network received; `p` is on its grid.
    """

    label: Volume
    p: np.ndarray
    seen: Sample

    def probability(self, value: int) -> np.ndarray:
        """Resample the probability of one class to the volume's own grid.

        Args:
            value: Label value of the class; 0 for the background.

        Returns:
            Float32 (i, j, k).
        """
        outside = 1.0 if value == 0 else 0.0
        return interpolate(self.p[value], self.seen.grid, self.label.grid, outside=outside)


def predict(model: Model, volume: Volume) -> Volume:
    """Predict the label map of a raw volume.

    Args:
        model: The model.
        volume: The volume, on any grid.

    Returns:
        uint8 with the values of `model.structures`, on the volume's own grid.

    Raises:
        XmedError: MODALITY_MISMATCH where the volume says that it is of another modality.
    """
    return segment(model, volume).label


def segment(model: Model, volume: Volume) -> Prediction:
    """Predict the label map of a raw volume, with the probabilities behind it.

    Probabilities, not labels, are resampled to the scanner's grid, and the largest one decides there. Outside the field
    of view nothing is predicted.

    Args:
        model: The model.
        volume: The volume, on any grid.

    Returns:
        Label map, probabilities and the sample that the network received.

    Raises:
        XmedError: MODALITY_MISMATCH where the volume says that it is of another modality.
    """
    if volume.modality and volume.modality != model.modality:
        raise XmedError(
            "MODALITY_MISMATCH", f"a {volume.modality} volume", f"{model.modality}, what the model learned on"
        )
    seen = model.sample("input", volume)
    p = predicted_probabilities(model, seen)
    label = np.zeros(volume.array.shape, dtype=np.uint8)
    for rows, slab in slabs(volume.grid):
        best = np.zeros(slab.shape, dtype=np.float32)
        for value in range(len(p)):
            home = interpolate(p[value], seen.grid, slab, outside=1.0 if value == 0 else 0.0)
            won = home > best
            label[rows][won], best[won] = value, home[won]
    label[~volume.inside] = 0
    if model.largest_component:
        places = model.placed(seen.fov)

        def plausibility(value: int, box: tuple[slice, ...]) -> np.ndarray:
            plausible = p[value] if places is None else p[value] * places[value - 1]
            return interpolate(plausible, seen.grid, part_of(volume.grid, box), outside=0.0)

        label = one_component(label, plausibility)
    return Prediction(volume.with_array(label), p, seen)
