"""Determine when images were taken, and assign those of each position to volumes that follow each other in time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from xmed.io.dicom.clock import parse_utc_offset
from xmed.io.dicom.frames import FrameAttributes
from xmed.io.dicom.planes import Plane

DATE_ATTRIBUTE = {
    "FrameAcquisitionDateTime": None,
    "FrameReferenceDateTime": None,
    "AcquisitionDateTime": None,
    "AcquisitionTime": "AcquisitionDate",
    "ContentTime": "ContentDate",
}
"""Attributes that state a time. For a time of day, the attribute with its date."""
MAX_SCAN_DURATION = timedelta(hours=12)
"""No series takes longer. Times of one day that differ by more lie on two days, and the header does not say which."""
_NO_DAY = "20000101"
_DT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})?(\d{2})?(?:\.(\d+))?([+-]\d{4})?")
RELATIVE = ("NominalCardiacTriggerDelayTime", "TriggerTime")
"""Time since a heart beat: slices that were taken in other beats have other times at the same phase."""
KEYWORDS = (
    *RELATIVE,
    "TemporalPositionTimeOffset",
    "FrameReferenceTime",
    "FrameAcquisitionNumber",
    "AcquisitionNumber",
    *DATE_ATTRIBUTE,
    "InstanceNumber",
)
"""Attributes that grow from one image of a position to the next, and may also differ between slices."""
WRITTEN = ("ContentTime",)
"""When images were written, which is not when they were acquired."""
MAX_PHASE_RATIO = 2.0
"""The phases of a heart beat are equally long. If one gap is longer than another by more than this factor, several
beats are mixed.
"""
OrderedImages = list[list[Plane]]
"""For each position its images, in order."""


def image_times(planes: Sequence[Plane], keyword: str) -> list[datetime] | None:
    """Return the time of each image by an attribute.

    Times are not comparable if only some of them state a date or a time zone (PS3.5 6.2; Timezone Offset From UTC,
    PS3.3 C.12.1.1.8), or if all have the same date or none and differ by more than MAX_SCAN_DURATION, which means that
    the scan passed midnight.

    Args:
        planes: The images.
        keyword: A key of DATE_ATTRIBUTE.

    Returns:
        The times, or None if one is missing or they are not comparable.
    """
    day_keyword = DATE_ATTRIBUTE[keyword]
    times: list[datetime] = []
    for plane in planes:
        moment = _image_time(plane.attributes, keyword, day_keyword)
        if moment is None:
            return None
        times.append(moment)
    dated = {bool(day_keyword is None or plane.attributes.get(day_keyword)) for plane in planes}
    if len(dated) > 1 or len({moment.tzinfo is None for moment in times}) > 1:
        return None
    same_day = len({moment.date() for moment in times}) == 1
    return None if same_day and max(times) - min(times) > MAX_SCAN_DURATION else times


def _image_time(attributes: FrameAttributes, keyword: str, day_keyword: str | None) -> datetime | None:
    text = str(attributes.get(keyword) or "").strip()
    if not text:
        return None
    if day_keyword is not None:  # ACR-NEMA wrote 2024.01.02 and 10:00:00, which PS3.5 6.2 allows
        text = str(attributes.get(day_keyword) or _NO_DAY).strip().replace(".", "") + text.replace(":", "")
    return _parse_datetime(text, str(attributes.get("TimezoneOffsetFromUTC") or "").strip())


@lru_cache(maxsize=4096)
def _parse_datetime(text: str, zone: str) -> datetime | None:
    """Parse a DT value (PS3.5 6.2), in `zone` if it states none; None if it is invalid or has no hour."""
    match = _DT.fullmatch(text)
    if match is None:
        return None
    *numbers, fraction, own = match.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
    offset = parse_utc_offset(own or zone)
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59))  # 60: a leap second
    except ValueError:
        return None
    moment += timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6]))
    return moment if offset is None else moment.replace(tzinfo=timezone(offset))


def order_by_time(groups: Sequence[Sequence[Plane]]) -> dict[str, list[Plane]] | None:
    """Return the volumes by name, if every position has equally many images; None if no attribute orders them.

    An attribute is used only if it orders the images in the same way at every position. Attributes with the same values
    at all positions have priority. Otherwise values must grow volume by volume, or position by position. If two
    attributes of the same priority contradict each other, neither is used, except that time since a heart beat yields
    to every other one. The time when images were written is used last.

    Args:
        groups: The images at each position.
    """
    orders = {keyword: ranked for keyword in KEYWORDS if (ranked := _order_images(groups, keyword)) is not None}
    same = [keyword for keyword, ranked in orders.items() if _same_values(ranked, keyword)]
    acquired = [keyword for keyword in orders if keyword not in WRITTEN]
    for keywords in (same, acquired, list(orders)):
        if keywords:
            keyword = _agreed_keyword(orders, keywords)
            return None if keyword is None else _named(orders[keyword], keyword)
    return None


def _agreed_keyword(orders: dict[str, OrderedImages], keywords: Sequence[str]) -> str | None:
    """Return the first keyword if all keywords group the images in the same way."""
    groupings = {keyword: _grouping(orders[keyword]) for keyword in keywords}
    if len(set(groupings.values())) > 1:
        groupings = {keyword: grouping for keyword, grouping in groupings.items() if keyword not in RELATIVE}
    return next(iter(groupings)) if len(set(groupings.values())) == 1 else None


def _named(ranked: OrderedImages, keyword: str) -> dict[str, list[Plane]]:
    volumes = [list(volume) for volume in zip(*ranked)]
    names = [volume_name(volume, keyword) for volume in volumes]
    if len(set(names)) < len(names) and (day := DATE_ATTRIBUTE.get(keyword)):
        names = [f"{volume_name(volume, day)}, {name}" for volume, name in zip(volumes, names)]
    return dict(zip(unique_names(names), volumes))


def _same_values(ranked: OrderedImages, keyword: str) -> bool:
    """Return whether each volume has a single value."""
    return all(len({str(plane.attributes.get(keyword)) for plane in volume}) == 1 for volume in zip(*ranked))


def volume_name(volume: Sequence[Plane], keyword: str) -> str:
    """Return the keyword and its value; the lowest one if it differs between slices."""
    keys = (
        image_times(volume, keyword)
        if keyword in DATE_ATTRIBUTE
        else [_number(plane.attributes, keyword) for plane in volume]
    )
    first = volume[min(range(len(volume)), key=keys.__getitem__)] if keys else volume[0]
    value = first.attributes.get(keyword)
    return f"{keyword} {'none' if value is None else value_text(value)}"


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names, with a number behind repeated ones: when summer time ends, an hour occurs twice."""
    seen = Counter[str]()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return numbered


