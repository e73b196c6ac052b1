"""Acquisition times: when the images of a series were taken, date and time together, on one axis or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from xmed.io.dicom.clock import parse_utc_offset
from xmed.io.dicom.planes import Plane

DATE_ATTRIBUTE = {
    "FrameAcquisitionDateTime": None,
    "FrameReferenceDateTime": None,
    "AcquisitionDateTime": None,
    "AcquisitionTime": "AcquisitionDate",
    "ContentTime": "ContentDate",
}
"""What states a moment; and where it is a time of day, what states its day."""
MAX_SCAN_DURATION = timedelta(hours=12)
"""No series is scanned for longer. Times of one day that lie farther apart are of two, and nothing says which."""
_NO_DAY = "20000101"
_DT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})?(\d{2})?(?:\.(\d+))?([+-]\d{4})?")


def image_times(planes: Sequence[Plane], keyword: str) -> list[datetime] | None:
    """The moment of each image; None where one lacks it, or where they do not lie on one axis.

    They do not where only some of them state a day or a zone (PS3.5 6.2; Timezone Offset From UTC, PS3.3 C.12.1.1.8),
    or where all are of one day, or of none, and farther apart than LONGEST: that is what a midnight looks like.
    """
    day = DATE_ATTRIBUTE[keyword]
    found: list[datetime] = []
    for plane in planes:
        moment = _moment(plane.told, keyword, day)
        if moment is None:
            return None
        found.append(moment)
    dated = {bool(day is None or plane.told.get(day)) for plane in planes}
    if len(dated) > 1 or len({moment.tzinfo is None for moment in found}) > 1:
        return None
    one_day = len({moment.date() for moment in found}) == 1
    return None if one_day and max(found) - min(found) > MAX_SCAN_DURATION else found


def _moment(told: Mapping[str, Any], keyword: str, day: str | None) -> datetime | None:
    text = str(told.get(keyword) or "").strip()
    if not text:
        return None
    if day is not None:  # ACR-NEMA wrote 2024.01.02 and 10:00:00, and PS3.5 6.2 lets a reader take both
        text = str(told.get(day) or _NO_DAY).strip().replace(".", "") + text.replace(":", "")
    return _parsed(text, str(told.get("TimezoneOffsetFromUTC") or "").strip())


@lru_cache(maxsize=4096)
def _parsed(text: str, zone: str) -> datetime | None:
    """A DT (PS3.5 6.2), in `zone` where it names none; None for what is none, or tells no hour."""
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
