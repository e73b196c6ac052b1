"""Determine how the stored values of each frame become modality values: rescale, table or real-world value map.

Every reader applies the rescale (PS3.3 C.11.1). A map that repeats it adds nothing. If there is no rescale, or an
identity, a single map is applied. Beside any other rescale a map is of another quantity: it is not read, and a note
says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.dicom.frames import FrameAttributes
from xmed.io.dicom.header import Header
from xmed.io.dicom.instance import Instance
from xmed.io.notes import add_note

_MACRO = "RealWorldValueMappingSequence"
LinearScale = tuple[float, float]


@dataclass(frozen=True)
class RealWorldMap:
    """One map of a frame.

    Attributes:
        line: Slope and intercept, or None for a table.
        table: Values of a table; its first entry belongs to `first`.
        first: First stored value that is mapped.
        last: Last stored value that is mapped.
        unit: Code of the unit.
    """

    line: LinearScale | None
    table: tuple[float, ...]
    first: float
    last: float
    unit: str

    def applied(self, stored: np.ndarray, name: str) -> np.ndarray:
        """Return real-world values as float32.

        Raises:
            XmedError: RESCALE_INVALID if the map does not cover all stored values.
        """
        low, high = float(stored.min()), float(stored.max())
        whole = self.last - self.first + 1
        if not (self.first <= low and high <= self.last) or (self.line is None and len(self.table) != whole):
            raise _invalid(f"{name} has stored values {low:g} to {high:g}, mapped are {self.first:g} to {self.last:g}")
        if self.line is not None:
            return (stored * np.float64(self.line[0]) + self.line[1]).astype(np.float32)
        return np.array(self.table)[stored.astype(np.int64) - int(self.first)].astype(np.float32)


def real_world_maps(header: Header, count: int) -> list[list[RealWorldMap]]:
    """Return the distinct maps of every frame, from its own functional group, the shared one, or the data set.

    Args:
        header: The header.
        count: Number of frames.

    Raises:
        XmedError: RESCALE_INVALID for an invalid map.
    """
    if _MACRO not in header and "SharedFunctionalGroupsSequence" not in header:
        return [[]] * count
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or ()), Dataset())
    common = _distinct_maps(shared.get(_MACRO) or header.get(_MACRO) or ())
    per_frame = [
        _distinct_maps(groups.get(_MACRO) or ()) for groups in header.get("PerFrameFunctionalGroupsSequence") or ()
    ]
    return [frame_maps or common for frame_maps in per_frame] if len(per_frame) == count else [common] * count


def repeats_rescale(maps: Sequence[RealWorldMap], line: LinearScale) -> bool:
    """Return whether one of the maps has the slope and intercept of the rescale."""
    return any(
        real_world_map.line is not None and np.allclose(real_world_map.line, line, rtol=1e-6, atol=1e-9)
        for real_world_map in maps
    )


def _distinct_maps(items: Sequence[Dataset]) -> list[RealWorldMap]:
    return list(dict.fromkeys(map(_parse_map, items)))


def _parse_map(item: Dataset) -> RealWorldMap:
    code = next(iter(item.get("MeasurementUnitsCodeSequence") or ()), Dataset())
    table = item.get("RealWorldValueLUTData")
    several = isinstance(table, Sequence) and not isinstance(table, bytes)
    numbers = tuple(_number(n) for n in (table if several else [] if table is None else [table]))
    line = None if numbers else (_number(item.get("RealWorldValueSlope")), _number(item.get("RealWorldValueIntercept")))
    if line is not None and line[0] == 0:
        raise _invalid("a real-world map of slope 0")
    ends = [
        _number(item.get(f"RealWorldValue{end}ValueMapped", item.get(f"DoubleFloatRealWorldValue{end}ValueMapped")))
        for end in ("First", "Last")
    ]
    return RealWorldMap(line, numbers, ends[0], ends[1], str(code.get("CodeValue") or ""))


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise _invalid("a real-world map with an invalid number")
    return number


def _invalid(what: str) -> XmedError:
    return XmedError("RESCALE_INVALID", what, "one finite line or table for all stored values (PS3.3 C.7.6.16.2.11)")


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
