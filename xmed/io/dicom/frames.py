"""Collect the attributes of each frame from functional groups or from the data set itself.

Scanners add private groups, and repeat standard attributes in them with another meaning: Philips keeps the position of
another corner as Image Position (Patient) in (2005,140F). Sequences of the standard repeat attributes of other images
as well (Referenced Image Sequence).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from pydicom import Dataset
from pydicom.tag import BaseTag, Tag

from xmed.errors import XmedError
from xmed.io.dicom.clock import Attributes
from xmed.io.dicom.header import Header

_CONVERTED = (
    "EchoTime EchoNumbers InversionTime TriggerTime TemporalPositionIdentifier AcquisitionNumber AcquisitionDate"
    " AcquisitionTime AcquisitionDateTime ContentDate ContentTime FrameReferenceTime"
)
_FRAME_TYPE = "FrameType VolumetricProperties VolumeBasedCalculationTechnique"
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


class Macro(NamedTuple):
    """A functional group macro.

    Attributes:
        path: Keywords of the sequences that lead to the attributes.
        keywords: Keywords of the attributes.
        paragraph: Paragraph of PS3.3.
        several: Whether the standard allows several items; their values are then joined.
    """

    path: tuple[str, ...]
    keywords: tuple[str, ...]
    paragraph: str
    several: bool = False
    """Whether the standard allows several items; their sequences are joined then."""


def _macro(path: str, keywords: str, paragraph: str, several: bool = False) -> Macro:
    return Macro(tuple(path.split()), tuple(keywords.split()), paragraph, several)


MACROS = (
    # Common to all images
    _macro("PixelMeasuresSequence", "PixelSpacing SliceThickness SpacingBetweenSlices", "C.7.6.16.2.1"),
    _macro(
        "FrameContentSequence",
        "FrameAcquisitionNumber FrameReferenceDateTime FrameAcquisitionDateTime FrameAcquisitionDuration"
        " DimensionIndexValues TemporalPositionIndex StackID InStackPositionNumber",
        "C.7.6.16.2.2",
    ),
    _macro("PlanePositionSequence", "ImagePositionPatient", "C.7.6.16.2.3"),
    _macro("PlaneOrientationSequence", "ImageOrientationPatient", "C.7.6.16.2.4"),
    _macro("DerivationImageSequence", "SourceImageSequence", "C.7.6.16.2.6", several=True),
    _macro(
        "CardiacSynchronizationSequence",
        "NominalPercentageOfCardiacPhase NominalCardiacTriggerDelayTime ActualCardiacTriggerDelayTime",
        "C.7.6.16.2.7",
    ),
    _macro("FrameAnatomySequence", "FrameLaterality", "C.7.6.16.2.8"),
    _macro("PixelValueTransformationSequence", "RescaleIntercept RescaleSlope RescaleType", "C.7.6.16.2.9"),
    _macro("FrameVOILUTSequence", "WindowCenter WindowWidth", "C.7.6.16.2.10"),
    _macro(
        "RespiratorySynchronizationSequence",
        "NominalPercentageOfRespiratoryPhase NominalRespiratoryTriggerDelayTime",
        "C.7.6.16.2.17",
    ),
    _macro("PlanePositionVolumeSequence", "ImagePositionVolume", "C.7.6.16.2.21"),
    _macro("PlaneOrientationVolumeSequence", "ImageOrientationVolume", "C.7.6.16.2.22"),
    _macro("TemporalPositionSequence", "TemporalPositionTimeOffset", "C.7.6.16.2.23"),
    _macro("SegmentIdentificationSequence", "ReferencedSegmentNumber", "C.8.20.3.1"),
    # Of magnetic resonance
    _macro("MRImageFrameTypeSequence", f"{_FRAME_TYPE} ComplexImageComponent AcquisitionContrast", "C.8.13.5.1"),
    _macro("MRTimingAndRelatedParametersSequence", "RepetitionTime FlipAngle EchoTrainLength", "C.8.13.5.2"),
    _macro("MREchoSequence", "EffectiveEchoTime", "C.8.13.5.4"),
    _macro("MRModifierSequence", "InversionTimes", "C.8.13.5.5"),
    _macro("MRDiffusionSequence", "DiffusionBValue DiffusionDirectionality", "C.8.13.5.9"),
    _macro("MRDiffusionSequence DiffusionGradientDirectionSequence", "DiffusionGradientOrientation", "C.8.13.5.9"),
    _macro("MRVelocityEncodingSequence", "VelocityEncodingDirection", "C.8.13.5.13"),
    _macro("MRArterialSpinLabelingSequence", "ASLContext", "C.8.13.5.14"),
    # Of computed tomography, positron emission tomography, ultrasound and others
    _macro("CTImageFrameTypeSequence", _FRAME_TYPE, "C.8.15.3.1"),
    _macro("CTReconstructionSequence", "ConvolutionKernel", "C.8.15.3.7"),
    _macro("CTXRayDetailsSequence", "KVP", "C.8.15.3.9"),
    _macro("PETFrameTypeSequence", _FRAME_TYPE, "C.8.22.5.1"),
    _macro("USImageDescriptionSequence", _FRAME_TYPE, "C.8.24.6.1"),
    _macro("XRay3DFrameTypeSequence", _FRAME_TYPE, "C.8.21.5.1"),
    _macro("ParametricMapFrameTypeSequence", _FRAME_TYPE, "C.8.32.3.1"),
    # For attributes without a macro in converted single frames; none of those read here is in a macro above
    _macro("UnassignedSharedConvertedAttributesSequence", _CONVERTED, "C.7.6.16.2.25"),
    _macro("UnassignedPerFrameConvertedAttributesSequence", _CONVERTED, "C.7.6.16.2.26"),
)
"""The macros that are read, each attribute in one place."""
_PLACES = [(macro, [Tag(word) for word in macro.path], [(k, Tag(k)) for k in macro.keywords]) for macro in MACROS]


def flatten_groups(groups: Dataset | None) -> dict[str, Any]:
    """Return the attributes by keyword that the functional groups of a frame, or the shared ones, contain.

    Raises:
        XmedError: PIXEL_MODULE for several items with different values where the standard allows one item.
    """
    attributes: dict[str, Any] = {}
    if groups is None:
        return attributes
    for macro, path, keywords in _PLACES:
        items = list(_items(groups, path))
        for keyword, tag in keywords if items else ():
            stated = [item[tag].value for item in items if tag in item]
            if not stated:
                continue
            if macro.several:
                attributes[keyword] = [value_item for value in stated for value_item in value or ()]
            elif any(other != stated[0] for other in stated[1:]):
                raise XmedError(
                    "PIXEL_MODULE",
                    f"{len(stated)} items of {macro.path[-1]} with different {keyword}",
                    f"one item (PS3.3 {macro.paragraph})",
                    "export it again",
                )
            else:
                attributes[keyword] = stated[0]
    return attributes


def _items(groups: Dataset, path: Sequence[BaseTag]) -> Iterator[Dataset]:
    if path[0] not in groups or groups[path[0]].VR != "SQ":
        return
    for item in groups[path[0]].value:
        if len(path) == 1:
            yield item
        else:
            yield from _items(item, path[1:])


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
