"""Write the DICOM objects of xmed's phantom as a scanner would write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedUSVolumeStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)
from pydicom.valuerep import DS

from xmed.errors import XmedError
from xmed.volume import GEOMETRY_TOLERANCE_MM, Volume

FIXED_DATE = "20240101"
FIXED_DATETIME = f"{FIXED_DATE}120000"
"""Date and time of all objects, so that the bytes do not depend on the day of writing."""
DURATION_MS = 1000.0
LOWEST_HU = -1024
"""The Hounsfield units of a stored 0."""


@dataclass(frozen=True)
class SeriesIdentity:
    """Patient and scanner of a synthetic series. Every UID is derived from these values.

    Attributes:
        patient: Patient ID and family name.
        manufacturer: Manufacturer.
        model: Manufacturer's model name.
        description: Series description.
    """

    patient: str
    manufacturer: str
    model: str
    description: str

    def uid(self, *what: object) -> UID:
        """Make a UID.

        Args:
            *what: What the UID is of.

        Returns:
            A UID that is the same for equal arguments, and different for others (PS3.5 B.2).
        """
        return generate_uid(entropy_srcs=[self.patient, self.model, self.description, *map(str, what)])


def decimal_strings(values: Iterable[float]) -> list[Any]:
    """Convert numbers to Decimal Strings of at most 16 characters (PS3.5 6.2), which the values of scanners exceed."""
    return [DS(float(value), auto_format=True) for value in values]


def write_series(
    volume: Volume, folder: str | Path, header: SeriesIdentity, order: Sequence[int] | None = None
) -> list[Path]:
    """Write an MR or CT volume as a series of single-frame images, one file for each slice.

    Args:
        volume: Of shape (columns, rows, slices): MR in uint16, CT in int16, whose values are Hounsfield units.
        folder: Where to write.
        header: Patient and scanner.
        order: Instance Number − 1 of each slice, from which files are named; by default the order of the slices.

    Returns:
        The files by Instance Number.

    Raises:
        XmedError: DTYPE, AFFINE_INVALID (axes not orthogonal or left-handed).
    """
    folder, order = Path(folder), list(range(volume.array.shape[2]) if order is None else order)
    is_ct = volume.modality == "CT"
    if volume.array.dtype != (np.int16 if is_ct else np.uint16):
        raise XmedError("DTYPE", f"voxels of type {volume.array.dtype}", "uint16 for an MR series, int16 for CT")
    directions = _directions(volume)
    folder.mkdir(parents=True, exist_ok=True)
    for k, number in enumerate(order):
        ds = _ct_slice(header, volume.array[:, :, k], k) if is_ct else _mr_slice(header, volume.array[:, :, k], k)
        ds.InstanceNumber = number + 1
        ds.FrameOfReferenceUID = volume.frame or header.uid("frame")
        ds.PositionReferenceIndicator, ds.PatientPosition = "", "HFS"
        ds.ImagePositionPatient = decimal_strings(volume.affine[:3, 3] + k * volume.affine[:3, 2])
        ds.ImageOrientationPatient = decimal_strings(directions[:, :2].T.ravel())
        columns_apart, rows_apart, slices_apart = volume.spacing
        ds.PixelSpacing = decimal_strings([rows_apart, columns_apart])
        ds.SliceThickness, ds.SpacingBetweenSlices = decimal_strings([slices_apart, slices_apart])
        _save(ds, folder / _name(number))
    return [folder / _name(number) for number in sorted(order)]


def _mr_slice(header: SeriesIdentity, pixels: np.ndarray, k: int) -> Dataset:
    """Return an MR image (PS3.3 A.4) without its place, of a 2-D spin-echo sequence."""
    ds = _new_object(header, MRImageStorage, pixels, ("instance", k))
    ds.ImageType, ds.Modality = ["ORIGINAL", "PRIMARY", "M", "SE"], "MR"
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SE", "SK", "", "2D"
    ds.EchoTime, ds.RepetitionTime, ds.EchoTrainLength, ds.MagneticFieldStrength = 101, 4200, 15, 3
    return ds


def _ct_slice(header: SeriesIdentity, pixels: np.ndarray, k: int) -> Dataset:
    """Return a CT image (PS3.3 A.3) without its place; its values are stored as a scanner does, from -1024 HU on."""
    ds = _new_object(header, CTImageStorage, (pixels - LOWEST_HU).astype(np.uint16), ("instance", k))
    ds.ImageType, ds.Modality = ["ORIGINAL", "PRIMARY", "AXIAL"], "CT"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = LOWEST_HU, 1, "HU"
    ds.KVP, ds.ConvolutionKernel, ds.AcquisitionNumber = 120, "SOFT", 1
    return ds


def write_ultrasound_volume(volume: Volume, path: str | Path, header: SeriesIdentity) -> None:
    """Write a volume as an Enhanced US Volume (PS3.3 A.59), one multi-frame file.

    The affine is that of the Volume Frame of Reference (C.8.24.2), which belongs to the transducer.

    Args:
        volume: uint8 of shape (columns, rows, frames).
        path: The file.
        header: Patient and scanner.

    Raises:
        XmedError: DTYPE, AFFINE_INVALID (axes not orthogonal or left-handed).
    """
    path = Path(path)
    if volume.array.dtype != np.uint8:
        raise XmedError("DTYPE", f"voxels of type {volume.array.dtype}", "uint8 for an ultrasound volume")
    directions, spacing = _directions(volume), volume.spacing
    ds = _new_object(header, EnhancedUSVolumeStorage, volume.array, ("volume",))
    ds.ImageType, ds.Modality, ds.InstanceNumber = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "US", 1
    ds.AcquisitionDateTime, ds.AcquisitionDuration, ds.ContentQualification = FIXED_DATETIME, DURATION_MS, "RESEARCH"
    ds.BurnedInAnnotation, ds.LossyImageCompression, ds.PresentationLUTShape = "NO", "00", "IDENTITY"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator, ds.PatientOrientation = header.uid("frame"), "", ""
    ds.VolumeFrameOfReferenceUID = volume.frame or header.uid("volume frame")
    ds.UltrasoundAcquisitionGeometry, ds.ApexPosition = "APEX", [0.0, 0.0, 0.0]
    ds.VolumeToTransducerRelationship = "FIXED"
    ds.VolumeToTransducerMappingMatrix = np.eye(4).ravel().tolist()
    ds.SynchronizationFrameOfReferenceUID = header.uid("clock")
    ds.SynchronizationTrigger, ds.AcquisitionTimeSynchronized = "NO TRIGGER", "N"
    ds.AcquisitionContextSequence = []
    _add_transducer(ds, spacing[1] * volume.array.shape[1])
    _add_frames(ds, volume, directions, header)
    path.parent.mkdir(parents=True, exist_ok=True)
    _save(ds, path)


def _add_transducer(ds: Dataset, depth: float) -> None:
    """Add the Enhanced US Image module (PS3.3 C.8.24.3) of a curved array that a motor tilts; `depth` in mm."""
    ds.PositionMeasuringDeviceUsed, ds.DepthsOfFocus, ds.DepthOfScanField = "RIGID", depth / 2, round(depth)
    ds.MechanicalIndex, ds.BoneThermalIndex, ds.CranialThermalIndex, ds.SoftTissueThermalIndex = 1.0, 0.5, 0.5, 0.5
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    ds.TransducerScanPatternCodeSequence = [_code_item(codes.cid12032.VolumeScanPattern)]
    ds.TransducerGeometryCodeSequence = [_code_item(codes.cid12033.CurvedLinearUltrasoundTransducerGeometry)]
    ds.TransducerBeamSteeringCodeSequence = [_code_item(codes.cid12034.MechanicalBeamSteering)]
    ds.TransducerApplicationCodeSequence = [_code_item(codes.cid12035.ExternalTransducer)]
    ds.AnatomicRegionSequence = [_code_item(Code("12921003", "SCT", "Pelvis"))]
    ds.ViewCodeSequence = [_code_item(codes.SCT.ObliqueAxial)]


def _add_frames(ds: Dataset, volume: Volume, directions: np.ndarray, header: SeriesIdentity) -> None:
    """Add the multi-frame dimension and functional groups (PS3.3 C.7.6.16, C.7.6.17)."""
    columns_apart, rows_apart, frames_apart = volume.spacing
    dimension = _item(DimensionOrganizationUID=header.uid("dimension"))
    ds.NumberOfFrames, ds.DimensionOrganizationType = volume.array.shape[2], "3D"
    ds.DimensionOrganizationSequence = [dimension]
    pointer = _item(DimensionIndexPointer=0x00209301, FunctionalGroupPointer=0x0020930E)  # Image Position (Volume)
    pointer.DimensionOrganizationUID = dimension.DimensionOrganizationUID
    ds.DimensionIndexSequence = [pointer]
    measures = _item(
        PixelSpacing=decimal_strings([rows_apart, columns_apart]), SliceThickness=decimal_strings([frames_apart])[0]
    )
    measures.SpacingBetweenSlices = measures.SliceThickness
    kind = _item(FrameType=ds.ImageType, VolumetricProperties="VOLUME", VolumeBasedCalculationTechnique="NONE")
    shared = _item(
        PixelMeasuresSequence=[measures],
        PlaneOrientationVolumeSequence=[_item(ImageOrientationVolume=directions[:, :2].T.ravel().tolist())],
        ImageDataTypeSequence=[_item(DataType="TISSUE_INTENSITY", AliasedDataType="NO")],
        FrameVOILUTSequence=[_item(WindowCenter="127.5", WindowWidth="255")],
        USImageDescriptionSequence=[kind],
    )
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in range(volume.array.shape[2]):
        position = (volume.affine[:3, 3] + k * volume.affine[:3, 2]).tolist()
        content = _item(
            DimensionIndexValues=[k + 1], FrameAcquisitionDateTime=FIXED_DATETIME, FrameReferenceDateTime=FIXED_DATETIME
        )
        content.FrameAcquisitionDuration = DURATION_MS
        place = _item(ImagePositionVolume=position)
        frames.append(_item(FrameContentSequence=[content], PlanePositionVolumeSequence=[place]))
    ds.PerFrameFunctionalGroupsSequence = frames


def _new_object(header: SeriesIdentity, sop_class: UID, pixels: np.ndarray, what: tuple[object, ...]) -> Dataset:
    """Return an object with patient, study, series, equipment and pixels (i, j[, k])."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, header.uid(*what)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = sop_class, ds.SOPInstanceUID
    ds.PatientName, ds.PatientID = f"{header.patient}^Phantom", header.patient
    ds.PatientBirthDate, ds.PatientSex, ds.PatientComments = "", "O", "Synthetic: no person was scanned"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = header.uid("study"), header.uid("series")
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = FIXED_DATE
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = FIXED_DATETIME[8:]
    ds.StudyID, ds.SeriesNumber, ds.AccessionNumber, ds.ReferringPhysicianName = "1", 1, "", ""
    ds.StudyDescription, ds.SeriesDescription, ds.BodyPartExamined = "PHANTOM", header.description, "PELVIS"
    ds.Manufacturer, ds.ManufacturerModelName = header.manufacturer, header.model
    ds.DeviceSerialNumber, ds.SoftwareVersions = "PHANTOM", "1"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.Columns, ds.Rows = pixels.shape[:2]
    bits = pixels.dtype.itemsize * 8
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelData = np.ascontiguousarray(pixels.T).tobytes() + b"\0" * (pixels.nbytes % 2)
    ds["PixelData"].VR = "OW" if bits > 8 else "OB"
    return ds


def _directions(volume: Volume) -> np.ndarray:
    """Return the unit vectors (3, 3) of the axes in columns; DICOM allows only orthogonal, right-handed stacks."""
    directions: np.ndarray = volume.affine[:3, :3] / np.array(volume.spacing)
    stacked = np.cross(directions[:, 0], directions[:, 1])
    reach = max(n * mm for n, mm in zip(volume.array.shape, volume.spacing))
    if (
        np.abs(directions.T @ directions - np.eye(3)).max() * reach > GEOMETRY_TOLERANCE_MM
        or stacked @ directions[:, 2] < 0
    ):
        raise XmedError(
            "AFFINE_INVALID",
            f"axes {directions.round(4).tolist()}",
            "orthogonal axes, right-handed",
            "flip or resample",
        )
    return directions


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _code_item(code: Code) -> Dataset:
    return _item(CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator, CodeMeaning=code.meaning)


def _name(number: int) -> str:
    return f"IM{number + 1:04}.dcm"


def _save(ds: Dataset, path: Path) -> None:
    dcmwrite(path, ds, enforce_file_format=True)
