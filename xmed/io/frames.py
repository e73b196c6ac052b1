"""Frames: what the header says of each frame, in functional groups or in the data set itself."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.header import Header

VOLUME_KEYWORDS = (
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "EchoTime",
    "EffectiveEchoTime",
)
"""Attributes that are one and the same throughout a volume: where they differ there are several."""
VARIANT_KEYWORDS = ("FrameType", "ImageType", "EchoNumbers", "InversionTime", "FlipAngle")
"""Attributes that may differ within a volume, and tell volumes apart where images share their positions."""
TIME_KEYWORDS = (
    "NominalCardiacTriggerDelayTime",
    "TriggerTime",
    "AcquisitionNumber",
    "FrameAcquisitionDateTime",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "ContentTime",
)
"""Attributes that grow from one image of a position to the next, and may differ from slice to slice as well."""


def frame_attributes(header: Header) -> list[Mapping[str, Any]]:
    """For every frame its attributes by keyword: its own functional groups, then the shared ones, then the data set.

    The functional groups (PS3.3 C.7.6.16) are flattened: no keyword read here stands in two of them.
    """
    count = int(header.get("NumberOfFrames") or 1)
    if not (header.get("SharedFunctionalGroupsSequence") or header.get("PerFrameFunctionalGroupsSequence")):
        return [header] * count
    shared = _flat((header.get("SharedFunctionalGroupsSequence") or [None])[0])
    own = [_flat(groups) for groups in header.get("PerFrameFunctionalGroupsSequence") or ()]
    if own and len(own) != count:
        raise XmedError("PIXEL_MODULE", f"{count} frames with {len(own)} functional groups", "one group for each frame")
    return [ChainMap(mine, shared, header) for mine in own or [{} for _ in range(count)]]  # type: ignore[arg-type]


def _flat(groups: Dataset | None) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for macro in groups or ():
        for item in macro.value if macro.VR == "SQ" else ():
            flat |= {element.keyword: element.value for element in item}
    for direction in flat.get("DiffusionGradientDirectionSequence") or ():  # the one macro that nests (C.8.13.5.9)
        flat |= {element.keyword: element.value for element in direction}
    return flat
