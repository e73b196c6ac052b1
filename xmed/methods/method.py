"""The interface of every method that learns from a labelled source and an unlabelled target."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.networks.random_numbers import RandomNumbers, initialised_from
from xmed.prepare import Sample
from xmed.prepare.sample_cache import held_within
from xmed.prepare.stored_sample import store_sample
from xmed.spec import NetworkSpec
from xmed.tasks import Segmentation


@dataclass(frozen=True)
class Domains:
    """Whole volumes on the network's grid, which a method may look at once before the first step.

    Attributes:
        source: Labelled samples.
        target: Samples without labels.
        source_modality: DICOM modality of the source.
        target_modality: DICOM modality of the target.
        target_window: Raw intensities of the target are clipped to this range before normalisation, if it is given.
        seed: Seed of this training.
        few: Labelled target samples; empty unless the method's `target_labels` is "few".
        folder: Folder of this training, where a method may keep volumes that it made. None where nothing shall be
            written.
        scene: Name of the scene that draws the source (see `xmed.rendering.scenes`), if one does.
        images: False where the source is label maps alone.
        pool: Folder for samples that a method makes and that do not fit into memory. None keeps them in memory.
    """

    source: Sequence[Sample]
    target: Sequence[Sample]
    source_modality: str
    target_modality: str
    target_window: tuple[float, float] | None
    seed: int
    few: Sequence[Sample] = ()
    folder: Path | None = None
    scene: str | None = None
    images: bool = True
    pool: Path | None = None

    def hold(self, samples: Iterable[Sample]) -> list[Sample]:
        """Collect samples that a method makes: in memory as long as they fit there, else all of them in `pool`.

        Args:
            samples: The samples, made one after the other.

        Returns:
            The same samples, in the same order.
        """
        if self.pool is None:
            return list(samples)
        folder = self.pool / secrets.token_hex(4)
        return held_within(samples, lambda number, sample: store_sample(sample, folder / f"{number:06d}"))


@dataclass(frozen=True)
class Schedule:
    """How a method trains.

    Attributes:
        start: Name of the method whose finished training with the same seed gives the first weights.
        steps: Share of the study's steps that the first round takes.
        rate: Share of the study's learning rate.
        milestones: Shares of the first round after which a candidate is kept; the label-free checks choose among them.
            Of every later round only the last of them counts.
        later_rounds: Shares of steps and learning rate that each round after the first takes, relative to the first
            one. See `Method.rounds`.
    """

    start: str | None = None
    steps: float = 1.0
    rate: float = 1.0
    milestones: tuple[float, ...] = (1.0,)
    later_rounds: tuple[float, float] = (0.4, 0.5)


class Method(nn.Module, ABC):
    """Owns the network and whatever else is trained. Methods derive from this class directly, never from each other.

    A method's file is the only one to edit when the method is added. Its constructor takes the network, the task and
    then the hyper-parameters with their defaults.
    """

    cite: ClassVar[str]
    """Citation of the paper."""
    target_labels: ClassVar[Literal["none", "few", "all"]] = "none"
    """"none", "few" or "all" of the target's training labels. "all" is for the supervised upper bound alone: its models
    are marked as not deployable, and the registry refuses them.
    """
    schedule: ClassVar[Schedule] = Schedule()
    test_time: ClassVar[bool] = False
    """True for a method whose `adapt` is called for every volume before it is predicted."""

    favoured_by_validator: ClassVar[str | None] = None
    """Name of the validator whose own pictures this method is trained on. That validator does not vote on candidates
    among which is one of this method. In prototypes the proxy Dice was misleading wherever a candidate had been trained
    on the proxy's own renderer (Spearman with the true Dice −1.0 to 0.0)."""

    renders: ClassVar[bool] = False
    """True for a method that can draw a source of label maps by itself. Every other method gets plain pictures of
    them.
    """

    enlarge: bool = False
    """True where the deployed model may enlarge small volumes, if unlabelled volumes suggest it (see
    `xmed.model.volume_enlargement`).
    """

    random: RandomNumbers
    """Random generators of this training; the only source of random numbers that `losses` and `adapt` may use."""

    progress: Tensor
    """Share of the round's steps that are done, scalar in [0, 1]. The loop sets it, and it is part of the state
    dict.
    """

    def __init__(self, net: nn.Module, task: Segmentation, rounds: int = 1) -> None:
        """Keep the network and the task.

        Args:
            net: The network that is trained.
            task: Gives losses and pseudo-labels.
            rounds: How often the one-cycle learning rate rises and falls. `start_round` is called before each round but
                the first.
        """
        super().__init__()
        self.net, self.task, self.rounds, self.random = net, task, rounds, RandomNumbers()
        self.register_buffer("progress", torch.zeros(()))

    @classmethod
    def build(cls, net: nn.Module, task: Segmentation, hyperparameters: Mapping[str, object], seed: int) -> Self:
        """Build the method for one training.

        Args:
            net: The network that is trained.
            task: Gives losses and pseudo-labels.
            hyperparameters: Hyper-parameters that differ from their defaults.
            seed: Determines the first weights of the method's own layers, and all random numbers after these.

        Returns:
            The method.
        """
        construct: Callable[..., Self] = cls
        with initialised_from(seed):
            method = construct(net, task, **hyperparameters)
            method.random = RandomNumbers.after_initialisation(seed)
        return method

    @classmethod
    def network(cls, spec: NetworkSpec) -> NetworkSpec:
        """Return the network that this method trains. Methods that change the network's input override it.

        Args:
            spec: The study's network.

        Returns:
            The network of the method; by default the study's.
        """
        return spec

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        """Look at whole volumes once, before the first step.

        Args:
            domains: Source and target volumes.

        Returns:
            Labelled samples from which the source batches are drawn; by default the source itself.
        """
        return domains.source

    @abstractmethod
    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Compute the losses of one step.

        Args:
            source: Labelled patches (b, c, i, j[, k]).
            target: Patches without labels.

        Returns:
            Named scalars. The loop minimises their sum and logs each. With an empty dictionary nothing is minimised.
        """

    def adapt(self, volume: Iterator[Batch]) -> None:
        """Learn from the one volume that is about to be predicted. Called only where `test_time` is True.

        The weights are those of the finished training for every volume.

        Args:
            volume: Yields batches of patches of that volume without augmentation, without end.
        """
        del volume

    def start_round(self) -> None:
        """Prepare a further round: decide what is carried over from the last one."""
        return

    def after_step(self) -> None:
        """Update moving averages and the like, after every optimiser step."""
        return

    def learning_rate_shares(self) -> dict[nn.Module, float]:
        """Return the modules that learn at another rate than the rest.

        Returns:
            Module → its learning rate as a share of the learning rate of all other parameters.
        """
        return {}

    def forward(self, image: Tensor) -> Tensor:
        """Run what is deployed.

        Args:
            image: Normalised patches (b, c, i, j[, k]).

        Returns:
            Logits (b, classes, i, j[, k]).
        """
        logits: Tensor = self.net(image)
        return logits

    def deployed(self) -> nn.Module:
        """Return the network whose weights are deployed.

        Returns:
            The network that `forward` runs.
        """
        return self.net
