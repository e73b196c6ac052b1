"""Frames: what the header says of each frame, in functional groups or in the data set itself."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydicom import Dataset
from pydicom.tag import Tag

from xmed.errors import XmedError

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


_tag = cache(Tag)


def stated(dataset: Dataset, keyword: str) -> Any:
    """What `dataset.get(keyword)` gives, ten times as fast: pydicom spells a keyword anew each time, tags it finds."""
    tag = _tag(keyword)
    return dataset[tag].value if tag in dataset else None


class _Stated(Mapping[str, Any]):
    """The attributes of a data set itself, each converted only when it is asked for: scanners write hundreds."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getitem__(self, keyword: str) -> Any:
        value = stated(self._dataset, keyword)
        if value is None:
            raise KeyError(keyword)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._dataset.dir())

    def __len__(self) -> int:
        return len(self._dataset)


def frame_attributes(dataset: Dataset) -> list[Mapping[str, Any]]:
    """For every frame its attributes by keyword: its own functional groups, then the shared ones, then the data set.

    The functional groups (PS3.3 C.7.6.16) are flattened: no keyword read here stands in two of them.
    """
    shared = _flat((dataset.get("SharedFunctionalGroupsSequence") or [None])[0])
    own = [_flat(groups) for groups in dataset.get("PerFrameFunctionalGroupsSequence") or ()]
    count = int(dataset.get("NumberOfFrames") or 1)
    if own and len(own) != count:
        raise XmedError("PIXEL_MODULE", f"{count} frames with {len(own)} functional groups", "one group for each frame")
    root = _Stated(dataset)
    return [ChainMap(mine, shared, root) for mine in own or [{} for _ in range(count)]]  # type: ignore[arg-type]


def _flat(groups: Dataset | None) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for macro in groups or ():
        for item in macro.value if macro.VR == "SQ" else ():
            flat |= {element.keyword: element.value for element in item}
    for direction in flat.get("DiffusionGradientDirectionSequence") or ():  # the one macro that nests (C.8.13.5.9)
        flat |= {element.keyword: element.value for element in direction}
    return flat
