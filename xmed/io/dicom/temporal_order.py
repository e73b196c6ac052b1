"""Temporal order: which images of one position belong to which volume, where they follow each other in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from xmed.io.dicom.acquisition_times import DATE_ATTRIBUTE, image_times
from xmed.io.dicom.planes import Plane

RELATIVE = ("NominalCardiacTriggerDelayTime", "TriggerTime")
"""Time since a heart beat: slices of other beats have other times at the same phase."""
KEYWORDS = (
    *RELATIVE,
    "TemporalPositionTimeOffset",
    "FrameReferenceTime",
    "FrameAcquisitionNumber",
    "AcquisitionNumber",
    *DATE_ATTRIBUTE,
    "InstanceNumber",
)
"""Attributes that grow from one image of a position to the next, and may differ from slice to slice as well."""
WRITTEN = ("ContentTime",)
"""When images were made, which is not when they were acquired."""
MAX_PHASE_RATIO = 2.0
"""The phases of a heart beat are equally long; where one gap is more than this times another, beats are mixed."""

OrderedImages = list[list[Plane]]
"""For each position its images, in order."""


def order_by_time(groups: Sequence[Sequence[Plane]]) -> dict[str, list[Plane]] | None:
    """The volumes, by name, of equally many images at each position; None where nothing tells them apart.

    A key tells them apart only where it does so at every position in one way. The surest has the same values at all of
    them; else values grow volume by volume, or position by position. Where two keys of one rank contradict each other
    about which images belong together, neither is believed, except that time since a heart beat gives way to every
    other; what says when images were written, not when they were acquired, is asked last.
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
    """The first of the keywords, where all of them put the same images together."""
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
    """Whether each volume has one value of its own."""
    return all(len({str(plane.attributes.get(keyword)) for plane in volume}) == 1 for volume in zip(*ranked))


def volume_name(volume: Sequence[Plane], keyword: str) -> str:
    """The keyword and its value; the lowest one, where it differs from slice to slice."""
    keys = (
        image_times(volume, keyword)
        if keyword in DATE_ATTRIBUTE
        else [_number(plane.attributes, keyword) for plane in volume]
    )
    first = volume[min(range(len(volume)), key=keys.__getitem__)] if keys else volume[0]
    value = first.attributes.get(keyword)
    return f"{keyword} {'none' if value is None else value_text(value)}"


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, a number behind those that came before: at the end of summer time an hour comes twice."""
    seen = Counter[str]()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return numbered


def value_text(value: Any) -> str:
    """A value as it stands in its tag; several of them with a stroke between."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "/".join(map(str, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value).strip()


def _grouping(ranked: OrderedImages) -> frozenset[frozenset[tuple[int, int]]]:
    """Which images stand together, by owner and frame."""
    return frozenset(
        frozenset((plane.instance_index, plane.frame_index) for plane in volume) for volume in zip(*ranked)
    )


def _order_images(groups: Sequence[Sequence[Plane]], keyword: str) -> OrderedImages | None:
    """The images of each position in the order of an attribute; None where it does not order them in one way."""
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


def _number(attributes: Mapping[str, Any], keyword: str) -> float:
    try:
        return float(attributes.get(keyword))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return np.inf


def _volume_by_volume(ordered: np.ndarray) -> bool:
    return all(a.max() < b.min() for a, b in pairwise(ordered.T))


def _position_by_position(ordered: np.ndarray) -> bool:
    rows = ordered[np.argsort(ordered[:, 0])]
    return all(a[-1] < b[0] for a, b in pairwise(rows))


def _numbered_in_one_order(ordered: np.ndarray) -> bool:
    """Whether images are numbered volume by volume, or position by position, each time in the same order.

    Exports renumber images as they please: less than this is no evidence.
    """
    one_order = (np.argsort(ordered, axis=0) == np.argsort(ordered[:, :1], axis=0)).all()
    return bool(one_order) and (_volume_by_volume(ordered) or _position_by_position(ordered))
