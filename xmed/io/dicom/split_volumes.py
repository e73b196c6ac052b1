"""Split the planes of one series into volumes: time points, b-values, echoes, cardiac phases, localisers.

Attributes that distinguish volumes are accepted only if each volume then has one image at each position. Instance
Number is used last, and only if it counts through the positions in one constant order, because exports renumber images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xmed.errors import XmedError
from xmed.io.dicom.acquisitions import split_acquisitions
from xmed.io.dicom.frames import VARIANT_KEYWORDS
from xmed.io.dicom.planes import Plane
from xmed.io.dicom.regular_grid import (
    check_one_grid,
    group_by_position,
    is_regular,
    same_directions,
    same_plane_geometry,
)
from xmed.io.dicom.temporal_order import order_by_time, value_text
from xmed.io.notes import add_note

FrameValues = Callable[[int], np.ndarray]
PlanesByVolume = dict[str, list[Plane]]


def split_volumes(planes: Sequence[Plane], values: FrameValues) -> PlanesByVolume:
    """Return the planes of every volume, ascending along the normal.

    Args:
        planes: All planes of a series.
        values: Function from file index to frames of shape (frames, rows, columns).

    Returns:
        Planes by what distinguishes the volume; the key is "" for a single one.

    Raises:
        XmedError: DUP_POSITION or MULTI_VOLUME for different images at one position that cannot be assigned to volumes,
            and the codes of `check_one_grid`.
    """
    planes_by_volume: PlanesByVolume = {}
    for scout, members in _without_scouts(planes).items():
        for stack, slices in _stacks(members).items():
            check_one_grid(slices)
            for key, group in _by_keys(slices).items():
                _check_mosaic_flags(group)
                for variant, volume in _one_image_each(group, values).items():
                    planes_by_volume[", ".join(word for word in (scout, stack, key, variant) if word)] = volume
    return planes_by_volume


def _stacks(planes: Sequence[Plane]) -> PlanesByVolume:
    """Separate the stacks of a multi-frame image (Stack ID, PS3.3 C.7.6.16.2.2) if their geometry differs."""
    if all(plane.size == planes[0].size and same_directions(plane, planes[0]) for plane in planes):
        return {"": list(planes)}
    stacks: PlanesByVolume = {}
    for plane in planes:
        stacks.setdefault(f"StackID {value_text(plane.attributes.get('StackID', 'none'))}", []).append(plane)
    return dict(sorted(stacks.items())) if len(stacks) > 1 else {"": list(planes)}


def _check_mosaic_flags(planes: Sequence[Plane]) -> None:
    """Refuse a series in which only some images are marked as mosaics."""
    mosaic_count = sum("MOSAIC" in (plane.attributes.get("ImageType") or ()) for plane in planes)
    if 0 < mosaic_count < len(planes):
        raise XmedError(
            "MULTI_VOLUME",
            f"{mosaic_count} of {len(planes)} slices are marked as mosaics (all slices in one image), others are not",
            "images of one kind",
            "check which of them belong together",
        )


def _without_scouts(planes: Sequence[Plane]) -> PlanesByVolume:
    """Leave out localisers beside other slices; of localisers alone, form one group for each orientation."""
    slices = [plane for plane in planes if not _is_scout(plane)]
    if slices and len(slices) < len(planes) and _make_one_stack(planes, slices):
        return {"": list(planes)}
    if slices:
        if len(slices) < len(planes):
            add_note("LOCALIZER", f"{len(planes) - len(slices)} localizer images in the series are left out")
        return {"": slices}
    groups: list[list[Plane]] = []
    for plane in planes:
        group_of_plane = next((group for group in groups if same_directions(plane, group[0])), None)
        if group_of_plane is None:
            groups.append([plane])
        else:
            group_of_plane.append(plane)
    return {f"orientation {n}" if len(groups) > 1 else "": group for n, group in enumerate(groups)}


def _make_one_stack(planes: Sequence[Plane], slices: Sequence[Plane]) -> bool:
    """Return whether all planes form one stack, in which those beside `slices` have positions of their own."""
    if not all(same_plane_geometry(plane, slices[0]) for plane in planes):
        return False
    own, joined = group_by_position(slices), group_by_position(planes)
    return len(joined) - len(own) == len(planes) - len(slices) and is_regular(planes)


def _is_scout(plane: Plane) -> bool:
    return any("LOCALIZER" in (plane.attributes.get(keyword) or ()) for keyword in ("ImageType", "FrameType"))


def _by_keys(planes: Sequence[Plane]) -> PlanesByVolume:
    """Group planes by the attributes that are constant within a volume, in ascending order of their values."""
    keys = [dict(plane.volume_key) for plane in planes]
    varying = [
        keyword for keyword in {k: None for key in keys for k in key} if len({key.get(keyword) for key in keys}) > 1
    ]
    groups: dict[tuple[str, ...], list[Plane]] = {}
    for plane, key in zip(planes, keys):
        groups.setdefault(tuple(key.get(keyword, "none") for keyword in varying), []).append(plane)
    named = {key: ", ".join(f"{k} {v}" for k, v in zip(varying, key)) for key in groups}
    return {named[key]: groups[key] for key in sorted(groups, key=_numeric_key)}


def _numeric_key(key: tuple[str, ...]) -> list[list[tuple[bool, float]]]:
    return [[(word == "none", 0.0 if word == "none" else float(word)) for word in value.split()] for value in key]


def _one_image_each(planes: Sequence[Plane], values: FrameValues) -> PlanesByVolume:
    """Return volumes with one image at each position."""
    groups = group_by_position(planes)
    if not any(_pictures_differ(group, values) for group in groups):
        copies = len(planes) - len(groups)
        if copies:
            add_note("DUPLICATE", f"{copies} images are repeated pixel by pixel: one of each is kept")
        return _split_interleaved("", [group[0] for group in groups], values)
    groups = [_without_copies(group, values) for group in groups]
    if len({len(group) for group in groups}) > 1:
        parts = split_acquisitions([plane for group in groups for plane in group])
        separated = None if parts is None else _split_each(parts, values)
    else:
        planes_by_volume = _by_variant(groups) or order_by_time(groups)
        # Positions with equally many images need not hold the same volumes
        if not planes_by_volume or any(split_acquisitions(volume) for volume in planes_by_volume.values()):
            planes_by_volume = split_acquisitions(planes) or planes_by_volume
        separated = None if planes_by_volume is None else _split_each(planes_by_volume, values)
    if separated is not None:
        return separated
    crowded = [group for group in groups if _pictures_differ(group, values)]
    if len(crowded) * 2 > len(groups):
        raise XmedError(
            "MULTI_VOLUME",
            f"up to {max(map(len, crowded))} images at each position,"
            " and no attribute that distinguishes their volumes",
            "one volume, or an attribute that distinguishes them",
            "split the series",
        )
    where = ", ".join(f"{group[0].position @ planes[0].normal:.2f}" for group in crowded[:8])
    raise XmedError("DUP_POSITION", f"different images at {where} mm along the normal", "one image per position")


def _split_each(parts: PlanesByVolume, values: FrameValues) -> PlanesByVolume:
    """Split each part further, and join the names."""
    planes_by_volume: PlanesByVolume = {}
    for name, part in parts.items():
        for variant, volume in _one_image_each(part, values).items():
            planes_by_volume[", ".join(word for word in (name, variant) if word)] = volume
    return planes_by_volume


def _split_interleaved(name: str, volume: list[Plane], values: FrameValues) -> PlanesByVolume:
    """Return a volume with one image at each position, or the acquisitions that alternate in it."""
    parts = split_acquisitions(volume)
    return {name: volume} if parts is None else _split_each(parts, values)


def _by_variant(groups: Sequence[Sequence[Plane]]) -> PlanesByVolume | None:
    """Group by the first attribute that has the same values at every position, each once."""
    for keyword in VARIANT_KEYWORDS:
        planes_by_value = [{_variant_key(plane.attributes.get(keyword)): plane for plane in group} for group in groups]
        if len(planes_by_value[0]) == len(groups[0]) and all(
            by_value.keys() == planes_by_value[0].keys() for by_value in planes_by_value
        ):
            return {
                f"{keyword} {value}": [by_value[number, value] for by_value in planes_by_value]
                for number, value in sorted(planes_by_value[0])
            }
    return None


def _without_copies(group: Sequence[Plane], values: FrameValues) -> list[Plane]:
    """Remove repeated images: same instance, same frame, same pixels."""
    different: list[Plane] = []
    for plane in group:
        same = [other for other in different if _instance_frame(other) == _instance_frame(plane)]
        if not any(not _pictures_differ([other, plane], values) for other in same):
            different.append(plane)
    return different


def _instance_frame(plane: Plane) -> tuple[str, int]:
    return str(plane.attributes.get("SOPInstanceUID")), plane.frame_index


def _pictures_differ(group: Sequence[Plane], values: FrameValues) -> bool:
    """Return whether planes at one position have different pixels; equal pixels are copies of a file."""
    pictures = (values(plane.instance_index)[plane.frame_index] for plane in group) if len(group) > 1 else iter(())
    first = next(pictures, None)
    return first is not None and any(not np.array_equal(first, other, equal_nan=True) for other in pictures)


def _variant_key(value: Any) -> tuple[float, str]:
    """Return a sort key: by number, otherwise by text."""
    try:
        return float(value), value_text(value)
    except (TypeError, ValueError):
        return 0.0, value_text(value)
