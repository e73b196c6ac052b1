"""Strict: what every part of a spec has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=200)]
"""Files are called by it, with endings; file systems hold 255 bytes."""
Count = Annotated[int, Field(ge=1, le=10_000_000)]
"""Steps, patients, pictures: more of anything would take years."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What NumPy and torch both take."""
Edge = Annotated[int, Field(ge=1, le=1 << 14)]
"""Voxels along one side; whole-body CT in half-millimetre slices has 4,000."""
Millimetres = Annotated[float, Field(ge=1e-3, le=1e3, allow_inf_nan=False)]
"""Of a grid that is resampled onto: from a micrometre to a metre."""
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Strict(BaseModel):
    """A part of a spec: unknown keys are errors, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
