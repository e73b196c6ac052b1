"""Write measurements of a segmentation as a DICOM Structured Report (Measurement Report, PS3.16 TID 1500)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    ReferencedSegmentationFrame,
    SourceImageForSegmentation,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from xmed.errors import XmedError
from xmed.io.file_kinds import reader_errors
from xmed.io.objects.write_seg import Algorithm, save_whole, snomed_code
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume

MILLILITRE = Code("mL", "UCUM", "milliliter")  # missing in the UCUM table of pydicom 3.0
MeasurementGroup = (
    VolumetricROIMeasurementsAndQualitativeEvaluations
    | PlanarROIMeasurementsAndQualitativeEvaluations
    | MeasurementsAndQualitativeEvaluations
)


def write_sr(labels: Volume, seg: Path, table: LabelTable, path: str | Path, by: Algorithm) -> None:
    """Write the volume of each structure as a Comprehensive 3D SR that refers to the segments of a segmentation.

    Volumes are in mL (UCUM); a structure without voxels has 0 mL. The frames of an ultrasound film have no volume; for
    each structure the largest area over all frames is written instead, in cm². Patient and study are those of the
    segmentation. The report is marked as unverified.

    Args:
        labels: The labels that `write_seg` wrote into `seg`.
        seg: The DICOM Segmentation.
        table: The structures that `seg` was written with.
        path: The file to write.
        by: The model that made the labels.

    Raises:
        XmedError: FRAME_MISMATCH, GRID_MISMATCH for labels of another segmentation.
    """
    segmentation = pydicom.dcmread(seg, stop_before_pixels=True)
    _check_same_grid(labels, segmentation, seg.name)
    measured = _volume_group if "FrameOfReferenceUID" in segmentation else _area_group
    with reader_errors(f"the measurements of {seg.name}"):
        groups = [measured(labels, s, n, segmentation, by) for n, s in enumerate(table, start=1)]
        report = Comprehensive3DSR(
            evidence=[segmentation, *_source_images(segmentation)],
            content=_measurement_report(groups, by)[0],
            series_instance_uid=generate_uid(),
            series_number=int(segmentation.SeriesNumber) + 1,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="xmed",
            is_complete=True,
            series_description=f"{by.name} measurements"[:64],
        )
        report.ManufacturerModelName, report.SoftwareVersions = by.name, by.version
        report.SpecificCharacterSet = segmentation.SpecificCharacterSet
    save_whole(report, Path(path))


def _check_same_grid(labels: Volume, segmentation: Dataset, name: str) -> None:
    if (labels.frame or "") != segmentation.get("FrameOfReferenceUID", ""):
        raise XmedError("FRAME_MISMATCH", f"labels of another frame of reference than {name}", "what it was made from")
    if labels.array.shape[:2] != (segmentation.Columns, segmentation.Rows):
        raise XmedError("GRID_MISMATCH", f"labels of {labels.array.shape} for {name}", "what it was made from")


def _measurement_report(groups: list[MeasurementGroup], by: Algorithm) -> MeasurementReport:
    """Return the content of the report. The observer is the model: the same weights give the same observer UID."""
    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[by.weights_sha256]),  # same weights, same observer
        name=by.name,
        manufacturer_name="xmed",
        model_name=by.name,
        serial_number=by.version,
    )
    return MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(codes.DCM.Device, device),
        ),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )


def _volume_group(
    labels: Volume, structure: Structure, number: int, segmentation: Dataset, by: Algorithm
) -> MeasurementGroup:
    """Return the volume of a structure."""
    voxels = int(np.count_nonzero(labels.array == structure.value))
    millilitres = voxels * labels.grid.voxel_ml
    segment = ReferencedSegment(
        segmentation.SOPClassUID,
        segmentation.SOPInstanceUID,
        segment_number=number,
        source_series=SourceSeriesForSegmentation(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID),
    )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=segment,
        measurements=[Measurement(codes.SCT.Volume, millilitres, MILLILITRE)],
        **_shared_arguments(structure, by),
    )


def _area_group(
    labels: Volume, structure: Structure, number: int, segmentation: Dataset, by: Algorithm
) -> MeasurementGroup:
    """Return the largest area of a structure over the frames of a film."""
    pixels = np.count_nonzero(labels.array == structure.value, axis=(0, 1))
    largest = int(np.argmax(pixels))
    x, y, _ = labels.spacing
    area = Measurement(
        codes.SCT.Area, pixels[largest] * x * y / 100, codes.UCUM.SquareCentimeter, derivation=codes.SCT.Maximum
    )
    if not pixels[largest]:  # without a marked frame, no region can be referenced
        return MeasurementsAndQualitativeEvaluations(measurements=[area], **_shared_arguments(structure, by))
    film = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    segment = ReferencedSegmentationFrame(
        segmentation.SOPClassUID,
        segmentation.SOPInstanceUID,
        frame_number=_segmentation_frame(segmentation, number, largest + 1),
        segment_number=number,
        source_image=SourceImageForSegmentation(film.ReferencedSOPClassUID, film.ReferencedSOPInstanceUID),
    )
    # PS3.3 table C.18.4-1 does not allow it beside a frame number
    del segment[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=segment, measurements=[area], **_shared_arguments(structure, by)
    )


def _segmentation_frame(segmentation: Dataset, segment: int, number: int) -> int:
    """Return the frame of the segmentation, from 1, that shows `segment` on frame `number` of the film."""
    index_values = [segment, number]
    frames = segmentation.PerFrameFunctionalGroupsSequence
    return 1 + [list(frame.FrameContentSequence[0].DimensionIndexValues) for frame in frames].index(index_values)


def _shared_arguments(structure: Structure, by: Algorithm) -> dict[str, Any]:
    """Return the arguments that all measurement groups share."""
    return {
        "tracking_identifier": TrackingIdentifier(uid=generate_uid(), identifier=structure.name),
        "finding_category": snomed_code(str(structure.category), structure.name),
        "finding_type": snomed_code(str(structure.type), structure.name),
        "algorithm_id": AlgorithmIdentification(
            by.name, by.version, parameters=[f"weights_sha256 {by.weights_sha256}"], manufacturer="xmed"
        ),
    }


def _source_images(segmentation: Dataset) -> list[Dataset]:
    """Return the images that a segmentation refers to, as the evidence of a report."""
    images = []
    for series in segmentation.ReferencedSeriesSequence:
        for item in series.ReferencedInstanceSequence:
            image = Dataset()
            image.StudyInstanceUID, image.SeriesInstanceUID = segmentation.StudyInstanceUID, series.SeriesInstanceUID
            image.SOPClassUID, image.SOPInstanceUID = item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID
            images.append(image)
    return images
