"""Collect the attributes of each frame from functional groups or from the data set itself."""

from __future__ import annotations

from collections import ChainMap
from typing import Any, Protocol

from xmed.errors import XmedError
from xmed.io.dicom.clock import Attributes
from xmed.io.dicom.functional_groups import flatten_groups
from xmed.io.dicom.header import Header

VOLUME_KEYWORDS = (
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "EchoTime",
    "EffectiveEchoTime",
)
"""Attributes that are constant within a volume: different values mean several volumes."""
VARIANT_KEYWORDS = (
    "FrameType",
    "ImageType",
    "ComplexImageComponent",
    "EchoNumbers",
    "InversionTime",
    "InversionTimes",
    "FlipAngle",
    "VelocityEncodingDirection",
    "ASLContext",
    "ConvolutionKernel",
    "KVP",
)
"""Attributes that may vary within a volume, but distinguish volumes whose images share their positions."""


class FrameAttributes(Attributes, Protocol):
    """The attributes of one frame by keyword. The type of a value depends on its value representation (PS3.5 6.2)."""

    def __getitem__(self, keyword: str, /) -> Any: ...


def frame_attributes(header: Header) -> list[FrameAttributes]:
    """Return the attributes of every frame by keyword.

    The frame's own functional groups have priority, then the shared ones, then the data set (PS3.3 C.7.6.16). Each
    attribute is read only from its own macro, see `MACROS`.

    Raises:
        XmedError: PIXEL_MODULE if the number of functional groups differs from the number of frames.
    """
    count = int(header.get("NumberOfFrames") or 1)
    if not (header.get("SharedFunctionalGroupsSequence") or header.get("PerFrameFunctionalGroupsSequence")):
        return [header] * count
    shared = flatten_groups((header.get("SharedFunctionalGroupsSequence") or [None])[0])
    per_frame = [flatten_groups(groups) for groups in header.get("PerFrameFunctionalGroupsSequence") or ()]
    if per_frame and len(per_frame) != count:
        raise XmedError(
            "PIXEL_MODULE", f"{count} frames with {len(per_frame)} functional groups", "one group for each frame"
        )
    frames = per_frame or [{} for _ in range(count)]
    # ChainMap is only read from here, so that the header need not be a mutable mapping.
    return [ChainMap(own, shared, header) for own in frames]  # type: ignore[arg-type]  # see the line above
