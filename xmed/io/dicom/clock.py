"""Put the dates and times of a header on one time axis, whatever time zones they are stated in (PS3.5 6.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

_MOMENT = re.compile(r"(\d{8})(\d{2})(\d{2})(\d{2})?(?:\.(\d{1,6})\d*)?([+-]\d{4})?")
_OFFSET = re.compile(r"[+-]\d{4}")
_STEP = timedelta(minutes=15)
"""UTC offsets are whole quarters of an hour (IANA time zone database, since 1972)."""
_SLACK = timedelta(minutes=1)


class Attributes(Protocol):
    """Anything with attributes by keyword: a header or a data set."""

    def get(self, key: str, default: Any = None, /) -> Any: ...


@dataclass(frozen=True)
class Clock:
    """The time zone of the dates and times of one data set.

    Attributes:
        zone: Offset from UTC, or None if the data set does not state it.
    """

    zone: timedelta | None

    @classmethod
    def of(cls, header: Attributes) -> Clock:
        """Determine the time zone of a header.

        It is Timezone Offset From UTC (PS3.3 C.12.1.1.8), or follows from a time that is stated twice, once with its
        offset.

        Args:
            header: The header.

        Returns:
            The clock; its zone is None where the header does not tell it.
        """
        stated = parse_utc_offset(str(header.get("TimezoneOffsetFromUTC") or "").strip())
        if stated is not None:
            return cls(stated)
        zones = set(_zones_from_repeated_times(header))
        return cls(zones.pop() if len(zones) == 1 else None)

    def instant(self, text: str) -> datetime | None:
        """Convert a date and time to the axis of this clock: UTC if the zone is known, otherwise local time.

        If no zone is known, a time with its own offset counts as local, because a device that writes an offset writes
        the local time.

        Args:
            text: A value of VR DT (PS3.5 6.2).

        Returns:
            The time; None if the text is not precise to the minute, or is in UTC and cannot be compared with local
            times.
        """
        match = _MOMENT.fullmatch(text.strip())
        if match is None or (
            self.zone is None and (offset := parse_utc_offset(match[6] or "")) is not None and not offset
        ):
            return None
        local = _datetime_from_match(match)
        return None if local is None else local - self.utc_shift(match[6] or "")

    def utc_shift(self, own: str = "") -> timedelta:
        """Return what must be subtracted from a time to bring it to the axis.

        Args:
            own: The offset that the time itself states.

        Returns:
            The difference.
        """
        if self.zone is None:
            return timedelta(0)
        offset = parse_utc_offset(own)
        return self.zone if offset is None else offset


def parse_utc_offset(text: str) -> timedelta | None:
    """Parse an offset &ZZXX between -1200 and +1400 (PS3.5 6.2).

    Args:
        text: The text.

    Returns:
        The offset; None for anything else.
    """
    if not _OFFSET.fullmatch(text) or int(text[3:]) > 59:
        return None
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    offset = -offset if text[0] == "-" else offset
    return offset if timedelta(hours=-12) <= offset <= timedelta(hours=14) else None


def _zones_from_repeated_times(header: Attributes) -> Iterator[timedelta]:
    """Yield the zones that follow from times that are stated with an offset and again as local time."""
    drugs = header.get("RadiopharmaceuticalInformationSequence") or ()
    pairs: list[tuple[Attributes | Mapping[str, Any], str, str, str]] = [
        (header, "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime"),
        *((drug, "RadiopharmaceuticalStartDateTime", "", "RadiopharmaceuticalStartTime") for drug in drugs),
    ]
    for where, whole, day, time in pairs:
        match = _MOMENT.fullmatch(str(where.get(whole) or "").strip())
        own = parse_utc_offset(match[6] or "") if match else None
        if match is None or own is None or (stated_time := _datetime_from_match(match)) is None:
            continue
        local = Clock(None).instant(f"{(where.get(day) if day else None) or match[1]}{where.get(time) or ''}")
        if local is None:
            continue
        zone = local - (stated_time - own)
        if not day:  # without a date, the zone is within half a day
            zone = (zone + timedelta(hours=12)) % timedelta(hours=24) - timedelta(hours=12)
        near = round(zone / _STEP) * _STEP
        if abs(zone - near) <= _SLACK and timedelta(hours=-12) <= near <= timedelta(hours=14):
            yield near


def _datetime_from_match(match: re.Match[str]) -> datetime | None:
    """Return the date and time of a match, or None for an impossible one."""
    day, hour, minute, second, fraction = match.groups()[:5]
    try:
        at = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), int(hour), int(minute), min(int(second or 0), 59))
    except ValueError:
        return None
    return at + timedelta(microseconds=int((fraction or "0").ljust(6, "0")))
