"""SEG object: a label map as a DICOM Segmentation that any viewer can lay over its source images."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from xmed.errors import XmedError
from xmed.io.dicom import one_series, sorted_planes
from xmed.io.files import reading
from xmed.io.instance import Instance
from xmed.io.planes import Plane, has_planes
from xmed.io.stack import affine_of
from xmed.labels import LabelTable
from xmed.volume import Grid, Volume

PATIENT_AND_STUDY = [
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
]
"""Type 2 attributes of the Patient and General Study modules: they must be there, and may be empty (PS3.5 7.4.3)."""


def write_seg(labels: Volume, source: Path, table: LabelTable, path: str | Path, *, model: str, version: str) -> None:
    """Write `labels` as a binary DICOM SEG (PS3.3 A.51) that refers to the images in `source`, frame by frame.

    labels: values of `table`, on the grid of the series. model, version: who drew it, for the algorithm identification.
    The file appears whole or not at all.

    Raises XmedError FRAME_MISMATCH, GRID_MISMATCH, LABEL_VALUES, SPEC_INVALID (a structure without SNOMED-CT codes),
    and those of `read_series` for the source's geometry.
    """
    instances = one_series(source)
    if not has_planes(instances[0]):
        raise XmedError(
            "NO_GEOMETRY",
            f"{instances[0].name} says not where its frames lie",
            "images with a place in space, which a segmentation refers to",
            "write NIfTI",
        )
    planes = sorted_planes(instances)
    _same_place(labels, planes)
    values = table.check(labels.array)
    masks = np.stack([values == structure.value for structure in table], axis=-1).astype(np.uint8)
    segments = _descriptions(table, model, version)
    images, order = _referenced(instances, planes)
    with reading(f"a segmentation of {len(images)} source objects"):
        segmentation = Segmentation(
            source_images=images,
            pixel_array=masks.transpose(2, 1, 0, 3)[order],  # frames, rows, columns, segments
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            series_instance_uid=generate_uid(),
            series_number=int(images[0].get("SeriesNumber") or 0) + 1000,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="xmed",
            manufacturer_model_name=model,
            software_versions=version,
            device_serial_number="none",
            series_description=f"{model} {version}"[:64],
        )
    _save(segmentation, Path(path))


def _save(segmentation: Segmentation, path: Path) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        segmentation.save_as(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _same_place(labels: Volume, planes: Sequence[Plane]) -> None:
    rows, columns = planes[0].size
    grid = Grid((columns, rows, len(planes)), affine_of(planes), planes[0].frame)
    if labels.frame != grid.frame:
        raise XmedError("FRAME_MISMATCH", "labels of another frame of reference", "that of the source images")
    if not labels.grid.same(grid):
        raise XmedError(
            "GRID_MISMATCH",
            f"labels of {labels.array.shape}, up to {labels.grid.distance(grid):.3g} mm from the source's voxels",
            f"the source's own grid, {grid.shape}",
            "resample the labels onto it",
        )


def _descriptions(table: LabelTable, model: str, version: str) -> list[SegmentDescription]:
    algorithm = AlgorithmIdentificationSequence(
        name=model, family=codes.cid7162.ArtificialIntelligence, version=version
    )
    found = []
    for number, structure in enumerate(table, start=1):
        if not structure.category or not structure.type:
            raise XmedError(
                "SPEC_INVALID",
                f"structure '{structure.name}' has no SNOMED-CT codes",
                "category and type codes, which DICOM SEG requires",
                "name them in the dataset spec's labels",
            )
        found.append(
            SegmentDescription(
                segment_number=number,
                segment_label=structure.name,
                segmented_property_category=_code(structure.category, structure.name),
                segmented_property_type=_code(structure.type, structure.name),
                algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=algorithm,
            )
        )
    return found


def _code(value: str, otherwise: str) -> Code:
    """A SNOMED-CT code with the meaning that DICOM's own tables give it, or else the structure's name."""
    known = (code for code in codes.SCT.concepts.values() if code.value == value)
    return next(known, Code(value, "SCT", otherwise))


def _referenced(instances: Sequence[Instance], planes: Sequence[Plane]) -> tuple[list[Dataset], list[int]]:
    """The source as highdicom takes it, and for each of its frames the slice k that lies there."""
    multiframe = [instance for instance in instances if int(instance.dataset.get("NumberOfFrames") or 1) > 1]
    if not multiframe:
        return [_complete(instances[plane.owner].dataset) for plane in planes], list(range(len(planes)))
    slice_of = {plane.number: k for k, plane in enumerate(planes)}
    if len(instances) > 1 or len(slice_of) != int(multiframe[0].dataset.NumberOfFrames):
        raise XmedError(
            "MULTI_VOLUME", f"{len(instances)} objects, {len(planes)} different slices", "one frame for each slice"
        )
    dataset = _complete(multiframe[0].dataset)
    if "VolumeFrameOfReferenceUID" in dataset:
        _in_patient_terms(dataset, planes)
    return [dataset], [slice_of[number] for number in range(len(planes))]


def _complete(dataset: Dataset) -> Dataset:
    copy = Dataset({element.tag: element for element in dataset if element.keyword != "PixelData"})
    copy.file_meta = dataset.file_meta
    for keyword in PATIENT_AND_STUDY:
        if keyword not in copy:
            setattr(copy, keyword, "")
    return copy


def _in_patient_terms(dataset: Dataset, planes: Sequence[Plane]) -> None:
    """State the planes of an Enhanced US Volume where highdicom looks for planes.

    A Segmentation has no functional group for volume coordinates; the frame of reference says whose they are.
    """
    first = planes[0]
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(first.spacing), first.depth
    orientation.ImageOrientationPatient = [*map(float, first.row), *map(float, first.column)]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    dataset.FrameOfReferenceUID = first.frame
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = deepcopy(dataset.PerFrameFunctionalGroupsSequence)
    for plane in planes:
        position = Dataset()
        position.ImagePositionPatient = [float(x) for x in plane.position]
        dataset.PerFrameFunctionalGroupsSequence[plane.number].PlanePositionSequence = [position]
