"""SUV: PET activity per injected activity and body weight, g/ml, which patients and scanners can be compared by.

After the vendor-neutral pseudo-code of QIBA (FDG-PET/CT profile, appendix G; qibawiki.rsna.org, Standardized Uptake
Value): activity is related to the dose that was left when the values were decay-corrected to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydicom import Dataset
from pydicom.valuerep import DT

from xmed.errors import XmedError
from xmed.io.header import Header
from xmed.io.notes import note

PLAUSIBLE_KG = (0.5, 400.0)
PLAUSIBLE_BQ = (1e5, 1e11)
"""An injected activity outside of 0.1 MBq to 100 GBq is one that was written in another unit."""
PHILIPS = "Philips PET Private Group"


def suv_scale(series: Sequence[Header]) -> float | None:
    """What turns the modality values of a PET series into SUV by body weight; None for anything but PET.

    Units (0054,1001) GML are SUV already; BQML are related to dose and weight; CNTS have Philips' own factor. Values in
    any other unit, or none, are left as they are, and a note says so.

    Raises XmedError SUV_INVALID where the header of values in Bq/ml lacks what it takes, or contradicts itself.
    """
    first = series[0]
    units = str(first.get("Units") or "")
    if first.get("Modality") != "PT":
        return None
    if len({str(header.get("Units") or "") for header in series}) > 1:
        raise _invalid("slices in different units", "one unit")
    if units == "GML" and first.get("SUVType", "BW") == "BW":
        return None
    if units == "BQML":
        scale = _by_weight(series)
        note("SUV", "Bq/ml became SUV by body weight, g/ml")
        return scale
    if units == "CNTS" and (factor := _philips(first.dataset)):
        note("SUV", "counts became SUV by body weight, g/ml, by the scanner's own factor")
        return factor
    kind = f" ({first.get('SUVType')})" if "SUVType" in first else ""
    note("PET_UNITS", f"PET values in {units or 'a unit that the header does not name'}{kind} are kept as they are")
    return None


def _by_weight(series: Sequence[Header]) -> float:
    first = series[0]
    stated = first.get("CorrectedImage") or []
    corrected = {stated} if isinstance(stated, str) else set(stated)
    if not {"ATTN", "DECY"} <= corrected:
        raise _invalid(
            f"corrected for {', '.join(sorted(corrected)) or 'nothing'}", "attenuation and decay (ATTN, DECY)"
        )
    injection = (first.get("RadiopharmaceuticalInformationSequence") or [Dataset()])[0]
    weight = _number(first, "PatientWeight", *PLAUSIBLE_KG)
    dose = _number(injection, "RadionuclideTotalDose", *PLAUSIBLE_BQ)
    start = str(first.get("DecayCorrection") or "none")
    if start == "ADMIN":
        return weight * 1000 / dose
    if start != "START":
        raise _invalid(f"Decay Correction {start}", "START or ADMIN")
    half_life = _number(injection, "RadionuclideHalfLife", 1.0, 1e9)
    scan = _scan_start(series, half_life)
    waited = (scan - _injected(injection, scan)).total_seconds()
    if not 0 <= waited <= 10 * half_life:
        raise _invalid(f"a scan {waited:.0f} s after the injection", "0 s to ten half-lives")
    return weight * 1000 / (dose * 2.0 ** (-waited / half_life))


def _scan_start(series: Sequence[Header], half_life: float) -> datetime:
    """When the values were decay-corrected to: series time, unless the series was made after its first image.

    Then (post-processing) it follows from a frame: its average count rate falls Frame Reference Time after the start.
    """
    first = min(series, key=lambda header: _moment(header, "Acquisition"))
    acquired, made = _moment(first, "Acquisition"), _moment(first, "Series")
    if made <= acquired:
        return made
    offset = _number(first, "FrameReferenceTime", 0.0, 1e9) / 1000
    duration = _number(first, "ActualFrameDuration", 1.0, 1e9) / 1000
    decay = math.log(2) / half_life
    average = math.log(decay * duration / -math.expm1(-decay * duration)) / decay
    return acquired - timedelta(seconds=offset - average)


def _injected(injection: Dataset, scan: datetime) -> datetime:
    whole = _parsed(str(injection.get("RadiopharmaceuticalStartDateTime") or ""))
    if whole is not None:
        return whole
    clock = str(injection.get("RadiopharmaceuticalStartTime") or "")
    at = _parsed(f"{scan:%Y%m%d}{clock}") if clock else None
    if at is None:
        raise _invalid("no time of injection", "Radiopharmaceutical Start Time")
    return at if at <= scan else at - timedelta(days=1)  # injected before midnight


def _moment(header: Header, which: str) -> datetime:
    at = _parsed(f"{header.get(f'{which}Date') or ''}{header.get(f'{which}Time') or ''}")
    if at is None or not header.get(f"{which}Time"):
        raise _invalid(f"no {which} Date and Time", "the time of every image")
    return at


def _parsed(text: str) -> datetime | None:
    """A DICOM date and time (PS3.5 6.2), its zone left out: series and injection are told by one clock."""
    try:
        moment = DT(text)
    except ValueError:
        return None
    return None if moment is None else datetime.fromisoformat(moment.isoformat()).replace(tzinfo=None)


def _number(dataset: Header | Dataset, keyword: str, low: float, high: float) -> float:
    try:
        number = float(dataset.get(keyword))
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        stated = "none" if math.isnan(number) else f"{number:g}"
        raise _invalid(f"{keyword} {stated}", f"{low:g} to {high:g}")
    return number


def _philips(dataset: Dataset) -> float:
    try:
        return float(dataset.private_block(0x7053, PHILIPS)[0x00].value)
    except (KeyError, TypeError, ValueError):
        return 0.0


def _invalid(what: str, expected: str) -> XmedError:
    do = "send the series with patient weight and injection; or export it as SUV (Units GML)"
    return XmedError("SUV_INVALID", f"PET in Bq/ml with {what}", expected, do)
