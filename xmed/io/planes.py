"""Plane: where one frame lies, from a single-frame image or from the functional groups of a multi-frame one."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.instance import Instance

PLAUSIBLE_SPACING_MM = (0.01, 20.0)
UNIT_TOLERANCE = 1e-4  # on lengths and on the dot product of the two directions; dicom-numpy takes the same
_ROOT = [
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleSlope",
    "RescaleIntercept",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "EchoTime",
]
"""Attributes that stand in the data set itself where it has no functional groups."""
_VOLUME = ["TemporalPositionIdentifier", "TemporalPositionIndex", "DiffusionBValue", "EchoTime", "EffectiveEchoTime"]


@dataclass(frozen=True, eq=False)
class Plane:
    """One frame in space (PS3.3 C.7.6.2.1.1), in mm.

    position: (3,) centre of the first pixel. row: (3,) unit vector along which the column index grows.
    column: (3,) unit vector along which the row index grows. spacing: between rows, between columns (PS3.3 10.7.1.3).
    size: rows, columns. depth: thickness of the slice as the header states it, or None. frame: frame of reference.
    volume: what tells the volumes of a 4-D series apart. owner, number: whose frame it is, and which, both from 0.
    """

    position: np.ndarray
    row: np.ndarray
    column: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]
    depth: float | None
    frame: str | None
    volume: tuple[tuple[str, str], ...]
    owner: int
    number: int

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.row, self.column)


def frame_attributes(dataset: Dataset) -> list[Mapping[str, Any]]:
    """For every frame its attributes by keyword: its own functional groups, then the shared ones, then the data set.

    The functional groups (PS3.3 C.7.6.16) are flattened: no keyword read here stands in two of them.
    """
    shared = _flat((dataset.get("SharedFunctionalGroupsSequence") or [None])[0])
    own = [_flat(groups) for groups in dataset.get("PerFrameFunctionalGroupsSequence") or ()]
    count = int(dataset.get("NumberOfFrames") or 1)
    if own and len(own) != count:
        raise XmedError("PIXEL_MODULE", f"{count} frames with {len(own)} functional groups", "one group for each frame")
    root = {keyword: dataset[keyword].value for keyword in _ROOT if keyword in dataset}
    return [ChainMap(mine, shared, root) for mine in own or [{} for _ in range(count)]]


def planes_of(instance: Instance, owner: int = 0) -> list[Plane]:
    """Where each frame of an image lies.

    Patient coordinates, or those of the volume for an Enhanced US Volume (PS3.3 C.8.24.3), whose frame of reference is
    then the Volume Frame of Reference.

    Raises XmedError NO_GEOMETRY, IOP_INVALID, SPACING_INVALID, PIXEL_MODULE.
    """
    attributes = frame_attributes(instance.dataset)
    return [_plane(instance, frame, owner, number) for number, frame in enumerate(attributes)]


def has_planes(instance: Instance) -> bool:
    """Whether the image says where its frames lie."""
    first = frame_attributes(instance.dataset)[0]
    return any(first.get(keyword) for keyword in ("ImagePositionPatient", "ImagePositionVolume"))


def _plane(instance: Instance, frame: Mapping[str, Any], owner: int, number: int) -> Plane:
    space = "Volume" if frame.get("ImagePositionVolume") else "Patient"
    position = _numbers(frame.get(f"ImagePosition{space}"), 3)
    orientation = _numbers(frame.get(f"ImageOrientation{space}"), 6)
    if position is None or orientation is None:
        missing = "Position" if position is None else "Orientation"
        raise XmedError("NO_GEOMETRY", f"{instance.name} has no Image {missing}", "a place for every frame in space")
    row, column = orientation[:3], orientation[3:]
    worst = max(abs(np.linalg.norm(row) - 1), abs(np.linalg.norm(column) - 1), abs(row @ column))
    if not worst <= UNIT_TOLERANCE:
        raise XmedError(
            "IOP_INVALID",
            f"{instance.name} has Image Orientation {orientation.tolist()}",
            "two orthogonal unit vectors",
        )
    dataset = instance.dataset
    uid = dataset.get("VolumeFrameOfReferenceUID") if space == "Volume" else None
    return Plane(
        position=position,
        row=row,
        column=column,
        spacing=_spacing(frame, instance.name),
        size=(int(dataset.Rows), int(dataset.Columns)),
        depth=_depth(frame),
        frame=str(uid or dataset.get("FrameOfReferenceUID") or "") or None,
        volume=_volume(frame),
        owner=owner,
        number=number,
    )


def _spacing(frame: Mapping[str, Any], name: str) -> tuple[float, float]:
    spacing = _numbers(frame.get("PixelSpacing"), 2)
    low, high = PLAUSIBLE_SPACING_MM
    if spacing is None or not ((spacing >= low) & (spacing <= high)).all():
        stated = "none" if spacing is None else spacing.tolist()
        raise XmedError("SPACING_INVALID", f"{name} has Pixel Spacing {stated}", f"two values of {low} to {high} mm")
    return float(spacing[0]), float(spacing[1])


def _depth(frame: Mapping[str, Any]) -> float | None:
    low, high = PLAUSIBLE_SPACING_MM
    for keyword in ("SliceThickness", "SpacingBetweenSlices"):
        stated = _numbers(frame.get(keyword), 1)
        if stated is not None and low <= stated[0] <= high:
            return float(stated[0])
    return None


def _volume(frame: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    stated = ((keyword, _numbers(frame.get(keyword), 1)) for keyword in _VOLUME)
    return tuple((keyword, f"{number[0]:.6g}") for keyword, number in stated if number is not None)


def _flat(groups: Dataset | None) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for macro in groups or ():
        for item in macro.value if macro.VR == "SQ" else ():
            flat |= {element.keyword: element.value for element in item}
    return flat


def _numbers(value: Any, count: int) -> np.ndarray | None:
    """`value` as that many finite numbers, or None when it is anything else."""
    try:
        numbers = np.array([float(n) for n in (value if isinstance(value, Sequence) else [value])])
    except (TypeError, ValueError):
        return None
    return numbers if numbers.shape == (count,) and np.isfinite(numbers).all() else None
