"""Strict: the base class of every part of a spec, and the types of its values."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=200)]
"""A name that can be used as a file name with an ending; file systems allow 255 bytes."""
Count = Annotated[int, Field(ge=1, le=10_000_000)]
"""A number of steps, patients or images."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed that NumPy and torch both accept."""
Edge = Annotated[int, Field(ge=1, le=1 << 14)]
"""Voxels along one axis; whole-body CT in half-millimetre slices has 4,000."""
Millimetres = Annotated[float, Field(ge=1e-3, le=1e3, allow_inf_nan=False)]
"""A length in mm, from a micrometre to a metre."""
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Share = Annotated[float, Field(gt=0, lt=1)]
"""A share strictly between 0 and 1."""


class Strict(BaseModel):
    """A part of a spec: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
