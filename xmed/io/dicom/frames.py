"""Frames: what the header says of each frame, in functional groups or in the data set itself."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from xmed.errors import XmedError
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
"""Attributes that are one and the same throughout a volume: where they differ there are several."""
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
"""Attributes that may differ within a volume, and tell volumes apart where images share their positions."""


def frame_attributes(header: Header) -> list[Mapping[str, Any]]:
    """For every frame its attributes by keyword: its own functional groups, then the shared ones, then the data set.

    Of the functional groups (PS3.3 C.7.6.16) those of the standard are read, each attribute from its own: see `MACROS`.
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
    return [ChainMap(own_attributes, shared, header) for own_attributes in per_frame or [{} for _ in range(count)]]  # type: ignore[arg-type]
