"""Rebuild: builds a new data set from the permitted attributes of another one, at every depth of nesting."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydicom import Dataset
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.valuerep import DS

from xmed.deidentify.allowed_attributes import (
    EMPTY,
    ESSENTIAL,
    MUST_SAY,
    PATIENT,
    PRIVATE,
    RULES,
    VENDORS,
    Rule,
    Words,
)
from xmed.deidentify.date_shift import shift_dates, shift_stamp
from xmed.deidentify.key import Secret
from xmed.errors import XmedError
from xmed.io.dicom.clock import Clock
from xmed.io.dicom.private_elements import private_number, private_value

_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_SIDE = re.compile(r"[LRAPHF]{1,3}")
_MOST = 100_000


@dataclass(frozen=True)
class Rebuilder:
    """Rebuilds the data sets of one patient.

    Attributes:
        secret: The key for UIDs.
        patient: The patient's pseudonym.
        seconds: The patient's date shift.
    """

    secret: Secret
    patient: str
    seconds: int

    def rebuild(self, old: Dataset) -> Dataset:
        """Build a data set from everything permitted in `old`, without pixels and method codes.

        Raises:
            XmedError: DEID_UNSAFE if an attribute of `ESSENTIAL` is not a number.
        """
        rules = RULES | PATIENT if old.get("Modality") == "PT" else RULES
        clock = Clock.of(old)
        new = self._permitted(old, rules, clock)
        if clock.zone is not None:
            new.TimezoneOffsetFromUTC = "+0000"
        elif "TimezoneOffsetFromUTC" in new:
            del new.TimezoneOffsetFromUTC  # it was not a valid zone
        self._keep_private(old, new, clock)
        for keyword in EMPTY:
            if keyword not in new:
                setattr(new, keyword, None if dictionary_VR(keyword) == "IS" else "")
        new.PatientName = new.PatientID = self.patient
        if "FrameOfReferenceUID" in new or "PositionReferenceIndicator" in old:
            new.PositionReferenceIndicator = ""  # type 2 beside it
        if "BodyPartExamined" in old and not {"ImageLaterality", "SharedFunctionalGroupsSequence"} & set(new.dir()):
            new.Laterality = new.get("Laterality", "")  # type 2C: required because the body part is not kept
        maker = re.split("[^A-Z]+", str(old.get("Manufacturer", "")).upper())
        new.Manufacturer = next((word for word in sorted(VENDORS) if word in maker), "")
        if "Enhanced" in getattr(new.get("SOPClassUID"), "name", ""):
            for keyword in MUST_SAY:
                setattr(new, keyword, new.get(keyword) or "REMOVED")
        return new

    def _permitted(self, old: Dataset, rules: dict[str, Rule | Words], clock: Clock) -> Dataset:
        new = Dataset()
        for keyword in old.dir():  # attributes of the dictionary: nothing private, no curve, no overlay
            rule = rules.get(keyword)
            if rule is not None and rule is not Rule.TIME:
                # A value that is not permitted leaves the attribute empty, because many are required (type 2).
                setattr(new, keyword, self._permitted_value(old, keyword, rule, rules, clock))
        times = [keyword for keyword, rule in rules.items() if rule is Rule.TIME]
        for keyword, text in shift_dates(old, times, self.seconds, clock).items():
            setattr(new, keyword, text)
        return new

    def _keep_private(self, old: Dataset, new: Dataset, clock: Clock) -> None:
        """Copy the private elements that scale stored values, as numbers and shifted times, each in its own block."""
        for element in PRIVATE:
            value = private_value(old, element)
            text = value.decode("ascii", "replace") if isinstance(value, bytes) and element.kind != "FL" else value
            copied: Any  # a date and time, a Decimal String of pydicom, or a number
            if element.kind == "DT":
                copied = shift_stamp(str(text or ""), self.seconds, clock)
            elif element.kind == "DS":
                copied = _decimal(text)
            else:
                copied = private_number(old, element) or None
            if copied is not None:
                block = new.private_block(element.group, element.creator, create=True)
                block.add_new(element.element, element.kind, copied)

    def _permitted_value(
        self, old: Dataset, keyword: str, rule: Rule | Words, rules: dict[str, Rule | Words], clock: Clock
    ) -> Any:
        """The permitted part of one attribute's value, or None; the VR is the dictionary's, not the file's."""
        try:
            value = old[keyword].value
        except Exception:  # cannot be parsed; its content must not appear in a message
            value = None if old.get_item(keyword).is_empty else object()
        if rule is Rule.SEQUENCE or rule is Rule.CODE:
            items = [item for item in value if isinstance(item, Dataset)] if _many(value) else []
            if rule is Rule.CODE:
                return [code for item in items if (code := _standard_code(item)) is not None]
            return [self._permitted(item, rules, clock) for item in items]
        values = list(value) if _many(value) else [] if value in (None, "") else [value]
        clean = self._uid if rule is Rule.UID else _cleaner(rule, dictionary_VR(tag_for_keyword(keyword) or 0))
        permitted = [clean(element) for element in values]
        if None in permitted:
            if keyword in ESSENTIAL:
                raise XmedError("DEID_UNSAFE", f"{keyword} holds something else than numbers", "numbers")
            words = rule if isinstance(rule, frozenset) else frozenset()
            # The position of a word in a list has a meaning: OTHER replaces a word that is not permitted, if it may.
            permitted = [word or "OTHER" for word in permitted if word or "OTHER" in words] if words else []
        return permitted[0] if len(permitted) == 1 else permitted or None

    def _uid(self, value: Any) -> str | None:
        return self.secret.uid(str(value).strip()) if str(value).strip() else None


