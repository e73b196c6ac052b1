"""Study: what to do: a source, a target, a method, and what counts as success."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from xmed.spec.strict import Count, Edge, Finite, Millimetres, Name, Seed, Share, Strict

MOST_VOXELS = 1 << 27
"""Largest number of voxels of a patch, 512³: the first 16 feature maps of one in float32 take 8 GB."""


class GridSpec(Strict):
    """The network's grid: voxel spacing, patch, and how many neighbouring slices a 2-D network gets on each side.

    Images without a known scale use `fit`: each field of view is resampled to that many voxels, whatever its size.
    """

    spacing_mm: tuple[Millimetres, Millimetres, Millimetres] | None = Field(
        None, description="voxel edges along i, j, k; beside `fit`, those of the label maps that a scene draws from"
    )
    fit: tuple[Edge, Edge, Edge] | None = Field(
        None, description="voxels along i, j, k onto which the box of every field of view is resampled"
    )
    patch: tuple[Edge, Edge, Edge]
    context: Annotated[int, Field(ge=0, le=8)] = 0

    @property
    def spatial_dims(self) -> Literal[2, 3]:
        """2 where the patch is one voxel thick along k, else 3."""
        return 2 if self.patch[2] == 1 else 3

    @property
    def channels(self) -> int:
        """Input channels of the network: the slice itself and its neighbours (2.5-D)."""
        return 1 + 2 * self.context

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.spacing_mm is None and self.fit is None:
            raise ValueError("a grid needs spacing_mm, or fit for pictures without a scale")
        for name, edges in (("patch", self.patch), ("fit", self.fit or ())):
            if math.prod(edges) > MOST_VOXELS:
                raise ValueError(f"{name} has {math.prod(edges)} voxels, {MOST_VOXELS} at most")
        if 1 in self.patch[:2]:
            raise ValueError("a patch may be one voxel thick along its last axis only")
        if self.context and self.spatial_dims == 3:
            raise ValueError("context (neighbouring slices) goes with a patch that is one voxel thick")
        return self


NETWORKS = ("unet", "segresnet")
"""Names of the networks that xmed.networks builds."""


class NetworkSpec(Strict):
    """A network by name, with its feature widths."""

    name: str = "unet"
    channels: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=3, max_length=8)] = Field(
        [16, 32, 64, 96]
    )
    input: Literal["intensity", "mind"] = Field("intensity", description="mind: the net sees self-similarity instead")
    members: Annotated[int, Field(ge=1, le=32)] = Field(1, description="networks whose probabilities are averaged")

    @property
    def stride(self) -> int:
        """Voxels per cell of the deepest level; patch edges must be multiples of it."""
        return 1 << (len(self.channels) - 1)


class MethodSpec(BaseModel):
    """A method by name; every other key is one of its hyper-parameters."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: Name

    @property
    def hyperparameters(self) -> dict[str, JsonValue]:
        """Every key but `name`."""
        return dict(self.model_extra or {})


class Budget(Strict):
    """How long one training may take."""

    steps: Count = 600
    batch: Annotated[int, Field(ge=1, le=4096)] = 12
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 2e-3
    devices: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="GPUs that one training is spread over, each with its share of a batch"
    )

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if self.batch % self.devices:
            raise ValueError(f"a batch of {self.batch} cannot be shared evenly by {self.devices} devices")
        return self


class TaskSpec(Strict):
    """How probabilities become a label map; the same for every arm of the study."""

    name: Literal["segmentation"] = "segmentation"
    largest_component: bool = Field(False, description="keep one connected piece of each structure: single organs only")


class Primary(Strict):
    """The primary outcome of the study."""

    metric: Literal["dice", "nsd"] = "dice"
    structure: str


class Accept(Strict):
    """What the adapted model must reach to pass."""

    gap_closed: Finite | None = None
    dice: Finite | None = None
    gain_over_trivial: Finite | None = Field(
        0.0,
        description="Dice above the better trivial baseline: at least this, and its 95 % interval above zero; "
        "zero or less fails. null or false: not asked for, and the report says so in its first paragraph",
    )
    not_below_source_only: bool = True

    @field_validator("gain_over_trivial", mode="before")
    @classmethod
    def _gain(cls, given: Any) -> Any:
        return {True: 0.0, False: None}[given] if isinstance(given, bool) else given


class NonInferiority(Strict):
    """The non-inferiority margin: how much worse than target supervision, in Dice, the adapted model may be."""

    margin: Annotated[float, Field(gt=0, le=1)]
    source: Annotated[str, Field(min_length=1, description="where the margin comes from: rater data, a paper, a board")]
    sd: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="SD of the differences that the number of patients was planned with"
    )


Factor = Literal["size", "spacing", "sex", "age", "vendor"]


class Protocol(Strict):
    """The validation protocol, fixed and hashed before the test labels are read."""

    primary: Primary
    accept: Accept = Accept()
    non_inferiority: NonInferiority | None = None
    planned_n: Count | None = Field(None, description="test patients that were planned")
    failure_below: Share | None = Field(
        None, description="Dice below which a prediction should be found out by its confidence; default 0.7"
    )
    subgroups: list[Factor] | None = Field(None, description="which are looked at; default: all")
    nsd_tolerance_mm: Millimetres | None = Field(None, description="NSD tolerance; default: the largest native spacing")


class Study(Strict):
    """A study: one labelled source, one unlabelled target, one method."""

    name: Name
    source: str
    target: str
    structures: Annotated[list[str], Field(min_length=1)]
    grid: GridSpec
    network: NetworkSpec = NetworkSpec()
    task: TaskSpec = TaskSpec()
    method: MethodSpec
    budget: Budget = Budget()
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=1000)] = Field([0])
    protocol: Protocol
    robustness: bool = Field(True, description="measure the adapted model on disturbed test volumes, too")
    mirroring: bool = Field(
        True,
        description="average predictions over mirrored copies of a volume; train.json says what it costs and gains",
    )
    register_as: Name

    @model_validator(mode="after")
    def _primary(self) -> Self:
        if self.protocol.primary.structure not in self.structures:
            raise ValueError(f"protocol.primary.structure is not one of structures: {', '.join(self.structures)}")
        for name, given in (("seeds", self.seeds), ("structures", self.structures)):
            if len(set(given)) < len(given):
                raise ValueError(f"{name}: the same one twice")
        return self
