"""Determine how the stored values of each frame become modality values: rescale, table or real-world value map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmed.errors import XmedError
from xmed.io.dicom.frames import FrameAttributes
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.real_world_values import LinearScale, RealWorldMap, real_world_maps, repeats_rescale
from xmed.io.notes import add_note


@dataclass(frozen=True)
class Scaling:
    """The scaling of the frames of one file.

    Attributes:
        lines: Rescale slope and intercept of each frame.
        maps: Distinct real-world value maps of each frame.
        table: Whether a Modality LUT replaces the rescale.
    """

    lines: Sequence[LinearScale]
    maps: Sequence[Sequence[RealWorldMap]]
    table: bool

    @property
    def additional_maps(self) -> list[RealWorldMap]:
        """The maps that differ from the rescale."""
        frames = zip(self.maps, self.lines)
        return [
            real_world_map
            for maps, line in frames
            for real_world_map in maps
            if self.table or not repeats_rescale(maps, line)
        ]

    @property
    def uses_map(self) -> bool:
        """Whether real-world value maps are applied: there are some, and the rescale is the identity."""
        return not self.table and all(line == (1, 0) for line in self.lines) and bool(self.additional_maps)

    def map_relation(self, number: int) -> tuple[Any, ...]:
        """Return how the maps of a frame relate to its values; equal in all slices of one quantity."""
        maps, (slope, intercept) = self.maps[number], self.lines[number]
        if self.uses_map:
            return tuple((real_world_map.unit, "1", "0") for real_world_map in maps)
        lines = [(real_world_map, real_world_map.line or (0.0, 0.0)) for real_world_map in maps]
        return tuple(
            (real_world_map.unit, f"{s / slope:.5g}", f"{i - intercept * s / slope:.5g}", *real_world_map.table)
            for real_world_map, (s, i) in lines
        )


def read_scaling(instance: Instance) -> Scaling:
    """Return the scaling of an image.

    Raises:
        XmedError: RESCALE_INVALID for an invalid rescale or map, or for several maps of which none can be chosen.
    """
    header, name = instance.header, instance.name
    lines = [_rescale_of(attributes, name) for attributes in instance.frames]
    table = "ModalityLUTSequence" in header and bool(header.get("ModalityLUTSequence"))
    scaling = Scaling(lines, real_world_maps(header, len(lines)), table)
    if not scaling.additional_maps:
        return scaling
    units = ", ".join(sorted({real_world_map.unit or "no unit" for real_world_map in scaling.additional_maps}))
    if not scaling.uses_map:
        add_note(
            "REAL_WORLD", f"real-world values in {units} are defined in addition to the rescale: they were not read"
        )
        return scaling
    if any(len(frame_maps) != 1 for frame_maps in scaling.maps):
        raise XmedError("RESCALE_INVALID", f"{name} has several real-world maps ({units}), or some frames have none",
                        "one map, or a rescale that one of them repeats", "export one quantity")  # fmt: skip
    if instance.modality == "PT":
        raise XmedError("RESCALE_INVALID", f"{name}: rescale and real-world map contradict each other",
                        "equal ones in PET")  # fmt: skip
    add_note("REAL_WORLD", f"stored values became {units} by the real-world map of the header")
    return scaling


def apply_real_world_maps(stored: np.ndarray, scaling: Scaling, padding: np.ndarray | None, name: str) -> np.ndarray:
    """Return real-world values of every frame as float32; padding gets an arbitrary value."""
    if padding is not None and not padding.all():
        stored = np.where(padding, stored[~padding].flat[0], stored)
    return np.stack([frame_maps[0].applied(frame, name) for frame_maps, frame in zip(scaling.maps, stored)])


def _rescale_of(attributes: FrameAttributes, name: str) -> LinearScale:
    """Return rescale slope and intercept of a frame."""
    try:
        slope, intercept = (float(attributes.get(f"Rescale{key}", d)) for key, d in (("Slope", 1), ("Intercept", 0)))
    except (TypeError, ValueError):
        slope = intercept = math.nan
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        raise XmedError(
            "RESCALE_INVALID",
            f"{name} has rescale slope {slope}, intercept {intercept}",
            "finite numbers, and a slope other than 0",
        )
    return slope, intercept