def value_text(value: Any) -> str:
    """Return a value as text; several values are separated by slashes."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "/".join(map(str, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value).strip()


def _grouping(ranked: OrderedImages) -> frozenset[frozenset[tuple[int, int]]]:
    """Return which images belong together, as pairs of file and frame index."""
    return frozenset(
        frozenset((plane.instance_index, plane.frame_index) for plane in volume) for volume in zip(*ranked)
    )


def _order_images(groups: Sequence[Sequence[Plane]], keyword: str) -> OrderedImages | None:
    """Return the images of each position in the order of an attribute, or None if the order is not consistent."""
    keys = _keys([plane for group in groups for plane in group], keyword)
    if keys is None:
        return None
    numbers = np.array(keys).reshape(len(groups), -1)
    order = np.argsort(numbers, axis=1, kind="stable")
    ordered = np.take_along_axis(numbers, order, axis=1)
    gaps = np.diff(ordered, axis=1)
    if not (gaps > 0).all():
        return None
    if keyword == "InstanceNumber":
        fits = _numbered_in_one_order(ordered)
    else:
        fits = bool((ordered == ordered[0]).all()) or _volume_by_volume(ordered) or _position_by_position(ordered)
        if keyword in RELATIVE:
            fits = fits or bool((gaps.max(axis=1) <= MAX_PHASE_RATIO * gaps.min(axis=1)).all())
    return [[group[n] for n in row] for group, row in zip(groups, order)] if fits else None


def _keys(planes: Sequence[Plane], keyword: str) -> list[float] | None:
    if keyword in DATE_ATTRIBUTE:
        if (at := image_times(planes, keyword)) is None:
            return None
        start = min(at)
        return [(moment - start).total_seconds() for moment in at]
    numbers = [_number(plane.attributes, keyword) for plane in planes]
    return numbers if np.isfinite(numbers).all() else None


def _number(attributes: FrameAttributes, keyword: str) -> float:
    try:
        return float(attributes.get(keyword))
    except (TypeError, ValueError):
        return np.inf


def _volume_by_volume(ordered: np.ndarray) -> bool:
    return all(a.max() < b.min() for a, b in pairwise(ordered.T))


def _position_by_position(ordered: np.ndarray) -> bool:
    rows = ordered[np.argsort(ordered[:, 0])]
    return all(a[-1] < b[0] for a, b in pairwise(rows))


def _numbered_in_one_order(ordered: np.ndarray) -> bool:
    """Return whether images are numbered volume by volume, or position by position, each time in the same order.

    Exports renumber images, so that anything weaker proves nothing.
    """
    one_order = (np.argsort(ordered, axis=0) == np.argsort(ordered[:, :1], axis=0)).all()
    return bool(one_order) and (_volume_by_volume(ordered) or _position_by_position(ordered))
