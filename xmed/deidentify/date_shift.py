"""Date shift: dates and times of one patient, all moved into the past by the same amount, so that intervals stay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword

from xmed.io.dicom.clock import Clock, parse_utc_offset

_TIME = re.compile(r"(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6}))?")
_STAMP = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?")


def moved(data: Dataset, keywords: Iterable[str], seconds: int, clock: Clock) -> dict[str, str]:
    """The moments among `keywords` that `data` states, moved: keyword → DA, TM or DT as PS3.5 6.2 writes them.

    A date and its time move as one. A time without a date moves around the clock; a date without a time as if it were
    noon. Where the zone is known all become UTC first, so that what is told in two zones keeps its interval; an offset,
    which tells of a place, is dropped unless it is that of UTC and nothing else says where the clock stood. What is no
    moment is not returned.
    """
    by = timedelta(seconds=seconds) + clock.utc_shift()
    said = {key: _text(data, key) for key in keywords if key in data}
    out: dict[str, str | None] = {}
    for key, text in said.items():
        vr = dictionary_VR(tag_for_keyword(key) or 0)
        if vr == "DT":
            match = _STAMP.fullmatch(text)
            day, time, own = match.groups() if match else ("", "", "")
            then = _moment(day, time or "120000", -timedelta(seconds=seconds) - clock.utc_shift(own or ""))
            kept = "+0000" if clock.zone is None and parse_utc_offset(own or "") == timedelta(0) else ""
            out[key] = f"{then:%Y%m%d}" + (_clock(then, time) + kept if time else "") if then else None
        elif vr == "DA":
            then = _moment(text, said.get(f"{key[:-4]}Time") or "120000", -by) or _moment(text, "120000", -by)
            out[key] = f"{then:%Y%m%d}" if then else None
        else:
            day = said.get(f"{key[:-4]}Date", "")
            then = _moment(day, text, -by) or _moment("20000101", text, -by)
            out[key] = _clock(then, text) if then else None
    return {key: text for key, text in out.items() if text}


def moved_stamp(text: str, seconds: int, clock: Clock) -> str | None:
    """One DT moved as `moved` does, None where it is no moment to the minute."""
    then = clock.instant(text)
    return None if then is None else f"{then - timedelta(seconds=seconds):%Y%m%d%H%M%S.%f}"


def _text(data: Dataset, keyword: str) -> str:
    try:
        value = data[keyword].value
    except Exception:  # unparseable: no moment
        return ""
    return str(value or "").strip()


def _moment(day: str, time: str, by: timedelta) -> datetime | None:
    clock = _TIME.fullmatch(time)
    if clock is None or not re.fullmatch(r"\d{8}", day):
        return None
    hour, minute, second = (int(part or 0) for part in clock.groups()[:3])
    try:
        there = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), hour, minute, min(second, 59))
        return there + by + timedelta(microseconds=int((clock[4] or "0").ljust(6, "0")))
    except (ValueError, OverflowError):
        return None


def _clock(then: datetime, like: str) -> str:
    """A time with as many digits as it had before, whole seconds at the least: a moved hour is no whole hour."""
    fraction = len(like.partition(".")[2])
    return f"{then:%H%M%S}" + (f".{then.microsecond:06}"[: fraction + 1] if fraction else "")
