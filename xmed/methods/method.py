"""Method: the one interface of every way to learn from a labelled source and an unlabelled target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from xmed.batch import Batch
from xmed.prepare import Sample
from xmed.spec import NetworkSpec
from xmed.tasks import Segmentation


@dataclass(frozen=True)
class Domains:
    """What a method may look at once, before the first step: whole volumes on the net's grid.

    source: labelled Samples. target: Samples without labels. Modalities are DICOM codes; a window is how a domain's raw
    intensities are clipped before normalisation. seed: of this training. few: labelled target Samples, only where a
    method's `target_labels` are "few". folder: of this training, where a stage may keep the volumes it writes. scene:
    what draws the source (see xmed.appearance.scenes), if anything does; images: False where it is label maps alone.
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


@dataclass(frozen=True)
class Schedule:
    """How a method trains. start: a method whose finished training of the same seed gives the first weights.

    steps, rate: share of the study's steps and learning rate that this training takes. milestones: shares of the
    training after which a candidate is kept (of a further round the last of them alone); the label-free guards choose
    among them. again: shares of steps and of learning rate that every round after the first takes, see Method.rounds.
    """

    start: str | None = None
    steps: float = 1.0
    rate: float = 1.0
    milestones: tuple[float, ...] = (1.0,)
    later_rounds: tuple[float, float] = (0.4, 0.5)


class Method(nn.Module, ABC):
    """Owns the net and whatever else it trains. Classes are abstract or final: no method subclasses another."""

    cite: ClassVar[str]
    """The paper."""
    target_labels: ClassVar[Literal["none", "few", "all"]] = "none"
    """all: the supervised ceiling alone; its models are marked non-deployable and the registry refuses them."""
    schedule: ClassVar[Schedule] = Schedule()
    test_time: ClassVar[bool] = False
    """True for a method whose `adapt` is called on every volume that is to be predicted."""

    favoured_by_validator: ClassVar[str | None] = None
    """Name of the validator whose own pictures this method is trained on. That validator does not vote on candidates
    among which is one of this method. In prototypes the proxy Dice was misleading wherever a candidate had been trained
    on the proxy's own renderer (Spearman with the true Dice −1.0 to 0.0)."""

    renders: ClassVar[bool] = False
    """True for a method that can draw a source of label maps by itself; any other is given plain pictures of them."""

    enlarge: bool = False
    """True where what is deployed enlarges small volumes if unlabelled ones ask for it (see Model.learn_scale)."""

    progress: Tensor
    """Share of the round's steps done; set by the loop, saved with the rest."""

    def __init__(self, net: nn.Module, task: Segmentation, rounds: int = 1) -> None:
        """rounds: how often the learning rate rises and comes down; before each but the first, `start_round`."""
        super().__init__()
        self.net, self.task, self.rounds = net, task, rounds
        self.register_buffer("progress", torch.zeros(()))

    @classmethod
    def network(cls, spec: NetworkSpec) -> NetworkSpec:
        """The network this method trains, given the study's: for methods that change what the net is shown."""
        return spec

    def prepare_source(self, domains: Domains) -> Sequence[Sample]:
        """Look at whole volumes once, before the first step; return what the source batches are drawn from."""
        return domains.source

    @abstractmethod
    def losses(self, source: Batch, target: Batch) -> dict[str, Tensor]:
        """Named scalars; the loop minimises their sum and logs each. None at all: nothing is minimised in this step."""

    def adapt(self, volume: Iterator[Batch]) -> None:
        """At test time: learn from patches of the one volume that is about to be predicted. The net starts afresh each.

        Only called where `test_time` is set; most methods learn nothing then. `volume` yields batches of unaugmented
        patches without end.
        """
        del volume

    def start_round(self) -> None:
        """Before a further round: what of the last one is carried on."""
        return

    def after_step(self) -> None:
        """Moving averages and the like, after every optimiser step."""
        return

    def learning_rate_shares(self) -> dict[nn.Module, float]:
        """Modules whose learning rate is this share of everything else's."""
        return {}

    def forward(self, image: Tensor) -> Tensor:
        """What is deployed: image (b, c, i, j[, k]) → logits (b, classes, i, j[, k])."""
        return self.net(image)

    def deployed(self) -> nn.Module:
        """The network whose weights are shipped: what `forward` runs."""
        return self.net
