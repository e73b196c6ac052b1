"""Date shift: moves all dates and times of a patient into the past by one amount, so that intervals are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword

from xmed.io.dicom.clock import Clock, parse_utc_offset

_TIME = re.compile(r"(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6}))?")
_STAMP = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?")


def shift_dates(data: Dataset, keywords: Iterable[str], seconds: int, clock: Clock) -> dict[str, str]:
    """Shift the dates and times of a data set into the past.

    A date and its time are shifted together. A time without a date wraps around midnight; a date without a time is
    shifted as if it were noon. If the time zone is known, all values are converted to UTC first, so that intervals
    across zones are kept. A UTC offset, which reveals a place, is dropped unless it is zero and no zone is known.

    Args:
        data: The data set.
        keywords: The attributes to shift, of VR DA, TM or DT.
        seconds: The amount of the shift.
        clock: The time zone of the data set.

    Returns:
        Keyword → DA, TM or DT text (DICOM PS3.5 6.2); attributes that are not valid dates or times are left out.
    """
    by = timedelta(seconds=seconds) + clock.utc_shift()
    texts = {key: _text(data, key) for key in keywords if key in data}
    shifted: dict[str, str | None] = {}
    for key, text in texts.items():
        vr = dictionary_VR(tag_for_keyword(key) or 0)
        if vr == "DT":
            match = _STAMP.fullmatch(text)
            day, time, own = match.groups() if match else ("", "", "")
            then = _moment(day, time or "120000", -timedelta(seconds=seconds) - clock.utc_shift(own or ""))
            zone = "+0000" if clock.zone is None and parse_utc_offset(own or "") == timedelta(0) else ""
            shifted[key] = f"{then:%Y%m%d}" + (_clock(then, time) + zone if time else "") if then else None
        elif vr == "DA":
            then = _moment(text, texts.get(f"{key[:-4]}Time") or "120000", -by) or _moment(text, "120000", -by)
            shifted[key] = f"{then:%Y%m%d}" if then else None
        else:
            day = texts.get(f"{key[:-4]}Date", "")
            then = _moment(day, text, -by) or _moment("20000101", text, -by)
            shifted[key] = _clock(then, text) if then else None
    return {key: text for key, text in shifted.items() if text}


def shift_stamp(text: str, seconds: int, clock: Clock) -> str | None:
    """Shift one DT text as `shift_dates` does; None if it is not a valid time with hour and minute."""
    then = clock.instant(text)
    return None if then is None else f"{then - timedelta(seconds=seconds):%Y%m%d%H%M%S.%f}"


def _text(data: Dataset, keyword: str) -> str:
    try:
        value = data[keyword].value
    except Exception:  # cannot be parsed
        return ""
    return str(value or "").strip()


def _moment(day: str, time: str, by: timedelta) -> datetime | None:
    clock = _TIME.fullmatch(time)
    if clock is None or not re.fullmatch(r"\d{8}", day):
        return None
    hour, minute, second = (int(part or 0) for part in clock.groups()[:3])
    try:
        moment = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), hour, minute, min(second, 59))
        return moment + by + timedelta(microseconds=int((clock[4] or "0").ljust(6, "0")))
    except (ValueError, OverflowError):
        return None


def _clock(then: datetime, like: str) -> str:
    """A TM text with as many fractional digits as before; always with seconds, because a shift moves them."""
    fraction = len(like.partition(".")[2])
    return f"{then:%H%M%S}" + (f".{then.microsecond:06}"[: fraction + 1] if fraction else "")