def _many(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _cleaner(rule: Rule | Words, vr: str) -> Callable[[Any], Any]:
    """The function that returns one value as it may be kept, or None for a value that is not permitted."""
    if isinstance(rule, frozenset):
        return lambda value: word if (word := str(value).strip()) in rule else None
    if rule is Rule.NUMBER:
        return _decimal if vr == "DS" else _number if vr in ("FL", "FD") else _whole
    return {
        Rule.COUNT: lambda value: _text_of(_counted(value)) if vr == "SH" else _counted(value),
        Rule.STANDARD_UID: lambda value: str(value) if str(value) in UID_dictionary else None,
        Rule.SIDE: lambda value: str(value) if _SIDE.fullmatch(str(value)) else None,
        Rule.TAG: _permitted_tag,
    }[rule]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _decimal(value: Any) -> Any:
    """A valid Decimal String with its digits unchanged, or shortened if it is too long (PS3.5 6.2); else None."""
    text = str(value).strip()
    if not _DECIMAL.fullmatch(text):
        return None
    return DS(text) if len(text) <= 16 else DS(float(text), auto_format=True)


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number == int(number) else None


def _counted(value: Any) -> int | None:
    number = _whole(value)
    return number if number is not None and abs(number) < _MOST else None


def _text_of(number: int | None) -> str | None:
    return None if number is None else str(number)


def _permitted_tag(value: Any) -> Any:
    try:
        return Tag(value) if keyword_for_tag(Tag(value)) in RULES else None
    except (TypeError, ValueError, OverflowError):
        return None


def _standard_code(item: Dataset) -> Dataset | None:
    code = _lookup(str(item.get("CodeValue", "")), str(item.get("CodingSchemeDesignator", "")))
    if code is None:
        return None
    new = Dataset()
    new.CodeValue, new.CodingSchemeDesignator, new.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return new


@cache
def _lookup(value: str, scheme: str) -> Code | None:
    """The standard's code with this value; codes of SNOMED RT (SRT) are found as those of SNOMED CT."""
    searched = Code(value, scheme, "")
    return next(
        (
            code
            for name in ("SCT", "DCM", "UCUM")
            for code in getattr(codes, name).concepts.values()
            if code == searched
        ),
        None,
    )
