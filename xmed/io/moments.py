"""Moments: when the images of a series were taken, date and time together, on one axis or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydicom.valuerep import DT

from xmed.io.planes import Plane

DATE_OF = {
    "FrameAcquisitionDateTime": None,
    "FrameReferenceDateTime": None,
    "AcquisitionDateTime": None,
    "AcquisitionTime": "AcquisitionDate",
    "ContentTime": "ContentDate",
}
"""What states a moment; and where it is a time of day, what states its day."""
LONGEST = timedelta(hours=12)
"""No series is scanned for longer. Times of one day that lie farther apart are of two, and nothing says which."""
_NO_DAY = "20000101"


def moments(planes: Sequence[Plane], keyword: str) -> list[datetime] | None:
    """The moment of each image; None where one lacks it, or where they do not lie on one axis.

    They do not where only some of them state a day or a zone (PS3.5 6.2; Timezone Offset From UTC, PS3.3 C.12.1.1.8),
    or where all are of one day, or of none, and farther apart than LONGEST: that is what a midnight looks like.
    """
    day = DATE_OF[keyword]
    found = [_moment(plane.told, keyword, day) for plane in planes]
    stated = [moment for moment in found if moment is not None]
    dated = {bool(day is None or plane.told.get(day)) for plane in planes}
    if len(stated) < len(found) or len(dated) > 1 or len({moment.tzinfo is None for moment in stated}) > 1:
        return None
    one_day = len({moment.date() for moment in stated}) == 1
    return None if one_day and max(stated) - min(stated) > LONGEST else stated


def _moment(told: Mapping[str, Any], keyword: str, day: str | None) -> datetime | None:
    text = str(told.get(keyword) or "").strip()
    if not text:
        return None
    if day is not None:  # ACR-NEMA wrote 2024.01.02 and 10:00:00, and PS3.5 6.2 lets a reader take both
        text = str(told.get(day) or _NO_DAY).strip().replace(".", "") + text.replace(":", "")
    zone = str(told.get("TimezoneOffsetFromUTC") or "").strip()
    try:
        moment = DT(text)
        if moment is not None and moment.tzinfo is None and zone:
            moment = DT(text + zone)
    except (ValueError, OverflowError):
        return None
    return None if moment is None else datetime.fromisoformat(moment.isoformat())
