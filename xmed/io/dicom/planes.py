"""Determine where each frame lies in space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from xmed.errors import XmedError
from xmed.io.dicom.frames import VOLUME_KEYWORDS, FrameAttributes
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.mosaic import Mosaic, detect_mosaic

PLAUSIBLE_SPACING_MM = (0.01, 20.0)
UNIT_TOLERANCE = 1e-4  # of lengths and of the dot product; the same as in dicom-numpy


@dataclass(frozen=True, eq=False)
class Plane:
    """The position of one frame (PS3.3 C.7.6.2.1.1), in mm.

    Attributes:
        position: Centre of the first pixel, (3,).
        row: Unit vector (3,) along which the column index grows.
        column: Unit vector (3,) along which the row index grows.
        spacing: Distance between rows, and between columns (PS3.3 10.7.1.3).
        size: Number of rows and columns.
        thickness: Slice thickness as the header states it, or None.
        frame: Frame of Reference UID, or None.
        volume_key: Attributes that distinguish the volumes of a 4-D series, with their values.
        attributes: All attributes of the frame.
        instance_index: Index of the file in its series.
        frame_index: Index of the frame in its file.
    """

    position: np.ndarray
    row: np.ndarray
    column: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]
    thickness: float | None
    frame: str | None
    volume_key: tuple[tuple[str, str], ...]
    attributes: FrameAttributes
    instance_index: int
    frame_index: int

    @property
    def normal(self) -> np.ndarray:
        """Unit vector (3,): row × column."""
        return np.cross(self.row, self.column)


def read_planes(instance: Instance, owner: int = 0) -> list[Plane]:
    """Return where each frame of an image lies.

    Coordinates are those of the patient, or for an Enhanced US Volume those of the volume (PS3.3 C.8.24.3); the frame
    of reference is then the Volume Frame of Reference.

    Args:
        instance: The image.
        owner: Index of the file in its series.

    Raises:
        XmedError: NO_GEOMETRY, IOP_INVALID, SPACING_INVALID, PIXEL_MODULE.
    """
    attributes = instance.frames
    planes = [_plane(instance, frame, owner, number) for number, frame in enumerate(attributes)]
    mosaic = detect_mosaic(instance.header, instance.name)
    return planes if mosaic is None else _mosaic_planes(planes[0], mosaic)


def has_planes(instance: Instance) -> bool:
    """Return whether the image states where its frames lie."""
    first = instance.frames[0]
    return any(first.get(keyword) for keyword in ("ImagePositionPatient", "ImagePositionVolume"))


def _plane(instance: Instance, frame: FrameAttributes, owner: int, number: int) -> Plane:
    volume = frame.get("ImagePositionVolume") and instance.header.get("VolumeFrameOfReferenceUID")
    space = "Volume" if volume or not frame.get("ImagePositionPatient") else "Patient"
    position = _numbers(frame.get(f"ImagePosition{space}"), 3)
    orientation = _numbers(frame.get(f"ImageOrientation{space}"), 6)
    if position is None or orientation is None:
        missing = "Position" if position is None else "Orientation"
        what = f"{instance.name} ({instance.kind}) has no Image {missing}"
        do = "projections and photographs have none, and are not read" if position is None is orientation else ""
        raise XmedError("NO_GEOMETRY", what, "a position in space for every frame", do)
    directions = _directions(orientation)
    if directions is None:
        raise XmedError(
            "IOP_INVALID", f"{instance.name} has Image Orientation {list(orientation)}", "two orthogonal unit vectors"
        )
    header = instance.header
    uid = header.get("VolumeFrameOfReferenceUID") if space == "Volume" else None
    return Plane(
        position=np.array(position),
        row=directions[0],
        column=directions[1],
        spacing=_pixel_spacing(frame, instance.name),
        size=(int(header["Rows"]), int(header["Columns"])),
        thickness=_slice_thickness(frame),
        frame=str(uid or header.get("FrameOfReferenceUID") or "") or None,
        volume_key=_volume_key(frame),
        attributes=frame,
        instance_index=owner,
        frame_index=number,
    )


def _mosaic_planes(square: Plane, mosaic: Mosaic) -> list[Plane]:
    """Return the planes of a mosaic's slices. Its Image Position is that of a square centred on the first slice."""
    rows, columns = (n // mosaic.tiles_per_row for n in square.size)
    down, along = ((whole - own) / 2 * mm for whole, own, mm in zip(square.size, (rows, columns), square.spacing))
    corner = square.position + down * square.column + along * square.row
    step = _slice_thickness(square.attributes, ("SpacingBetweenSlices", "SliceThickness"))
    if step is None:
        raise XmedError("SPACING_INVALID", "a mosaic without slice distance", "Spacing Between Slices of 0.01 to 20 mm")
    weighting = () if mosaic.b_value is None else (("DiffusionBValue", f"{mosaic.b_value:.6g}"),)
    return [
        replace(
            square,
            position=corner + k * step * mosaic.normal,
            size=(rows, columns),
            thickness=step,
            volume_key=tuple({**dict(weighting), **dict(square.volume_key)}.items()),
            frame_index=k,
        )
        for k in range(mosaic.count)
    ]


def _pixel_spacing(frame: FrameAttributes, name: str) -> tuple[float, float]:
    spacing = _numbers(frame.get("PixelSpacing"), 2)
    low, high = PLAUSIBLE_SPACING_MM
    if spacing is None or not all(low <= mm <= high for mm in spacing):
        stated = "none" if spacing is None else list(spacing)
        raise XmedError("SPACING_INVALID", f"{name} has Pixel Spacing {stated}", f"two values of {low} to {high} mm")
    return spacing[0], spacing[1]


def _slice_thickness(
    frame: FrameAttributes, keywords: Sequence[str] = ("SliceThickness", "SpacingBetweenSlices")
) -> float | None:
    low, high = PLAUSIBLE_SPACING_MM
    for keyword in keywords:
        stated = _numbers(frame.get(keyword), 1)
        if stated is not None and low <= stated[0] <= high:
            return stated[0]
    return None


def _volume_key(frame: FrameAttributes) -> tuple[tuple[str, str], ...]:
    key = []
    for keyword in VOLUME_KEYWORDS:
        count, digits = (3, 4) if keyword == "DiffusionGradientOrientation" else (1, 6)
        numbers = _numbers(frame.get(keyword), count)
        if numbers is not None:
            key.append((keyword, " ".join(f"{round(n, digits) + 0.0:.12g}" for n in numbers)))
    return tuple(key)


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Return `value` as `count` finite numbers, or None if it is anything else."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    if value is None or (len(value) if several else 1) != count:
        return None
    try:
        numbers = tuple(map(float, value)) if several else (float(value),)
    except (TypeError, ValueError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


@lru_cache(maxsize=256)
def _directions(orientation: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the row and column vectors, or None if they are invalid. Slices with equal values share the arrays."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    row.flags.writeable = column.flags.writeable = False
    worst = max(abs(np.linalg.norm(row) - 1), abs(np.linalg.norm(column) - 1), abs(row @ column))
    return (row, column) if worst <= UNIT_TOLERANCE else None
