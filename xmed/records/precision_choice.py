"""Precision choices: precision.json of a home, which arithmetic is faster on this machine for which network."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from xmed.records.record import Number, Record


class PrecisionChoice(Record):
    """One measurement: a network on a device, in float32 and in bfloat16."""

    precision: str = Field(description="float32 or bfloat16: what is used")
    reason: str = Field(description="measured, or the variable that states it")
    step: str = Field(description="training (forward and backward) or prediction (forward)")
    network: str = Field(description="name and widths")
    spatial_dims: int = Field(description="2 or 3")
    device: str = Field(description="name of the GPU or processor")
    threads: int = Field(description="threads of torch")
    torch: str = Field(description="version")
    float32_ms: Number | None = Field(None, description="least time of a step, ms")
    bfloat16_ms: Number | None = Field(None, description="least time of a step, ms")

    @property
    def is_bfloat16(self) -> bool:
        """Whether it computes in bfloat16."""
        return self.precision == "bfloat16"


class PrecisionChoices(Record):
    """precision.json of a home. Deleting it makes xmed measure again."""

    FILE: ClassVar[str] = "precision.json"
    choices: dict[str, PrecisionChoice] = Field(default={}, description="sha256 of all that a measurement depends on")
