"""Check the structure of a DICOM file against its size before a parser reads it.

A single pass over the element headers (PS3.5 section 7.1). It allocates nothing, does not recurse and reads no values.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from xmed.errors import XmedError
from xmed.io.file_kinds import MAX_BYTES, check_compression_ratio

MAX_DEPTH = 64
"""Largest nesting of sequences. Real structured reports reach 20; recursive parsers fail near 1000."""
MAX_VALUE = 64 << 20
"""Largest plausible value in bytes, apart from pixels. A longer one that exceeds the file is a false size, not a cut
file.
"""
MAX_ELEMENTS = 2_000_000
"""Largest number of elements and items. An enhanced object of 20,000 frames has 60 per frame. Parsers take ten
microseconds or more for each, and a deflated megabyte can hold a hundred million.
"""
UNDEFINED_LENGTH = 0xFFFFFFFF

_EXECUTABLES = (b"MZ", b"\x7fELF", b"#!", b"PK\x03\x04", b"\xfe\xed\xfa", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe",
                b"\xca\xfe\xba\xbe")  # fmt: skip
_CHUNK = 1 << 16
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # PS3.5 table 7.1-1: lengths of 32 bits
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_KNOWN_VRS = _LONG_VRS | _SHORT_VRS
# By byte order, and by the two letters of a VR read as an integer: the VR and the length of its element header
_KINDS = {
    order: {struct.unpack(order + "H", vr)[0]: (vr.decode(), 12 if vr in _LONG_VRS else 8) for vr in _KNOWN_VRS}
    for order in "<>"
}
_UNKNOWN_KIND: tuple[str | None, int] = None, 8
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_ITEM, _ITEM_END, _SEQUENCE_END, _PIXELS = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x7FE00010
_INDEXED_SYNTAXES: dict[str, UID] = {uid: uid for uid in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)}


ElementPlaces = dict[int, tuple[str | None, int, int]]
"""By tag: VR (None if the transfer syntax does not state it), offset and length of each element."""


class ElementLayout(NamedTuple):
    """Where each element of a data set lies in its file, and the transfer syntax."""

    places: ElementPlaces
    syntax: UID


def prescan(data: bytes, name: str) -> ElementLayout | None:
    """Refuse a DICOM file with a false structure, and return the layout of a simple one.

    Args:
        data: The content of the file.
        name: File name for messages.

    Returns:
        The layout; None if a parser must decide: no preamble, another transfer syntax than the two little-endian ones,
        unknown VRs, compressed or no pixels, or elements after the pixels.

    Raises:
        XmedError: PREAMBLE_EXECUTABLE, META_LENGTH, TSUID_MISMATCH, INFLATE_LIMIT, NESTING, SIZE_CLAIM (a value that
            cannot fit into the file), DICOM_TRUNCATED (the file ends in a header, or in a value other than pixels).
    """
    if len(data) > MAX_BYTES:
        raise XmedError("SIZE_CLAIM", f"{name} has {len(data)} bytes", f"at most {MAX_BYTES}")
    preamble = data[128:132] == b"DICM"
    if preamble and data.startswith(_EXECUTABLES):
        raise XmedError(
            "PREAMBLE_EXECUTABLE", f"{name} starts like a program or an archive", "128 zero bytes, or a TIFF header",
            "do not run it; ask where it comes from",
        )  # fmt: skip
    start, syntax = _read_meta(data, 132 if preamble else 0, name)
    if syntax == DeflatedExplicitVRLittleEndian:
        whole = _inflated(memoryview(data)[start:], name)
        if len(whole) >= 8:
            _walk_elements(whole, 0, False, "<", name)
    elif len(data) >= start + 8:
        implicit, order = _encoding(data, start, syntax, name)
        places = _walk_elements(data, start, implicit, order, name)
        if places and preamble and syntax in _INDEXED_SYNTAXES:
            return ElementLayout(places, _INDEXED_SYNTAXES[syntax])
    return None


def check_uids(uids: Iterable[str], name: str) -> None:
    """Refuse UIDs with other characters than digits and dots, or with more than 64 of them (PS3.5 section 9.1).

    Raises:
        XmedError: UID_INVALID.
    """
    for uid in uids:
        if uid and (len(uid) > 64 or not _UID.fullmatch(uid)):
            raise XmedError(
                "UID_INVALID", f"{name} has an identifier that is not a UID", "digits and dots, 64 at most",
                "export it again; a UID that contains a path may be an attack",
            )  # fmt: skip


def _read_meta(data: bytes, at: int, name: str) -> tuple[int, str]:
    """Return where the data set begins, and the transfer syntax of the file meta information (PS3.10 7.1)."""
    syntax = ""
    while data[at : at + 2] == b"\x02\x00":
        vr, long = data[at + 4 : at + 6], data[at + 4 : at + 6] in _LONG_VRS
        header = 12 if long else 8
        if len(data) < at + header:
            raise _truncated(name)
        if not long and vr not in _SHORT_VRS:
            raise XmedError("META_LENGTH", f"{name} has a value of unknown type in its meta information", "PS3.10 7.1")
        length = int.from_bytes(data[at + 8 : at + 12] if long else data[at + 6 : at + 8], "little")
        if length > len(data) - at - header:
            if length <= 0xFFFF:
                raise _truncated(name)
            raise XmedError(
                "META_LENGTH", f"{name} claims {length} bytes of meta information", "at most the size of the file"
            )
        if data[at + 2 : at + 4] == b"\x10\x00":
            syntax = data[at + header : at + header + length].decode("ascii", "replace").strip("\0 ")
        at += header + length
    return at, syntax


def _encoding(data: bytes, at: int, syntax: str, name: str) -> tuple[bool, str]:
    """Return whether VRs are implicit, and the byte order, from the first element; it must agree with the syntax."""
    big = data[at] == 0 and data[at + 1] != 0  # groups begin at 0008
    explicit = data[at + 4 : at + 6] in _KNOWN_VRS
    implicit_claim, big_claim = syntax == ImplicitVRLittleEndian, syntax == ExplicitVRBigEndian
    if syntax and (explicit == implicit_claim or big != big_claim):
        raise XmedError(
            "TSUID_MISMATCH", f"{name} is not encoded in the transfer syntax it names", "the one it names",
            "export it again",
        )  # fmt: skip
    return not explicit, ">" if big else "<"


def _walk_elements(data: bytes, at: int, implicit: bool, order: str, name: str) -> ElementPlaces | None:
    """Visit all elements up to the pixels, and enter every sequence, with a list instead of recursion.

    Returns:
        Where the elements outside sequences lie, or None if the layout is not a simple one.
    """
    size, places, kinds = len(data), ElementPlaces(), _KINDS[order]
    short, long = struct.Struct(order + "HHHH").unpack_from, struct.Struct(order + "I").unpack_from
    # ends: where each open sequence or item ends; the end of the file if only a delimiter ends it
    met, ends = 0, list[int]()
    while at + 8 <= size:
        while ends and at >= ends[-1] and ends[-1] < size:
            ends.pop()
        # Tag, VR and length of this element (PS3.5 7.1.2, 7.1.3, 7.5)
        group, number, kind, length = short(data, at)
        met += 1
        if met > MAX_ELEMENTS:
            raise XmedError(
                "SIZE_CLAIM", f"{name} has more than {MAX_ELEMENTS} elements", "no more than real data sets have"
            )
        tag = group << 16 | number
        vr, header = _UNKNOWN_KIND if implicit or group == 0xFFFE else kinds.get(kind, _UNKNOWN_KIND)
        if vr is None and (implicit or group == 0xFFFE):
            length = long(data, at + 4)[0]
        elif header == 12:
            if at + 12 > size:
                raise _truncated(name)
            length = long(data, at + 8)[0]
        at += header
        if tag == _PIXELS and not ends:
            # `check_pixel_size` compares this length with the image size
            places[tag] = vr, at, length
            return places if at + length == size else None
        if vr is None and not implicit and group != 0xFFFE:
            return None  # a fault, or a VR of a later edition: the parser decides
        if length != UNDEFINED_LENGTH and length > size - at:
            raise _too_long(length, name)
        if not ends:
            places[tag] = vr, at, length
        if tag in (_ITEM_END, _SEQUENCE_END):
            del ends[-1:]
        elif tag == _ITEM or length == UNDEFINED_LENGTH or vr == "SQ":
            ends.append(size if length == UNDEFINED_LENGTH else at + length)
            if len(ends) > 2 * MAX_DEPTH:  # a sequence and its item
                raise XmedError(
                    "NESTING", f"{name} nests more than {MAX_DEPTH} sequences", "no more than real data sets have"
                )
        else:
            at += length
    return None


def _inflated(stream: memoryview, name: str) -> bytes:
    """Inflate a data set in chunks, and check its size meanwhile."""
    inflater, out = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    try:
        for at in range(0, len(stream), _CHUNK):
            waiting: bytes | memoryview = stream[at : at + _CHUNK]
            while waiting and not inflater.eof:
                out += inflater.decompress(waiting, 1 << 20)
                waiting = inflater.unconsumed_tail
                check_compression_ratio(len(out), len(stream), name)
                if len(out) > MAX_BYTES:
                    raise XmedError("SIZE_CLAIM", f"{name} inflates to over {MAX_BYTES} bytes", f"at most {MAX_BYTES}")
    except zlib.error as problem:
        raise XmedError("TSUID_MISMATCH", f"{name} does not inflate", "a deflated data set") from problem
    if not inflater.eof:
        raise _truncated(name)
    return bytes(out)


def _too_long(length: int, name: str) -> XmedError:
    if length > MAX_VALUE:
        return XmedError("SIZE_CLAIM", f"{name} claims a value of {length} bytes", "at most the size of the file")
    return _truncated(name)


def _truncated(name: str) -> XmedError:
    return XmedError("DICOM_TRUNCATED", f"{name} ends in its header", "a whole file", "fetch it again")
