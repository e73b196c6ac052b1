"""Synthetic DICOM as a scanner would write it, for the tests of xmed.io."""

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    EnhancedUSVolumeStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    RTStructureSetStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from xmed.errors import XmedError

DATA = Path(os.environ.get("XMED_DATA") or "unset")

STUDY, SERIES, FRAME = (generate_uid(entropy_srcs=[word]) for word in ("study", "series", "frame"))


def texture(shape, seed=0):
    """Non-negative 12-bit noise (i, j, k): no two slices alike, no symmetry that could hide a flip."""
    return np.random.default_rng(seed).integers(1, 4000, shape).astype(np.uint16)


def oblique(spacing=(0.7, 1.3, 3.1), origin=(-31.5, 12.25, 87.0)):
    """An affine (index → LPS mm) turned about all three axes, anisotropic, right-handed."""
    a, b, c = 0.3, -0.5, 0.9
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = x @ y @ z * np.array(spacing)
    affine[:3, 3] = origin
    return affine


def image(pixels, sop_class, modality):
    """A data set with pixels (frames, rows, columns) or (rows, columns), and nothing about geometry."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY, SERIES, FRAME
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Zz^Secret", "ZZ-4711", "", "O"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = (
        "20240101",
        "000000",
        "1",
        "",
        "",
    )
    ds.ContentDate, ds.ContentTime = "20240101", "000000"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = modality, 1, 1
    ds.Manufacturer, ds.ManufacturerModelName, ds.DeviceSerialNumber, ds.SoftwareVersions = "xmed", "test", "1", "1"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.PositionReferenceIndicator, ds.PatientPosition = "", "HFS"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        ds.NumberOfFrames = len(pixels)
    bits = pixels.dtype.itemsize * 8
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits, bits - 1, 0
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.tobytes()
    return ds


def slices(array, affine, modality="MR"):
    """A single-frame series, one data set for each k, first to last."""
    step = affine[:3] / np.linalg.norm(affine[:3], axis=0)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    found = []
    for k in range(array.shape[2]):
        ds = image(array[:, :, k].T.copy(), MRImageStorage if modality == "MR" else CTImageStorage, modality)
        ds.ImagePositionPatient = [round(float(x), 9) for x in affine[:3, 3] + k * affine[:3, 2]]
        ds.ImageOrientationPatient = [round(float(x), 10) for x in (*step[:, 0], *step[:, 1])]
        ds.PixelSpacing = [float(spacing[1]), float(spacing[0])]
        ds.SliceThickness = round(float(spacing[2]), 9)
        ds.InstanceNumber = k + 1
        found.append(ds)
    return found


def enhanced(array, affine, modality="MR"):
    """A multi-frame image: Enhanced MR in patient coordinates, Enhanced US Volume in those of its volume."""
    ultrasound = modality == "US"
    space = "Volume" if ultrasound else "Patient"
    step = affine[:3] / np.linalg.norm(affine[:3], axis=0)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    sop_class = EnhancedUSVolumeStorage if ultrasound else EnhancedMRImageStorage
    ds = image(array.transpose(2, 1, 0).copy(), sop_class, modality)
    if ultrasound:
        ds.VolumeFrameOfReferenceUID = FRAME
        ds.UltrasoundAcquisitionGeometry = "APEX"
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing = [float(spacing[1]), float(spacing[0])]
    measures.SliceThickness = float(spacing[2])
    setattr(orientation, f"ImageOrientation{space}", [float(x) for x in (*step[:, 0], *step[:, 1])])
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    setattr(shared, f"PlaneOrientation{'Volume' if ultrasound else ''}Sequence", [orientation])
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = []
    for k in range(array.shape[2]):
        position, content, frame = Dataset(), Dataset(), Dataset()
        setattr(position, f"ImagePosition{space}", [float(x) for x in affine[:3, 3] + k * affine[:3, 2]])
        setattr(frame, f"PlanePosition{'Volume' if ultrasound else ''}Sequence", [position])
        content.DimensionIndexValues = [k + 1]
        frame.FrameContentSequence = [content]
        ds.PerFrameFunctionalGroupsSequence.append(frame)
    return ds


def film(frames, regions=((0, 0, None, None, 0.02, 0.03),)):
    """A multi-frame ultrasound picture (frames, rows, columns); a region is x0, y0, x1, y1, ΔX, ΔY in cm."""
    ds = image(frames, UltrasoundMultiFrameImageStorage, "US")
    ds.SequenceOfUltrasoundRegions = []
    for x0, y0, x1, y1, dx, dy in regions:
        region = Dataset()
        region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
        region.RegionLocationMinX0, region.RegionLocationMinY0 = x0, y0
        region.RegionLocationMaxX1 = frames.shape[2] - 1 if x1 is None else x1
        region.RegionLocationMaxY1 = frames.shape[1] - 1 if y1 is None else y1
        region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
        region.PhysicalDeltaX, region.PhysicalDeltaY = dx, dy
        ds.SequenceOfUltrasoundRegions.append(region)
    return ds


def save(datasets, folder: Path, names=None):
    """Write data sets into `folder`, as 000.dcm and on. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for n, ds in enumerate(datasets):
        pydicom.dcmwrite(folder / (names[n] if names else f"{n:03}.dcm"), ds, enforce_file_format=True)
    return folder


def rtstruct(rois, frame=FRAME):
    """A structure set; rois maps a name to a list of (n, 3) contours in LPS mm."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SeriesInstanceUID, ds.Modality = generate_uid(), "RTSTRUCT"
    ds.StructureSetROISequence, ds.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(rois.items(), start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            contour.ContourData = [round(float(x), 6) for x in np.asarray(points).ravel()]
            drawn.ContourSequence.append(contour)
        ds.StructureSetROISequence.append(roi)
        ds.ROIContourSequence.append(drawn)
    return ds


def refusal(code, *words):
    """What pytest.raises must see: an XmedError of that code, whose sentence holds these words."""
    return pytest.raises(
        XmedError, check=lambda error: error.code == code and all(word in str(error) for word in words)
    )
