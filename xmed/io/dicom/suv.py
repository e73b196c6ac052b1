"""Compute SUV by body weight of PET: activity divided by injected activity per body weight, g/ml.

After the vendor-neutral pseudo-code of QIBA (FDG-PET/CT profile, appendix G; qibawiki.rsna.org, Standardized Uptake
Value): activity is related to the dose that remained at the time to which the values are decay-corrected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from xmed.errors import XmedError
from xmed.io.dicom.clock import Clock
from xmed.io.dicom.header import Header
from xmed.io.dicom.private_elements import GE_SCAN, PHILIPS_ACTIVITY, PHILIPS_SUV, private_number, private_value
from xmed.io.dicom.sop_classes import object_modality
from xmed.io.notes import add_note

PLAUSIBLE_KG = (0.5, 400.0)
PLAUSIBLE_BQ = (1e6, 1e11)
"""An injected activity outside 1 MBq to 100 GBq was written in another unit."""
MAX_HALF_LIVES = 10.0
MAX_HALF_LIVES_WITHOUT_DATE = 6.0
"""Longest interval in half-lives if times have no date. Beyond it (11 h for fluorine-18) a wrong clock is more
likely.
"""
_LOST_ZONE = timedelta(minutes=45)
"""Two times of one injection that differ by at least this are in two time zones, one of which is missing."""
_DAY = timedelta(days=1)
_CONSTANT = ("DecayCorrection", "CorrectedImage", "PatientWeight", "SeriesDate", "SeriesTime")
_DRUG_SEQUENCE = "RadiopharmaceuticalInformationSequence"
_HALF_LIVES = {
    "_11Carbon": 1221.8,
    "_13Nitrogen": 597.9,
    "_15Oxygen": 122.24,
    "_18Fluorine": 6586.2,
    "_64Copper": 45_721.0,
    "_68Gallium": 4062.6,
    "_82Rubidium": 76.4,
    "_89Zirconium": 282_276.0,
    "_124Iodine": 360_806.0,
}
"""Seconds, from ENSDF (nndc.bnl.gov/nudat3), by the names of PS3.16 CID 4020."""


def suv_scale(series: Sequence[Header]) -> float | None:
    """Find the factor from modality values of a PET series to SUV by body weight.

    Units (0054,1001) GML are SUV already. BQML is divided by dose and weight. CNTS has private factors of Philips.
    Values in other units stay as they are, and a note says so.

    Args:
        series: The headers of all images.

    Returns:
        The factor; None for values that stay as they are.

    Raises:
        XmedError: SUV_INVALID if the header of values in Bq/ml is incomplete, or contradicts itself or other slices.
    """
    first = series[0]
    units = str(first.get("Units") or "").strip()
    if object_modality(first) != "PT":
        return None
    _check_same(series, ("Units", "SUVType"))
    if units == "GML" and first.get("SUVType", "BW") == "BW":
        return None
    if units == "BQML":
        scale = _by_weight(series)
        add_note("SUV", "Bq/ml became SUV by body weight, g/ml")
        return scale
    if units == "CNTS" and (factor := _philips_scale(series)):
        add_note("SUV", "counts became SUV by body weight, g/ml, by the scanner's own factor")
        return factor
    kind = f" ({first.get('SUVType')})" if "SUVType" in first else ""
    add_note(
        "PET_UNITS", f"PET values in {units or 'a unit that the header does not state'}{kind} are kept as they are"
    )
    return None


def _philips_scale(series: Sequence[Header]) -> float | None:
    """Return the private factor: (7053,xx00) from counts to SUV, otherwise (7053,xx09) from counts to Bq/ml."""
    factors = {tuple(private_number(h.dataset, element) for element in (PHILIPS_SUV, PHILIPS_ACTIVITY)) for h in series}
    if factors == {(0.0, 0.0)}:
        return None
    uptake, activity = factors.pop()
    if factors or not 0 < (uptake or activity) < math.inf:
        raise _invalid("private factors that are not positive, or differ between slices", "one factor")
    if not uptake:
        return activity * _by_weight(series)
    _check_corrections(series)
    return uptake


def _by_weight(series: Sequence[Header]) -> float:
    """Return the factor from Bq/ml to SUV."""
    first = series[0]
    _check_corrections(series)
    injection = _injection(series)
    weight = _number(first, "PatientWeight", *PLAUSIBLE_KG)
    dose = _number(injection, "RadionuclideTotalDose", *PLAUSIBLE_BQ)
    start = str(first.get("DecayCorrection") or "none")
    if start == "ADMIN":
        return weight * 1000 / dose
    if start != "START":
        raise _invalid(f"Decay Correction {start}", "START or ADMIN")
    half_life = _half_life(injection)
    waited = _decay_interval(series, injection, half_life).total_seconds()
    return weight * 1000 / (dose * math.pow(2.0, -waited / half_life))


def _check_corrections(series: Sequence[Header]) -> None:
    """Check that values are corrected for attenuation and decay."""
    _check_same(series, _CONSTANT)
    stated = series[0].get("CorrectedImage") or []
    corrected = {stated} if isinstance(stated, str) else set(stated)
    if not {"ATTN", "DECY"} <= corrected:
        corrections = ", ".join(sorted(corrected)) or "nothing"
        raise _invalid(f"corrected for {corrections}", "attenuation and decay (ATTN, DECY)")


def _injection(series: Sequence[Header]) -> Dataset:
    """Return the one radiopharmaceutical of the series. Slices with equal bytes are not compared further."""
    first = series[0]
    drugs = list(first.get(_DRUG_SEQUENCE) or [Dataset()])
    raw = first.raw(_DRUG_SEQUENCE)
    if any(drug != drugs[0] for drug in drugs):
        raise _invalid(f"{len(drugs)} drugs", "one drug")
    others = (header for header in series if raw is None or header.raw(_DRUG_SEQUENCE) != raw)
    if any(list(header.get(_DRUG_SEQUENCE) or [Dataset()]) != drugs for header in others):
        raise _invalid("slices of different injections", "one injection")
    drug: Dataset = drugs[0]
    return drug


def _half_life(injection: Dataset) -> float:
    half_life = _number(injection, "RadionuclideHalfLife", 1.0, 1e9)
    of_nuclide = nuclide_half_life(injection)
    if of_nuclide is not None and not of_nuclide / 1.05 < half_life < of_nuclide * 1.05:
        raise _invalid(f"RadionuclideHalfLife {half_life:g}", f"{of_nuclide:g} s, that of its Radionuclide Code")
    return half_life


def nuclide_half_life(injection: Dataset) -> float | None:
    """Return the half-life in seconds for the Radionuclide Code of an injection, None for an unlisted nuclide."""
    for item in injection.get("RadionuclideCodeSequence") or ():
        nuclide_code = Code(str(item.get("CodeValue", "")), str(item.get("CodingSchemeDesignator", "")), "")
        for name, seconds in _HALF_LIVES.items():
            if getattr(codes.cid4020, name) == nuclide_code:  # codes of SNOMED RT compare equal to SNOMED CT
                return seconds
    return None


def _decay_interval(series: Sequence[Header], injection: Dataset, half_life: float) -> timedelta:
    """Return the time from the injection to the moment to which the values are decay-corrected."""
    clocks = [Clock.of(header) for header in series]
    if len({clock.zone is None for clock in clocks}) > 1:
        raise _invalid("a time zone in only some slices", "one in all of them, or none")
    scan = _scan_start(series, clocks, half_life)
    injection_text = str(injection.get("RadiopharmaceuticalStartDateTime") or "").strip()
    time_of_day = str(injection.get("RadiopharmaceuticalStartTime") or "").strip()
    if len(injection_text) == 8 and time_of_day:  # only a date
        injection_text = f"{injection_text}{time_of_day}"
    by_clock = clocks[0].instant(f"{series[0].get('SeriesDate') or ''}{time_of_day}") if time_of_day else None
    if injection_text:
        injected = clocks[0].instant(injection_text)
        if injected is None:
            raise _invalid("a date and time of injection without minutes, or in UTC", "the time zone of the series")
        waited = _check_interval(scan - injected, half_life, MAX_HALF_LIVES)
        if by_clock is not None and _LOST_ZONE <= (by_clock - injected) % _DAY <= _DAY - _LOST_ZONE:
            raise _invalid("two times of injection", "one time, or the time zones of both")
        return waited
    if by_clock is None:
        raise _invalid("no time of injection", "Radiopharmaceutical Start Time, to the minute")
    waited = (scan - by_clock) % _DAY  # the injection may have been before midnight
    if (waited + _DAY).total_seconds() <= MAX_HALF_LIVES * half_life:
        raise _invalid("no date of injection, which may be days ago", "Radiopharmaceutical Start DateTime")
    return _check_interval(waited, half_life, MAX_HALF_LIVES_WITHOUT_DATE)


def _check_interval(waited: timedelta, half_life: float, most: float) -> timedelta:
    """Return the interval if it is plausible, otherwise refuse it."""
    seconds = waited.total_seconds()
    if not 0 <= seconds <= most * half_life:
        limit = "ten" if most == MAX_HALF_LIVES else "six"
        raise _invalid(f"a scan {seconds:.0f} s after the injection", f"0 s to {limit} half-lives")
    return waited


def _scan_start(series: Sequence[Header], clocks: Sequence[Clock], half_life: float) -> datetime:
    """Return the moment to which the values are decay-corrected.

    It is the series time, unless the series was made after its first image (post-processing). GE then states the start
    in a private element. Otherwise it follows from a frame, whose average count rate occurs Frame Reference Time after
    the start.
    """
    moments = [_stated_time(header, clock, "Acquisition") for header, clock in zip(series, clocks)]
    n = min(range(len(series)), key=moments.__getitem__)
    first, acquired, series_start = series[n], moments[n], _stated_time(series[n], clocks[n], "Series")
    if series_start <= acquired:
        return series_start
    ge_scan_start = clocks[n].instant(str(private_value(first.dataset, GE_SCAN) or ""))
    if ge_scan_start is not None:
        return ge_scan_start
    offset = _number(first, "FrameReferenceTime", 0.0, 1e9) / 1000
    duration = _number(first, "ActualFrameDuration", 1.0, 1e9) / 1000
    decay = math.log(2) / half_life
    average = math.log(decay * duration / -math.expm1(-decay * duration)) / decay
    return acquired - timedelta(seconds=offset - average)


def _stated_time(header: Header, clock: Clock, which: str) -> datetime:
    """Return the time that a header states for the acquisition or the series."""
    text = f"{header.get(f'{which}Date') or ''}{header.get(f'{which}Time') or ''}"
    stated = clock.instant(text)
    if stated is None and which == "Acquisition":
        stated = clock.instant(str(header.get("AcquisitionDateTime") or ""))
    if stated is None:
        raise _invalid(f"no {which} Date and Time", "the time of every image, to the minute")
    return stated


def _check_same(series: Sequence[Header], keywords: Sequence[str]) -> None:
    """Refuse slices of one series with different values."""
    for keyword in keywords:
        if len({_as_texts(header.get(keyword)) for header in series}) > 1:
            what = "units" if keyword in ("Units", "SUVType") else keyword
            raise _invalid(f"slices in different {what}", f"one {keyword} in all slices")


def _as_texts(value: object) -> tuple[str, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(map(str, value))
    return ("" if value is None else str(value).strip(),)


def _number(dataset: Header | Dataset, keyword: str, low: float, high: float) -> float:
    try:
        number = float(dataset.get(keyword))
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        stated = "none" if math.isnan(number) else f"{number:g}"
        raise _invalid(f"{keyword} {stated}", f"{low:g} to {high:g}")
    return number


def _invalid(what: str, expected: str) -> XmedError:
    do = "send the series with patient weight and injection; or export it as SUV (Units GML)"
    return XmedError("SUV_INVALID", f"PET with {what}", expected, do)
