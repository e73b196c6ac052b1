"""Write a label map as a DICOM Segmentation that viewers can show on top of its source images.

Images without a position in space, such as ultrasound films, are written as well. A Segmentation needs Plane Position
and a frame of reference only if its frames are not derived from those of an image (PS3.3 A.51.3 and table A.51-2: Plane
Position is required where Derivation Image is absent). highdicom 0.28 writes one such frame at most; the others are
copied from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import generate_uid

from xmed.errors import XmedError
from xmed.io.file_kinds import Source, replace_when_complete
from xmed.io.notes import add_note, collect_notes
from xmed.io.objects.source_images import SourceImages, read_source_images
from xmed.io.sandbox.limits import grow_limits
from xmed.labels import LabelTable
from xmed.volume import Volume

_FRAME_CONTENT, _TEMPORAL_POSITION = Tag("FrameContentSequence"), Tag("TemporalPositionIndex")
_BYTES_PER_VOXEL = 64  # highdicom makes several copies of the labels for each structure


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


@dataclass(frozen=True)
class Algorithm:
    """The model that made a segmentation.

    Attributes:
        name: At most 64 characters.
        version: At most 64 characters.
        weights_sha256: SHA-256 of the weights, hexadecimal.
    """

    name: str
    version: str
    weights_sha256: str


def write_seg(
    labels: Volume,
    source: Source,
    table: LabelTable,
    path: str | Path,
    by: Algorithm,
    header: Callable[[Dataset], Dataset] | None = None,
) -> None:
    """Write labels as a binary DICOM Segmentation (PS3.3 A.51) that refers to the frames of its source images.

    The frames of an ultrasound film have no position in space and are referred to by number. An existing file is
    replaced only when the new one is complete.

    Args:
        labels: Values of `table`, on the grid of the series.
        source: The DICOM series that was segmented.
        table: The structures, with SNOMED-CT codes.
        path: The file to write.
        by: The model that made the labels.
        header: Changes the header of each source image. Patient, study and frame of reference are then taken from the
            result instead of the source.

    Raises:
        XmedError: FRAME_MISMATCH, GRID_MISMATCH, LABEL_VALUES, SPEC_INVALID (a structure without codes), NOT_REFERABLE,
            and the codes of `read_series`.
    """
    grow_limits(_BYTES_PER_VOXEL * labels.array.size)
    with collect_notes():  # already noted when the image was read
        images = read_source_images(source) if header is None else read_source_images(source).with_headers(header)
    images.check_same_grid(labels)
    save_whole(_segmentation(images, labels, table, by), Path(path))


def check_seg(source: Source, table: LabelTable, by: Algorithm) -> None:
    """Check that `write_seg` will be able to write labels for `source`, by making an empty segmentation.

    Patient and study attributes that will be filled in or left empty are noted.

    Args:
        source: The DICOM series.
        table: The structures, with SNOMED-CT codes.
        by: The model.

    Raises:
        XmedError: The codes of `write_seg`.
    """
    with collect_notes() as notes:
        images = read_source_images(source)
    for recorded in notes:
        if recorded.code == "OBJECT_FILLED":  # the others were noted when the image was read
            add_note(recorded.code, recorded.text)
    grow_limits(_BYTES_PER_VOXEL * int(np.prod(images.grid.shape)))
    nothing = Volume(np.zeros(images.grid.shape, dtype=np.uint8), images.grid.affine, images.grid.frame)
    _segmentation(images, nothing, table, by)


def _segmentation(images: SourceImages, labels: Volume, table: LabelTable, by: Algorithm) -> Segmentation:
    """Make the DICOM object."""
    values = table.check(labels.array)
    segments = _descriptions(table, by)
    masks = np.stack([values == structure.value for structure in table], axis=-1).astype(np.uint8)
    frames = masks.transpose(2, 1, 0, 3)[images.order]  # frames, rows, columns, segments
    arguments: dict[str, Any] = {
        "segmentation_type": SegmentationTypeValues.BINARY,
        "segment_descriptions": segments,
        "series_instance_uid": generate_uid(),
        "series_number": _series_number(images.images[0]),
        "sop_instance_uid": generate_uid(),
        "instance_number": 1,
        "manufacturer": "xmed",
        "manufacturer_model_name": by.name,
        "software_versions": by.version,
        "device_serial_number": "none",
        "series_description": f"{by.name} {by.version}"[:64],
    }
    try:
        if images.placed:
            segmentation = Segmentation(images.images, frames, **arguments)
        else:
            segmentation = film_segmentation(images.images[0], frames, arguments)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as problem:
        raise XmedError(
            "NOT_REFERABLE",
            f"{len(images.images)} images for which no segmentation can be made ({type(problem).__name__})",
            "images of standard SOP classes, with complete headers",
            "write NIfTI",
        ) from problem
    segmentation.SpecificCharacterSet = "ISO_IR 192"  # UTF-8, so that it can hold the names of any source
    return segmentation


def _series_number(image: Dataset) -> int:
    """Return a series number above those that scanners use; 1000 if that of the image is not a number."""
    try:
        number = int(str(image.get("SeriesNumber") or 0)) + 1000
    except ValueError:
        return 1000
    return number if 0 < number < 1 << 31 else 1000


def save_whole(dataset: Dataset, path: Path) -> None:
    """Write a DICOM file so that an existing one is replaced only when the new one is complete."""
    with replace_when_complete(path) as part:
        dataset.save_as(part, enforce_file_format=True)


def snomed_code(value: str, otherwise: str) -> Code:
    """Return a SNOMED-CT code with the meaning from the tables of DICOM, or with the given meaning."""
    matches = (code for code in codes.SCT.concepts.values() if code.value == value)
    return next(matches, Code(value, "SCT", otherwise))


def _descriptions(table: LabelTable, by: Algorithm) -> Sequence[SegmentDescription]:
    """Return the segment descriptions, numbered from 1 in the order of the table."""
    algorithm = AlgorithmIdentificationSequence(
        name=by.name,
        family=codes.cid7162.ArtificialIntelligence,
        version=by.version,
        parameters={"weights_sha256": by.weights_sha256},
    )
    descriptions = []
    for number, structure in enumerate(table, start=1):
        if not structure.category or not structure.type:
            raise XmedError(
                "SPEC_INVALID",
                f"structure '{structure.name}' has no SNOMED-CT codes",
                "category and type codes, which DICOM SEG requires",
                "name them in the dataset spec's labels",
            )
        descriptions.append(
            SegmentDescription(
                segment_number=number,
                segment_label=structure.name,
                segmented_property_category=snomed_code(structure.category, structure.name),
                segmented_property_type=snomed_code(structure.type, structure.name),
                algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=algorithm,
            )
        )
    return descriptions
