"""Read a DICOM series as one Volume, or several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from xmed.errors import XmedError
from xmed.io.dicom.instance import Instance, has_undecodable_text, read_instances
from xmed.io.dicom.pixels import fill_padding, modality_values
from xmed.io.dicom.planes import Plane, has_planes, read_planes
from xmed.io.dicom.quantity import slice_factors
from xmed.io.dicom.regular_grid import affine_from_planes
from xmed.io.dicom.split_volumes import FrameValues, PlanesByVolume, split_volumes
from xmed.io.dicom.stated_sizes import check_pixel_size, compare_stack
from xmed.io.dicom.subject import check_series_identity, subject_digests
from xmed.io.dicom.ultrasound import read_ultrasound
from xmed.io.field_of_view import field_of_view
from xmed.io.file_kinds import Source, list_files, reader_errors
from xmed.io.notes import add_note, merge_similar_notes
from xmed.volume import Volume


def read_series(path: Source, volume: int | None = None, modality: str | None = None) -> Volume:
    """Read the one image series in a folder (recursively), a file or a list of files.

    Single-frame and multi-frame images, classic and enhanced objects, and Siemens mosaics are supported. Slices are
    sorted by position; Instance Number is not used. PET becomes SUV by body weight. Padding gets the lowest value.

    Args:
        path: Folder, file or list of files.
        volume: Which volume of a series with several (time points, b-values, echoes), from 0, in the order of
            `read_volumes`.
        modality: Which series to take if there are several. A single series is taken whatever its modality.

    Returns:
        Modality values of shape (i, j, k): column, row, slice. i runs along the row direction, j along the column
        direction, k along row × column. float32, or integers if no rescaling is needed. `frame` is the Frame of
        Reference UID; `fov` is set for ultrasound.

    Raises:
        XmedError: PATH_NOT_FOUND, EMPTY_FILE, NOT_DICOM, NON_IMAGE, DICOM_TRUNCATED, NO_GEOMETRY, SLICE_GAP,
            DUP_POSITION, IRREGULAR_SPACING, MIXED_* (MIXED_IDENTITY: several patients or scanners), MULTI_VOLUME,
            GANTRY_TILT, IOP_INVALID, SPACING_INVALID, RESCALE_INVALID, SUV_INVALID, SIZE_CLAIM, PIXEL_MODULE,
            TSUID_MISMATCH, US_NO_REGION, CONSTANT, DTYPE, READER_FAILED.
    """
    with merge_similar_notes():
        readers = volume_readers(select_series(path, modality))
        name = _choose_volume(readers, volume)
        if len(readers) > 1:
            taken = f"volume {list(readers).index(name)} of {len(readers)} in the series was taken: {name}"
            add_note("SEVERAL_VOLUMES", taken)
        return readers[name]()


def read_volumes(path: Source) -> dict[str, Volume]:
    """Read every volume of the one series at `path`.

    Args:
        path: Folder, file or list of files.

    Returns:
        Volumes by what distinguishes them, such as "DiffusionBValue 800"; the key is "" for a single one.

    Raises:
        XmedError: As `read_series`; MULTI_VOLUME only if no attribute distinguishes the volumes.
    """
    with merge_similar_notes():
        return {name: read() for name, read in volume_readers(select_series(path)).items()}


def select_series(path: Source, modality: str | None = None) -> list[Instance]:
    """Return the images of the one series at `path`, or of the only one with the given modality.

    Raises:
        XmedError: NOT_DICOM, NON_IMAGE, MIXED_SERIES.
    """
    location = Path(path).name if isinstance(path, str | Path) else "the list"
    instances = read_instances(list_files(path))
    if not instances:
        raise XmedError("NOT_DICOM", f"no DICOM object in {location}", "a DICOM series")
    others = sorted({instance.kind for instance in instances if not instance.is_image})
    series = group_by_series(instance for instance in instances if instance.is_image)
    if not series:
        raise XmedError("NON_IMAGE", f"{location} holds only {', '.join(others)}", "an image series")
    if others:
        add_note("NON_IMAGE", f"ignored beside the images: {', '.join(others)}")
    of_modality = [group for group in series.values() if group[0].modality == modality]
    if len(series) > 1 and len(of_modality) == 1:
        add_note("OTHER_SERIES", f"{len(series) - 1} series of other modalities were ignored")
        return of_modality[0]
    if len(series) > 1:
        sizes = ", ".join(f"{group[0].modality} of {len(group)}" for group in series.values())
        raise XmedError(
            "MIXED_SERIES", f"{len(series)} series in {location} ({sizes})", "one series", "name its folder"
        )
    return next(iter(series.values()))


def group_by_series(instances: Iterable[Instance]) -> dict[str, list[Instance]]:
    """Group instances by Series Instance UID, in their order."""
    series: dict[str, list[Instance]] = {}
    for instance in instances:
        series.setdefault(instance.series, []).append(instance)
    return series


def volume_readers(instances: Sequence[Instance]) -> dict[str, Callable[[], Volume]]:
    """Return a function for each volume of a series that reads it.

    Args:
        instances: The images of a series.

    Returns:
        Functions by what distinguishes the volume; the key is "" for a single one.

    Raises:
        XmedError: As `read_series`. Errors of the whole series are raised here, those of a volume when it is read.
    """
    with reader_errors(f"a series of {len(instances)} files"):
        for instance in instances:
            check_pixel_size(instance)
        check_series_identity(instances)
        if has_undecodable_text(instances[0].header):
            add_note("CHARSET", "the header's text does not follow its character set; none of it is kept")
        if instances[0].modality == "US" and not any(has_planes(instance) for instance in instances):
            return {"": partial(_read_volume, instances, partial(_volume_without_position, instances))}
        values = _frame_values(instances)
        planes_by_volume = _volumes(instances, values)
    return {
        name: partial(
            _read_volume,
            instances,
            partial(_volume_in_space, instances, planes, values),
        )
        for name, planes in planes_by_volume.items()
    }


def _read_volume(instances: Sequence[Instance], read: Callable[[], Volume]) -> Volume:
    with reader_errors(f"a series of {len(instances)} files"):
        volume = read()
    if volume.array.min() == volume.array.max():
        raise XmedError("CONSTANT", f"every voxel is {volume.array.flat[0]}", "an image with content")
    return volume


def sorted_planes(instances: Sequence[Instance], volume: int | None = None) -> list[Plane]:
    """Return one plane for each position, ascending along the normal, without duplicates.

    Args:
        instances: The images of a series.
        volume: Which volume of several.

    Raises:
        XmedError: MULTI_VOLUME if several volumes exist and none is chosen, and the codes of `split_volumes`.
    """
    check_series_identity(instances)
    planes_by_volume = _volumes(instances, _frame_values(instances))
    return planes_by_volume[_choose_volume(planes_by_volume, volume)]


def _frame_values(instances: Sequence[Instance]) -> FrameValues:
    """Return a function from file index to frames.

    The last few files are cached, because the frames of files may alternate.
    """
    return lru_cache(maxsize=8)(lambda owner: modality_values(instances[owner]))


def _volumes(instances: Sequence[Instance], values: FrameValues) -> PlanesByVolume:
    return split_volumes([plane for n, instance in enumerate(instances) for plane in read_planes(instance, n)], values)


def _choose_volume(volumes: Mapping[str, object], volume: int | None) -> str:
    """Return the key of the chosen volume."""
    if volume is None and len(volumes) == 1:
        volume = 0
    if volume is not None and volume < len(volumes):
        return list(volumes)[volume]
    listing = " · ".join(f"{n}: {name}" for n, name in enumerate(list(volumes)[:12])) + (
        " …" if len(volumes) > 12 else ""
    )
    request = "" if volume is None else f", volume {volume} was requested"
    raise XmedError(
        "MULTI_VOLUME",
        f"{len(volumes)} volumes in one series ({listing}){request}",
        "one",
        "name it: layout.image_channel",
    )


def _volume_in_space(instances: Sequence[Instance], planes: Sequence[Plane], values: FrameValues) -> Volume:
    affine, block = affine_from_planes(planes), _stack_frames(planes, values)
    compare_stack(planes, float(abs(planes[0].normal @ affine[:3, 2])))
    scales = slice_factors(instances, planes)
    array = fill_padding(block if scales is None else block * scales[:, None, None]).transpose(2, 1, 0)
    modality = instances[0].modality
    fov = field_of_view(array) if modality == "US" else None
    return Volume(array, affine, planes[0].frame, modality, fov, subject_digests(instances[0].header))


def _stack_frames(planes: Sequence[Plane], values: FrameValues) -> np.ndarray:
    """Return the frames (slices, rows, columns) in a data type that holds all of them."""
    first = values(planes[0].instance_index)[planes[0].frame_index]
    block = np.empty((len(planes), *planes[0].size), dtype=first.dtype)
    for k, plane in enumerate(planes):
        picture = values(plane.instance_index)[plane.frame_index]
        if picture.dtype != block.dtype:
            whole = picture.dtype.kind != "f" and block.dtype.kind != "f"
            block = block.astype(np.result_type(picture, block) if whole else np.float32, copy=False)
        block[k] = picture
    return block


def _volume_without_position(instances: Sequence[Instance]) -> Volume:
    if len({instance.uid for instance in instances}) > 1:
        raise XmedError(
            "NO_GEOMETRY",
            f"{len(instances)} ultrasound images without a position in space",
            "one",
            "name a single file",
        )
    return read_ultrasound(instances[0])
