"""Write a DICOM Segmentation of images without a position in space, such as ultrasound films.

A Segmentation needs Plane Position and a frame of reference only if its frames are not derived from those of an image
(PS3.3 A.51.3 and table A.51-2: Plane Position is required where Derivation Image is absent). highdicom 0.28 writes one
such frame at most; the others are copied from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
from highdicom.seg import Segmentation
from pydicom import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.tag import Tag

_FRAME_CONTENT, _TEMPORAL_POSITION = Tag("FrameContentSequence"), Tag("TemporalPositionIndex")


def film_segmentation(film: Dataset, masks: np.ndarray, named: Mapping[str, Any]) -> Segmentation:
    """Return a Segmentation of a single-frame or multi-frame image without planes.

    Frames in which a segment is empty are left out, as highdicom does. If all are empty, the first frame is kept.

    Args:
        film: Header of the image, without pixels.
        masks: uint8 of shape (frames, rows, columns, segments).
        named: The other arguments of `highdicom.seg.Segmentation`.
    """
    single, numbered = deepcopy(film), "NumberOfFrames" in film
    shared = Dataset()
    shared.PixelMeasuresSequence = [Dataset()]  # highdicom requires them of every multi-frame image
    single.NumberOfFrames, single.SharedFunctionalGroupsSequence = 1, [shared]
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator", "PixelSpacing"):  # without position
        single.pop(keyword, None)
    segments = named["segment_descriptions"]
    one_segment = {**named, "segment_descriptions": segments[:1]}
    segmentation = Segmentation([single], np.ones_like(masks[:1, ..., :1]), **one_segment)
    segmentation.SegmentSequence = list(segments)
    template = segmentation.PerFrameFunctionalGroupsSequence[0]
    for keyword in ("PixelMeasuresSequence", "SegmentIdentificationSequence"):  # not shared: each frame differs
        segmentation.SharedFunctionalGroupsSequence[0].pop(keyword, None)
    drawn = [(s, k) for s in range(masks.shape[3]) for k in range(len(masks)) if masks[k, ..., s].any()] or [(0, 0)]
    segmentation.PerFrameFunctionalGroupsSequence = [_frame_groups(template, s + 1, k + 1, numbered) for s, k in drawn]
    segmentation.NumberOfFrames = len(drawn)
    segmentation.PixelData = pack_bits(np.stack([masks[k, ..., s] for s, k in drawn]), pad=True)
    segmentation.DimensionIndexSequence.append(_time_dimension(segmentation.DimensionIndexSequence[0]))
    segmentation.PatientOrientation = ""  # type 2C (General Image): required without position, and unknown
    return segmentation


def _frame_groups(template: Dataset, segment: int, number: int, numbered: bool) -> Dataset:
    """Return the functional groups of a frame: its segment and its frame in the film, both counted from 1."""
    frame = deepcopy(template)
    content = frame.FrameContentSequence[0]
    content.DimensionIndexValues, content.TemporalPositionIndex = [segment, number], number
    frame.SegmentIdentificationSequence = [Dataset()]
    frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber = segment
    if numbered:
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber = number
    return frame


def _time_dimension(dimension: Dataset) -> Dataset:
    """Return the second dimension of the Dimension Index Sequence: the order of the film's frames."""
    second = Dataset()
    second.DimensionOrganizationUID = dimension.DimensionOrganizationUID
    second.DimensionIndexPointer, second.FunctionalGroupPointer = _TEMPORAL_POSITION, _FRAME_CONTENT
    second.DimensionDescriptionLabel = "Frame"
    return second
