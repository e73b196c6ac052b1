"""DICOM series: instances, grouped by series and sorted by position, become one Volume or a reason why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from xmed.errors import XmedError
from xmed.io.files import Source, listed, reading
from xmed.io.fov import field_of_view
from xmed.io.instance import Instance, read_instances
from xmed.io.pixels import check_claim, filled, modality_values
from xmed.io.planes import Plane, has_planes, planes_of
from xmed.io.stack import affine_of, by_position, consistent
from xmed.io.ultrasound import read_ultrasound
from xmed.volume import Volume


def read_series(path: Source) -> Volume:
    """The one image series in a folder (searched below, too), a file or a list of files.

    Single-frame and multi-frame images, classic and enhanced. Axes (i, j, k) are (column, row, slice): i runs along the
    row direction, j along the column direction, k along their cross product by position; Instance Number is not read.
    Values are modality values, float32; padding gets the lowest value. `frame` is the Frame of Reference UID; `fov` is
    set for ultrasound.

    Raises XmedError PATH_NOT_FOUND, EMPTY_FILE, NOT_DICOM, NON_IMAGE, DICOM_TRUNCATED, NO_GEOMETRY, SLICE_GAP,
    DUP_POSITION, IRREGULAR_SPACING, MIXED_*, MULTI_VOLUME, GANTRY_TILT, IOP_INVALID, SPACING_INVALID, RESCALE_INVALID,
    SIZE_CLAIM, PIXEL_MODULE, TSUID_MISMATCH, US_NO_REGION, CONSTANT, DTYPE; READER_FAILED for what nobody foresaw.
    """
    return volume_of(one_series(path))


def one_series(path: Source) -> list[Instance]:
    """The instances of the one image series at `path`. Raises XmedError NOT_DICOM, NON_IMAGE, MIXED_SERIES."""
    where = Path(path).name if isinstance(path, str | Path) else "the list"
    found = read_instances(listed(path))
    if not found:
        raise XmedError("NOT_DICOM", f"no DICOM object in {where}", "a DICOM series")
    series = by_series(instance for instance in found if instance.is_image)
    if not series:
        kinds = ", ".join(sorted({instance.sop_class.name for instance in found}))
        raise XmedError("NON_IMAGE", f"{where} holds only {kinds}", "an image series")
    if len(series) > 1:
        sizes = ", ".join(f"{group[0].modality} of {len(group)}" for group in series.values())
        raise XmedError("MIXED_SERIES", f"{len(series)} series in {where} ({sizes})", "one series", "name its folder")
    return next(iter(series.values()))


def by_series(instances: Iterable[Instance]) -> dict[str, list[Instance]]:
    """Instances by Series Instance UID, in the order met."""
    series: dict[str, list[Instance]] = {}
    for instance in instances:
        series.setdefault(instance.series, []).append(instance)
    return series


def volume_of(instances: Sequence[Instance]) -> Volume:
    """The Volume that the instances of one series make. Raises as `read_series` does."""
    with reading(f"a series of {len(instances)} files"):
        for instance in instances:
            check_claim(instance)
            _refuse_mosaic(instance)
        if instances[0].modality == "US" and not any(has_planes(instance) for instance in instances):
            volume = _unplaced(instances)
        else:
            volume = _placed(instances)
    if volume.array.min() == volume.array.max():
        raise XmedError("CONSTANT", f"every voxel is {volume.array.flat[0]}", "an image with content")
    return volume


def sorted_planes(instances: Sequence[Instance], values: Callable[[int], np.ndarray] | None = None) -> list[Plane]:
    """One plane for each position, ascending along the normal; true duplicates are dropped.

    values: the frames of the instance at an index, when the caller has them decoded.

    Raises XmedError DUP_POSITION or MULTI_VOLUME for different images at one position, and as `consistent` does.
    """
    values = values or cache(lambda owner: modality_values(instances[owner]))
    planes = [plane for owner, instance in enumerate(instances) for plane in planes_of(instance, owner)]
    consistent(planes)
    groups = by_position(planes)
    crowded = [group for group in groups if _differ(group, values)]
    if len(crowded) * 2 > len(groups):
        most = max(map(len, crowded))
        raise XmedError("MULTI_VOLUME", f"up to {most} images at each position", "one volume", "split the series")
    if crowded:
        where = ", ".join(f"{group[0].position @ planes[0].normal:.2f}" for group in crowded[:8])
        raise XmedError("DUP_POSITION", f"different images at {where} mm along the normal", "one image per position")
    return [group[0] for group in groups]


def _differ(group: Sequence[Plane], values: Callable[[int], np.ndarray]) -> bool:
    """Whether planes at one position show different pictures; the same picture twice is a file that came twice."""
    pictures = (values(plane.owner)[plane.number] for plane in group) if len(group) > 1 else iter(())
    first = next(pictures, None)
    return first is not None and any(not np.array_equal(first, other, equal_nan=True) for other in pictures)


def _placed(instances: Sequence[Instance]) -> Volume:
    values = cache(lambda owner: modality_values(instances[owner]))
    planes = sorted_planes(instances, values)
    affine = affine_of(planes)
    block = np.stack([values(plane.owner)[plane.number] for plane in planes])
    array = filled(block).transpose(2, 1, 0)
    modality = instances[0].modality
    fov = field_of_view(array) if modality == "US" else None
    return Volume(array, affine, planes[0].frame, modality, fov)


def _unplaced(instances: Sequence[Instance]) -> Volume:
    if len({instance.uid for instance in instances}) > 1:
        raise XmedError(
            "NO_GEOMETRY", f"{len(instances)} ultrasound pictures without a place in space", "one", "name a single file"
        )
    return read_ultrasound(instances[0])


def _refuse_mosaic(instance: Instance) -> None:
    """Siemens packs the slices of a volume into one picture; as one slice it would be a wrong volume without a sign."""
    if "MOSAIC" in (instance.dataset.get("ImageType") or ()):
        raise XmedError(
            "MULTI_VOLUME",
            f"{instance.name} is a Siemens mosaic, all slices in one picture",
            "one picture per slice",
            "unpack it with the scanner's export or dcm2niix",
        )
