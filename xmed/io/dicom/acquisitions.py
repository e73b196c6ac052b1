"""Separate several acquisitions that were stored in one series and whose slices alternate along the normal.

Contrast phases, kernels or tube voltages of CT, and gates or bed positions of PET, may share a series with positions
half a step apart. Together they would look like one regular stack that shows two things in turn. MR acquires odd and
even slices one after the other on purpose: these belong together, whatever their acquisition numbers and times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from xmed.io.dicom.planes import Plane
from xmed.io.dicom.regular_grid import is_regular
from xmed.io.dicom.sop_classes import object_modality
from xmed.io.dicom.temporal_order import image_times, unique_names, value_text, volume_name
from xmed.io.notes import add_note

MIN_SLICES = 3
"""Fewest slices of an acquisition, because two slices are always regularly spaced."""
THICK_SLICE_RATIO = 1.5
"""Slice thickness divided by slice distance above which MR slices overlap, and are not interleaved packages."""
_MAX_PARTS = 12
"""Largest number of parts to try, so that a series with a different time in every slice does not take long."""
CONTENT_KEYWORDS = ("StackID", "FrameType", "ImageType", "ConvolutionKernel", "KVP", "ContrastBolusAgent")
"""Attributes of which different values mean different images, whenever they were taken."""
_FREE_TEXT = ("ContrastBolusAgent",)
"""Free text: only its presence is compared, not its content."""
_NUMBERS = ("FrameAcquisitionNumber", "AcquisitionNumber")
_TIMES = ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime")
Part = list[Plane]


def split_acquisitions(planes: Sequence[Plane]) -> dict[str, Part] | None:
    """Split a series into its acquisitions if it is certain that they are not one volume.

    It is certain if each part is regularly spaced by itself, the ranges of the parts overlap, and the parts differ in
    an attribute of CONTENT_KEYWORDS or in both number and time of acquisition. A different number alone is accepted
    with a note. MR that is regular as a whole is not split by numbers and times.

    Args:
        planes: The images of a series.

    Returns:
        The parts by name; None for a single volume. A doubtful case stays one volume, with a note.
    """
    whole = is_regular(planes)
    packages = whole and object_modality(planes[0].attributes) == "MR"
    for keyword in CONTENT_KEYWORDS:
        parts = _by_value(planes, keyword)
        if _ranges_overlap(parts) and _each_regular(parts):
            return _named(parts, keyword)
    for keyword in _NUMBERS:
        parts = _by_value(planes, keyword)
        if not _ranges_overlap(parts):
            continue
        if packages or not _each_regular(parts):
            _note_doubt(planes, parts, whole and (not packages or _slices_are_thick(planes)))
            return None
        if not _at_other_times(parts):
            add_note(
                "INTERLEAVED", f"slices of {len(parts)} acquisitions alternate: split by {keyword} alone, not by time"
            )
        return _named(parts, keyword)
    for keyword in (*_TIMES, "ContentTime"):
        for parts in _by_time(planes, keyword):
            if not (_ranges_overlap(parts) and _each_regular(parts)):
                continue
            if packages or (keyword == "ContentTime" and _have_acquisition_times(planes)):
                _note_doubt(planes, parts, not packages or _slices_are_thick(planes))
                return None
            return _named(parts, keyword)
    if whole and not packages and (numbered := _by_number(planes)):
        _note_doubt(planes, numbered, True)
    return None


def _note_doubt(planes: Sequence[Plane], parts: Sequence[Part], needs_note: bool) -> None:
    """Note a doubtful case."""
    if needs_note:
        add_note(
            "INTERLEAVED",
            f"{len(planes)} slices alternate between {len(parts)} passes, and the header does not show for certain"
            " whether they are one volume: kept as one",
        )


def _named(parts: Sequence[Part], keyword: str) -> dict[str, Part]:
    names = [f"{keyword} given" if _is_free_text(part, keyword) else volume_name(part, keyword) for part in parts]
    return dict(zip(unique_names(names), parts))


def _is_free_text(part: Part, keyword: str) -> bool:
    return keyword in _FREE_TEXT and bool(part[0].attributes.get(keyword))


def _by_value(planes: Sequence[Plane], keyword: str) -> list[Part]:
    """Group planes by the value of an attribute, in ascending order."""
    parts: dict[tuple[float, str], Part] = {}
    for plane in planes:
        value = plane.attributes.get(keyword)
        parts.setdefault(_sortable("given" if value and keyword in _FREE_TEXT else value), []).append(plane)
    return [parts[key] for key in sorted(parts)]


def _sortable(value: Any) -> tuple[float, str]:
    """Return a sort key for a value: missing first, then numbers, then text."""
    if value is None:
        return -np.inf, ""
    try:
        return float(value), value_text(value)
    except (TypeError, ValueError):
        return np.inf, value_text(value)


def _by_time(planes: Sequence[Plane], keyword: str) -> Iterator[list[Part]]:
    """Yield groupings in time: separated by the longest pauses; or each passing through the positions once."""
    at = image_times(planes, keyword)
    if at is None or len(set(at)) < 2:
        return
    start = min(at)
    seconds = np.array([(moment - start).total_seconds() for moment in at])
    order = np.argsort(seconds, kind="stable")
    pauses = np.diff(seconds[order])
    for pause in sorted(set(pauses[pauses > 0]), reverse=True)[:_MAX_PARTS]:
        yield _cut_at(planes, order, np.flatnonzero(pauses >= pause) + 1)
    yield from _passes_along_normal(planes, seconds)


def _by_number(planes: Sequence[Plane]) -> list[Part] | None:
    """Return the parts through which Instance Number passes one after the other, if each is regular."""
    try:
        numbers = np.array([float(plane.attributes["InstanceNumber"]) for plane in planes])
    except (KeyError, TypeError, ValueError):
        return None
    candidates = (
        parts for parts in _passes_along_normal(planes, numbers) if _ranges_overlap(parts) and _each_regular(parts)
    )
    return next(candidates, None)


def _passes_along_normal(planes: Sequence[Plane], keys: np.ndarray) -> Iterator[list[Part]]:
    """Yield groupings in the order of the keys; each part runs in one direction along the normal, up or down."""
    places = np.array([plane.position for plane in planes]) @ planes[0].normal
    for way in (1, -1):
        order = np.lexsort((way * places, keys))
        yield _cut_at(planes, order, np.flatnonzero(way * np.diff(places[order]) < 0) + 1)


def _cut_at(planes: Sequence[Plane], order: np.ndarray, at: np.ndarray) -> list[Part]:
    """Cut the ordered planes at these indices; return no parts if there are too many."""
    return [[planes[n] for n in part] for part in np.split(order, at)] if len(at) < _MAX_PARTS else []


def _ranges_overlap(parts: Sequence[Part]) -> bool:
    """Return whether the ranges of two parts overlap along the normal."""
    if len(parts) < 2:
        return False
    normal = parts[0][0].normal
    places = [[float(plane.position @ normal) for plane in part] for part in parts]
    ranges = sorted((min(along), max(along)) for along in places)
    return any(later[0] < earlier[1] for earlier, later in pairwise(ranges))


def _each_regular(parts: Sequence[Part]) -> bool:
    """Return whether every part has enough slices and is regularly spaced."""
    return all(len(part) >= MIN_SLICES and is_regular(part) for part in parts)


def _at_other_times(parts: Sequence[Part]) -> bool:
    """Return whether the acquisitions follow each other in time, by any attribute that states times."""
    for keyword in (*_TIMES, "ContentTime"):
        at = image_times([plane for part in parts for plane in part], keyword)
        if at is None:
            continue
        ends = np.cumsum([len(part) for part in parts])
        spans = sorted((min(part), max(part)) for part in (at[a:b] for a, b in pairwise([0, *ends])))
        if all(earlier[1] < later[0] for earlier, later in pairwise(spans)):
            return True
    return False


def _have_acquisition_times(planes: Sequence[Plane]) -> bool:
    """Return whether the images state when they were acquired; Content Time may be that of a reconstruction."""
    return any(image_times(planes, keyword) is not None for keyword in _TIMES)


def _slices_are_thick(planes: Sequence[Plane]) -> bool:
    """Return whether slices overlap their neighbours considerably."""
    places = sorted(float(plane.position @ planes[0].normal) for plane in planes)
    step = min((b - a for a, b in pairwise(places)), default=0.0)
    return planes[0].thickness is not None and step > 0 and planes[0].thickness > THICK_SLICE_RATIO * step
