"""Read the attributes of a DICOM file, and convert each value only when it is used.

Files contain hundreds of attributes, and a reader uses thirty. If the pre-scan has indexed the file, only these are
parsed, and values that the slices of a series share are converted once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import cache, cached_property, lru_cache
from io import BytesIO
from typing import Any

import pydicom
from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID
from pydicom.valuerep import TEXT_VR_DELIMS, DSfloat

from xmed.io.dicom.prescan import ElementLayout
from xmed.io.file_kinds import reader_errors

_SELF_CONTAINED_VRS = frozenset(["AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "SL", "SS", "TM", "UI", "UL", "US"])
"""Value representations (VR) that do not depend on other elements, such as a character set or the pixel sign."""
_MAX_SHARED_BYTES = 256
"""Longer values differ from slice to slice, so caching them does not help."""


class Header(Mapping[str, Any]):
    """The attributes of a data set by keyword.

    Values are those of pydicom, except that decimals are floats and several values are a tuple. For `get`, an attribute
    without value counts as absent; for `in`, it counts as present.
    """

    def __init__(self, dataset: Dataset | None = None, data: bytes = b"", layout: ElementLayout | None = None) -> None:
        """Use a parsed data set, or the bytes of a file with the layout that the pre-scan found."""
        self._data, self._layout = data, layout
        self._places = layout.places if layout else None
        if dataset is not None:
            self.dataset = dataset

    @cached_property
    def dataset(self) -> Dataset:
        """The whole data set, parsed from memory, so that a wrong length cannot read beyond the file."""
        with reader_errors("a data set"):
            return pydicom.dcmread(BytesIO(self._data))

    @property
    def is_indexed(self) -> bool:
        """Whether the pre-scan found where every element lies, with uncompressed little-endian pixels at the end."""
        return self._layout is not None

    @property
    def syntax(self) -> UID:
        """The transfer syntax, "" if none is stated."""
        if self._layout is not None:
            return self._layout.syntax
        return UID(str(self.dataset.file_meta.get("TransferSyntaxUID", "")))

    @property
    def pixels(self) -> bytes | memoryview:
        """Pixel Data as stored; empty if there is none."""
        if self._places is None:
            return self.dataset.PixelData or b"" if "PixelData" in self.dataset else b""
        _, at, length = self._places[_tag("PixelData")]
        return memoryview(self._data)[at : at + length]

    @property
    def pixel_length(self) -> int | None:
        """Length in bytes that Pixel Data states, None if there is none."""
        if self._places is not None:
            return self._places[_tag("PixelData")][2]
        # `get_item` does not decode the element, so that it still has the stated length
        element = self.dataset.get_item("PixelData") if "PixelData" in self.dataset else None
        return None if element is None else getattr(element, "length", len(element.value or b""))

    def raw(self, keyword: str) -> bytes | None:
        """Read the bytes of a value.

        Args:
            keyword: Keyword of the attribute.

        Returns:
            The bytes; None if the value has been converted already or is absent.
        """
        if self._places is None:
            element = self.dataset.get_item(keyword) if keyword in self.dataset else None
            return element.value if element is not None and isinstance(element.value, bytes) else None
        place = self._places.get(_tag(keyword))
        return None if place is None else self._data[place[1] : place[1] + place[2]]

    def text(self, keyword: str) -> str:
        """Decode a text by its character set.

        Args:
            keyword: Keyword of the attribute.

        Returns:
            The text, "" if it is absent; undecodable bytes become U+FFFD.
        """
        raw = self.raw(keyword) if self.is_indexed else None
        if raw is None:
            return "" if self.is_indexed else str(self.get(keyword) or "")
        named = self.get("SpecificCharacterSet") or ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encodings = convert_encodings(list(named) if isinstance(named, tuple) else named)
            return decode_bytes(raw, encodings, TEXT_VR_DELIMS).strip(" \0")

    def get(self, keyword: str, default: Any = None) -> Any:
        """Read the value of an attribute.

        Args:
            keyword: Keyword of the attribute.
            default: What to return for an attribute that is absent or has no value; an empty text is "".

        Returns:
            The value, as pydicom converts it.
        """
        value = self._stated(keyword)
        return default if value is None else value

    def __getitem__(self, keyword: str) -> Any:
        value = self._stated(keyword)
        if value is None:
            raise KeyError(keyword)
        return value

    def __contains__(self, keyword: object) -> bool:
        tag = _tag(str(keyword))
        return BaseTag(tag) in self.dataset if self._places is None else tag in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self.dataset.dir())

    def __len__(self) -> int:
        return len(self.dataset)

    def _stated(self, keyword: str) -> Any:
        tag = _tag(keyword)
        if self._places is None:
            whole = BaseTag(tag)
            return self.dataset[whole].value if whole in self.dataset else None
        place = self._places.get(tag)
        if place is None:
            return None
        vr, at, length = place
        if (vr or _vr(tag)) not in _SELF_CONTAINED_VRS:
            return self.dataset[BaseTag(tag)].value
        raw = self._data[at : at + length]
        return _converted(tag, vr, raw) if length <= _MAX_SHARED_BYTES else _converted.__wrapped__(tag, vr, raw)


@cache
def _tag(keyword: str) -> int:
    """Return a tag as a plain integer, because comparing pydicom's tags is slow."""
    return int(Tag(keyword))


_vr = cache(dictionary_VR)


@lru_cache(maxsize=4096)
def _converted(tag: int, vr: str | None, raw: bytes) -> Any:
    """Return the value of an element as pydicom converts it, in an immutable form."""
    if (vr or _vr(tag)) == "DS":
        try:
            numbers = tuple(map(float, raw.decode("ascii").rstrip(" \0").split("\\")))
            return numbers if len(numbers) > 1 else numbers[0]
        except ValueError:
            pass  # empty values, which pydicom handles
    value_bytes = raw or empty_value_for_VR(vr, raw=True)
    element = RawDataElement(BaseTag(tag), vr, len(raw), value_bytes, 0, vr is None, True)  # type: ignore[arg-type]  # pydicom looks up a VR of None
    value = convert_raw_data_element(element).value
    return tuple(map(_plain_number, value)) if isinstance(value, MultiValue) else _plain_number(value)


def _plain_number(value: Any) -> Any:
    return float(value) if isinstance(value, DSfloat) else value
