"""Model card: model.json, what a model's folder says of its origin, its input and its output."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from xmed.records.record import Plain, Record, content
from xmed.records.training import CheckpointChoice
from xmed.spec import GridSpec, NetworkSpec
from xmed.spec.strict import Finite, Name, Strict


class CardStructure(Strict):
    """One structure that the model segments."""

    value: Annotated[int, Field(ge=1, lt=2**31, strict=True)] = Field(description="value in the label map")
    name: Name
    category: Annotated[str, Field(max_length=64)] | None = Field(None, description="SNOMED-CT code of the category")
    type: Annotated[str, Field(max_length=64)] | None = Field(None, description="SNOMED-CT code of the structure")


class SidePair(Record):
    """One text for the source and one for the target of a training."""

    source: str | None = None
    target: str | None = None


class ModelOrigin(Record):
    """Where a model comes from, as far as its maker says so."""

    xmed: str | None = Field(None, description="version that trained it")
    study: str | None = None
    run: str | None = None
    arm: str | None = None
    seed: int | None = None
    method: str | None = None
    hyperparameters: dict[str, Plain] = Field(default={}, description="of the method")
    cite: str | None = Field(None, description="paper that the method is from")
    deployable: bool | None = Field(None, description="false where the labelled cases are the target's own")
    protocol_sha256: str | None = Field(None, description="sha256 (hex) of the protocol that it was made under")
    protocol: Plain = Field(None, description="that protocol")
    data: SidePair = Field(SidePair(), description="fingerprints of the datasets")
    datasets: SidePair = Field(SidePair(), description="names of the datasets")
    made_of: CheckpointChoice | None = Field(None, description="of an ensemble, or of a model that was chosen: how")

    @property
    def trained_by(self) -> str:
        """The method that trained the weights; of a model that was chosen among several, the chosen one's."""
        chosen = self.made_of.chosen if self.made_of else None
        return str(chosen or self.method or "")


class ModelCard(ModelOrigin):
    """model.json: what is needed to run the model, and where it comes from.

    A card may come from anybody: what the network is built from is checked within bounds.
    """

    FILE: ClassVar[str] = "model.json"
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = Field(description="of weights.safetensors")
    grid: Annotated[GridSpec, Field(strict=False, description="voxel grid of the network's input, mm and voxels")]
    network: Annotated[NetworkSpec, Field(strict=False)]
    modality: Annotated[str, Field(pattern="^[A-Z]{2,4}$")] = Field(description="DICOM modality")
    window: Annotated[tuple[Finite, Finite] | None, Field(strict=False)] = Field(
        description="[low, high] of grey values that become 0 and 1; null: from percentiles"
    )
    largest_component: bool = Field(description="whether only the largest piece of a structure is kept")
    structures: Annotated[list[CardStructure], Field(min_length=1, max_length=10_000)]
    enlarges: bool = Field(False, description="whether small volumes are enlarged; version 0.1.0 does not say")
    mirrors: bool = Field(True, description="whether predictions are averaged over mirrored copies; 0.1.0 always does")

    @model_validator(mode="after")
    def _window_has_width(self) -> Self:
        if self.window and not self.window[0] < self.window[1]:
            raise ValueError("a window that ends before it begins")
        return self

    @property
    def origin(self) -> ModelOrigin:
        """The part that says where the model comes from."""
        described = ModelCard.model_fields.keys() - ModelOrigin.model_fields.keys()
        return ModelOrigin.model_validate({key: value for key, value in content(self).items() if key not in described})
