"""Prediction: a Volume → what a model sees in it, on the very same grid."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor

from xmed import methods, networks
from xmed.errors import XmedError
from xmed.model.deployed import WINDOWS_AT_ONCE, Model
from xmed.prepare import Augmentation, Sample, Sampler
from xmed.prepare.geometry import interpolate
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
"""Patches as they are: at test time a method disturbs them itself, or not at all."""
TEST_BATCH = 16


def predicted_probabilities(model: Model, seen: Sample) -> np.ndarray:
    """`model.probabilities(seen)`, after the model has adapted to this one volume where its method does so.

    The model itself stays as it is: every volume begins with the same weights, and gets the same answer twice.
    """
    name = method_of_model(model)
    if not adapts_at_test_time(model):
        return model.probabilities(seen)
    given = model.card.get("hyperparameters", {})  # what a choice was made of was trained with defaults
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        net = copy.deepcopy(model.net).train()
        method = methods.find(name)(net, model.task, **(given if name == model.card["method"] else {}))
        method.adapt(Sampler([seen], model.grid, TEST_BATCH, WHOLE, seed=0))
    return replace(model, net=method.deployed().eval()).probabilities(seen)


def adapts_at_test_time(model: Model) -> bool:
    """Whether the model's method learns anew from every volume before it predicts it."""
    name = method_of_model(model)
    return name in methods.names() and methods.find(name).test_time


def method_of_model(model: Model) -> str:
    """The method that trained a model; of one that was chosen among several, the chosen one's."""
    card = model.card
    return str(card.get("made_of", {}).get("chosen", card.get("method", "")))


@torch.inference_mode()
def embedding(model: Model, seen: Sample) -> np.ndarray:
    """Float32 (f,): what the net's deepest block makes of a volume, mean over the patches that it is cut into.

    In float32 on every device: numbers kept today are compared with others years later. Of an ensemble, its first net.
    """
    found: list[Tensor] = []

    def look(patches: Tensor) -> Tensor:
        deepest = networks.logits_and_features(model.net, patches.to(model.device), "deepest")[1]
        found.append(deepest.flatten(2).mean(2).cpu())
        return patches[:, :1]  # nobody looks at it: the patches are what is wanted

    patch, low = model.grid.patch[: model.grid.spatial_dims], float(seen.image.min())
    sliding_window_inference(model.stacked(seen), patch, WINDOWS_AT_ONCE, look, overlap=0, cval=low)
    return torch.cat(found).mean(0).numpy()


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one volume: label (uint8, on the volume's own grid), and what it was made from.

    p: float32 (classes, i, j, k) on the net's grid, the grid of `seen`.
    """

    label: Volume
    p: np.ndarray
    seen: Sample

    def probability(self, value: int) -> np.ndarray:
        """How likely one structure is: float32 (i, j, k) on the volume's own grid, one class at a time."""
        outside = 1.0 if value == 0 else 0.0
        return interpolate(self.p[value], self.seen.grid, self.label.grid, outside=outside)


def predict(model: Model, volume: Volume) -> Volume:
    """The label map (uint8, values 1, 2, ... of `model.structures`) of a raw volume, on the volume's own grid.

    Raises as `segment` does.
    """
    return segment(model, volume).label


def segment(model: Model, volume: Volume) -> Prediction:
    """The label map of a raw volume with the probabilities behind it.

    Probabilities, not labels, are carried back to the scanner's grid, and the largest wins there. Nothing is predicted
    outside the field of view. Raises XmedError MODALITY_MISMATCH when the volume says it is of another modality.
    """
    if volume.modality and volume.modality != model.modality:
        raise XmedError(
            "MODALITY_MISMATCH", f"a {volume.modality} volume", f"{model.modality}, what the model learned on"
        )
    seen = model.sample("input", volume)
    p = predicted_probabilities(model, seen)
    best = np.zeros(volume.array.shape, dtype=np.float32)
    label = np.zeros(volume.array.shape, dtype=np.uint8)
    for value in range(len(p)):  # one class at a time: a CT of 500 slices has no room for all of them
        home = interpolate(p[value], seen.grid, volume.grid, outside=1.0 if value == 0 else 0.0)
        won = home > best
        label[won], best[won] = value, home[won]
    label[~volume.inside] = 0
    if model.largest_component:
        places = model.placed(seen.fov)
        plausible = p[1:] if places is None else p[1:] * places
        label = one_component(
            label, lambda value: interpolate(plausible[value - 1], seen.grid, volume.grid, outside=0.0)
        )
    return Prediction(volume.with_array(label), p, seen)
