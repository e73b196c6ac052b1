"""Determine when the images of a series were taken, on one common time axis or not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache

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
