"""A deployed model: network, expected input and meaning of its output; stored as safetensors and JSON, never pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from xmed import networks
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.digest import file_digest
from xmed.labels import LabelTable, Structure
from xmed.model.folder import CARD, WEIGHTS, check_model
from xmed.model.sliding_windows import OVERLAP, QUICK_OVERLAP, predict_by_windows
from xmed.model.weights_file import read_weights, write_weights
from xmed.networks.precision import choose_precision
from xmed.prepare import Sample, augmentation_for, enlarge, make_sample
from xmed.prepare.geometry import resize
from xmed.records.model_card import ModelOrigin
from xmed.records.record import content
from xmed.spec import GridSpec, NetworkSpec
from xmed.tasks import Segmentation, location_prior
from xmed.volume import Volume


@dataclass(frozen=True, eq=False)
class Model:
    """A network for one modality on one grid, which labels structures 1, 2, ... in the given order.

    Attributes:
        net: The network.
        grid: Grid and patch of the network's input.
        network: How the network was built.
        modality: DICOM modality of its input.
        structures: Names and codes of the structures.
        window: Raw intensities are clipped to this range first (see `prepare.normalise`); None for no clipping.
        largest_component: Keep one connected component of each structure.
        places: How likely each structure is at each position of the field of view, from the network's own predictions
            of unlabelled volumes (see `xmed.tasks.location_prior`), float32 (structures, n, n, n). It chooses among the
            components of a structure of which only one can be true.
        enlarges: Whether small volumes are enlarged before the network sees them (see `prepare.enlarged`).
        mirrors: Whether predictions are averaged over mirrored copies of a volume.
        origin: Where it comes from: study, method, seed, whether it may be deployed, versions.
        weights_sha256: Checksum of the weights file that it was loaded from; None for a model that was not loaded.
    """

    net: nn.Module
    grid: GridSpec
    network: NetworkSpec
    modality: str
    structures: LabelTable
    window: tuple[float, float] | None = None
    largest_component: bool = False
    places: np.ndarray | None = None
    enlarges: bool = False
    mirrors: bool = True
    origin: ModelOrigin = field(default_factory=ModelOrigin)
    weights_sha256: str | None = None

    @property
    def task(self) -> Segmentation:
        """Return the segmentation task."""
        return Segmentation(tuple(self.structures.names), self.largest_component)

    @cached_property
    def device(self) -> torch.device:
        """Return the device of the network's weights."""
        return next(self.net.parameters()).device

    @cached_property
    def bfloat16(self) -> bool:
        """Return whether it predicts in bfloat16, which is so where that is faster (see `networks.precision`)."""
        return choose_precision(self.network, self.grid, self.task.classes, self.device, "prediction").is_bfloat16

    @property
    def memory_format(self) -> torch.memory_format:
        """Return the memory format of its input: channels last, in 2-D or 3-D."""
        return torch.channels_last if self.grid.spatial_dims == 2 else torch.channels_last_3d

    @property
    def flips(self) -> tuple[bool, ...]:
        """Return for each axis of a patch whether copies are mirrored along it: as training did, or not at all."""
        dims = self.grid.spatial_dims
        return augmentation_for(self.modality, self.structures.names).flips[:dims] if self.mirrors else (False,) * dims

    def sample(self, case: str, volume: Volume) -> Sample:
        """Convert a raw volume to the model's input.

        Args:
            case: Case id.
            volume: Volume on the scanner's grid.

        Returns:
            The sample on the network's grid, normalised.
        """
        return make_sample(case, volume, self.grid, self.window)

    @torch.inference_mode()
    def logits(self, image: Tensor) -> Tensor:
        """Run the network on patches.

        Args:
            image: Normalised patches (b, c, i, j[, k]).

        Returns:
            Logits (b, classes, i, j[, k]), float32.
        """
        image = image.to(self.device, memory_format=self.memory_format)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            logits: Tensor = self.net(image).float()
        return logits

    def stacked(self, seen: Sample) -> Tensor:
        """Arrange a sample as the network takes it.

        Args:
            seen: A sample on the network's grid.

        Returns:
            In 2-D slices with their neighbours as channels, (k, c, i, j); in 3-D the whole volume, (1, 1, i, j, k).
        """
        image = torch.from_numpy(seen.image)
        if self.grid.spatial_dims == 3:
            return image[None, None]
        context = self.grid.context
        beyond = torch.nn.functional.pad(image, (context, context), value=float(image.min()))  # as the sampler pads
        return beyond.unfold(2, 1 + 2 * context, 1).permute(2, 3, 0, 1)

    def probabilities(self, seen: Sample, quick: bool = False) -> np.ndarray:
        """Predict class probabilities of a sample, the mean over its mirrored copies where the model `mirrors`.

        Args:
            seen: A sample on the network's grid.
            quick: Predict without mirrored copies and with less overlap, several times faster. It serves choices among
                models, for which all of them are looked at alike; what is reported is never predicted so.

        Returns:
            Float32 (classes, i, j, k) on the sample's grid. Outside the field of view everything is background.
        """
        if self.enlarges:
            larger = self._of_network(enlarge(seen, self.grid), quick)
            p = np.stack([resize(p_of_class, seen.image.shape) for p_of_class in larger])
        else:
            p = self._of_network(seen, quick)
        p[:, ~seen.fov] = 0  # no loss ever looked there, so what the net says of it means nothing
        p[0, ~seen.fov] = 1
        return p

    def _of_network(self, seen: Sample, quick: bool) -> np.ndarray:
        dims = self.grid.spatial_dims
        fov = seen.fov.transpose(2, 0, 1) if dims == 2 else seen.fov[None]
        p = predict_by_windows(
            self.stacked(seen),
            self.grid.patch[:dims],
            lambda patches: self.logits(patches).softmax(1).cpu(),
            self.task.classes,
            fov,
            (False,) * dims if quick else self.flips,
            QUICK_OVERLAP if quick else OVERLAP,
        )
        return np.ascontiguousarray(p.transpose(0, 2, 3, 1) if dims == 2 else p[:, 0])

    def placed(self, fov: np.ndarray) -> np.ndarray | None:
        """Resample `places` to a field of view.

        Args:
            fov: Field of view, bool (i, j, k).

        Returns:
            Float32 (structures, i, j, k), or None without `places`.
        """
        if self.places is None:
            return None
        return np.stack([location_prior.from_box_frame(atlas, fov) for atlas in self.places])

    def decode(self, p: np.ndarray, fov: np.ndarray) -> np.ndarray:
        """Convert probabilities to a label map.

        Args:
            p: Probabilities (classes, i, j, k) on the network's grid.
            fov: Field of view, bool (i, j, k).

        Returns:
            uint8 (i, j, k).
        """
        return self.task.decode(p, self.placed(fov))

    def learn_places(self, unlabelled: Sequence[Sample]) -> Model:
        """Return this model with `places` from its own predictions of unlabelled volumes.

        Args:
            unlabelled: Samples of the target.

        Returns:
            The model; this one is not changed.
        """
        labels = [self.task.decode(self.probabilities(seen, quick=True)) for seen in unlabelled]
        framed = [
            [location_prior.to_box_frame(lab == v, seen.fov) for lab, seen in zip(labels, unlabelled)]
            for v in self.structures.values
        ]
        return replace(self, places=np.stack([location_prior.location_likelihood(masks) for masks in framed]))

    def save(self, folder: Path) -> Path:
        """Write weights.safetensors and model.json. The card is written last, so a folder with a card is complete.

        Args:
            folder: The model folder; made where it does not exist.

        Returns:
            The folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        write_weights(folder / WEIGHTS, self.net, self.places)
        card = {
            **content(self.origin),
            "weights_sha256": file_digest(folder / WEIGHTS),
            "grid": self.grid.model_dump(mode="json"),
            "network": self.network.model_dump(mode="json"),
            "modality": self.modality,
            "window": self.window,
            "largest_component": self.largest_component,
            "structures": [vars(structure) for structure in self.structures],
            "enlarges": self.enlarges,
            "mirrors": self.mirrors,
        }
        write_atomically(folder / CARD, json.dumps(card, indent=1) + "\n")
        return folder

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> Model:
        """Load a model from its folder. The weights' checksum is verified first.

        A folder may come from anybody: nothing in it is executed.

        Args:
            folder: Folder that `save` wrote.
            device: Where the network goes; by default the GPU where there is one, else the CPU.

        Returns:
            The model, in evaluation mode.

        Raises:
            XmedError: MODEL_NOT_FOUND where there is no model.json; MODEL_INVALID where the folder is damaged, or is
                no model of xmed's.
        """
        folder = Path(folder)
        if not (folder / CARD).is_file():
            raise XmedError("MODEL_NOT_FOUND", f"no {CARD} in {folder}", "a model folder that xmed wrote")
        try:
            card = check_model(folder)
            net, places = read_weights(folder / WEIGHTS, card)
            structures = LabelTable(tuple(Structure(s.value, s.name, s.category, s.type) for s in card.structures))
        except (XmedError, *_DAMAGE) as problem:
            if isinstance(problem, XmedError) and problem.code == "MODEL_INVALID":
                raise
            what = problem.what if isinstance(problem, XmedError) else " ".join(str(problem).split())[:300]
            raise XmedError("MODEL_INVALID", f"{folder}: {what}", "a model folder that xmed wrote") from problem
        layout = torch.channels_last if card.grid.spatial_dims == 2 else torch.channels_last_3d
        device = device or networks.default_device()
        net = net.to(device, memory_format=layout).eval()  # type: ignore[call-overload]  # torch's stubs lack the pair
        return cls(
            net, card.grid, card.network, card.modality, structures, card.window, card.largest_component, places,
            card.enlarges, card.mirrors, card.origin, card.weights_sha256,
        )  # fmt: skip


_DAMAGE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, AssertionError, MemoryError, OSError,
           RuntimeError, SafetensorError)  # fmt: skip
"""Exceptions that a damaged or malicious folder can cause: by its files, by such a network's widths, by torch."""
