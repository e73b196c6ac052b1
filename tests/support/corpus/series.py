"""Rows 14 to 41: DICOM pixels that mean something else than they seem, and series that are no single volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRBigEndian, generate_uid

from support.corpus import row
from support.synthetic_dicom import film, image, oblique, save, slices, texture

ARRAY, AFFINE = texture((12, 9, 7)), oblique()
NORMAL = AFFINE[:3, 2] / np.linalg.norm(AFFINE[:3, 2])


def stack(modality: str = "MR", array: np.ndarray = ARRAY) -> list[Dataset]:
    """An oblique series of seven slices, with nothing wrong about it."""
    return slices(array, AFFINE, modality)


def each(series: list[Dataset], **values: object) -> list[Dataset]:
    """The same series with attributes of every slice set."""
    for ds in series:
        for keyword, value in values.items():
            setattr(ds, keyword, value)
    return series


def moved(ds: Dataset, by: np.ndarray) -> None:
    ds.ImagePositionPatient = [round(float(x), 9) for x in np.array(ds.ImagePositionPatient, float) + by]


def named_anew(ds: Dataset) -> Dataset:
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return ds


@row(14, "fixed", "MONOCHROME1", modality="CT")
def monochrome1(folder: Path) -> None:
    """MONOCHROME1: the brightest pixel is stored as the lowest value."""
    save(each(stack("CT"), PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11), folder)


@row(15, "ok", modality="CT")
def twelve_bits_signed(folder: Path) -> None:
    """Signed 12-bit values without sign extension."""
    signed = stack("CT", ARRAY % 4096)
    save(each(signed, BitsStored=12, HighBit=11, PixelRepresentation=1), folder)


@row(16, "fixed", "HIGH_BITS", modality="CT")
def high_bits(folder: Path) -> None:
    """An overlay in the bits above the stored ones."""
    save(each(stack("CT", ARRAY | 0xA000), BitsStored=12, HighBit=11), folder)


@row(17, "fixed", "PADDING", modality="CT")
def padding(folder: Path) -> None:
    """A Pixel Padding Value brighter than any tissue around the field of view."""
    array = ARRAY % 3000
    array[0], array[-1] = 4095, 4095
    save(each(stack("CT", array), PixelPaddingValue=4095), folder)


@row(18, "quarantine", "RESCALE_INVALID", modality="CT")
def slope_zero(folder: Path) -> None:
    """Rescale Slope 0."""
    save(each(stack("CT"), RescaleSlope=0, RescaleIntercept=0), folder)


@row(19, "quarantine", "RESCALE_INVALID", modality="CT")
def slope_nan(folder: Path) -> None:
    """Rescale Slope NaN."""
    save(each(stack("CT"), RescaleSlope="NaN", RescaleIntercept=0), folder)


@row(20, "ok", modality="PT")
def rescale_of_each_slice(folder: Path) -> None:
    """Every slice has a Rescale Slope of its own."""
    series = each(stack("PT"), Units="GML")
    for k, ds in enumerate(series):
        ds.RescaleSlope, ds.RescaleIntercept = 0.1 * (k + 1), 0
    save(series, folder)


@row(21, "fixed", "NON_IMAGE")
def report_beside_the_images(folder: Path) -> None:
    """A PDF in the folder of a series."""
    report = image(ARRAY[:, :, 0].T.copy(), EncapsulatedPDFStorage, "DOC")
    del report.PixelData
    report.SeriesInstanceUID = generate_uid(entropy_srcs=["report"])
    save(stack(), folder)
    save([report], folder, names=["report.dcm"])


@row(24, "fixed", "CHARSET")
def invalid_charset(folder: Path) -> None:
    """Text bytes that the named character set does not have."""
    save(each(stack(), SpecificCharacterSet="ISO_IR 192", InstitutionName="Klinikum"), folder)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"Klinikum", b"Kl\xefnik\xfcm"))


@row(25, "error", "PIXEL_MODULE")
def twelve_bits_allocated(folder: Path) -> None:
    """Bits Allocated 12."""
    save(each(stack(), BitsAllocated=12), folder)


@row(25, "error", "PIXEL_MODULE")
def no_rows(folder: Path) -> None:
    """Rows 0."""
    save(each(stack(), Rows=0), folder)


@row(26, "quarantine", "IOP_INVALID")
def degenerate_orientation(folder: Path) -> None:
    """Rows and columns run in the same direction."""
    save(each(stack(), ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), folder)


@row(27, "ok", modality="CT")
def big_endian(folder: Path) -> None:
    """Explicit VR Big Endian."""
    series = stack("CT", ARRAY)
    for ds in series:
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    save(series, folder)


@row(28, "fixed", "LUMINANCE", modality="US")
def colour_film(folder: Path) -> None:
    """An ultrasound film in RGB, with a calibrated region."""
    frames = texture((5, 24, 32)).astype(np.uint8)
    colours = np.stack([frames, frames // 2, 255 - frames], axis=-1)
    ds = film(frames)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.PixelData = colours.tobytes()
    save([ds], folder)


@row(28, "quarantine", "US_NO_REGION", modality="US")
def film_without_regions(folder: Path) -> None:
    """An ultrasound film that nothing calibrates."""
    save([film(texture((5, 24, 32)).astype(np.uint8), regions=())], folder)


@row(29, "quarantine", "SLICE_GAP")
def missing_slice(folder: Path) -> None:
    """A slice is missing in the middle."""
    series = stack()
    del series[3]
    save(series, folder)


@row(30, "quarantine", "DUP_POSITION")
def two_images_at_one_position(folder: Path) -> None:
    """Another image at the position of a slice."""
    other = stack(array=ARRAY[:, ::-1])[2]
    save([*stack(), named_anew(other)], folder)


@row(30, "fixed", "DUPLICATE")
def same_image_under_another_name(folder: Path) -> None:
    """The same pixels at the same position under another instance UID."""
    save([*stack(), named_anew(stack()[2])], folder)


@row(31, "fixed", "DUPLICATE")
def same_file_twice(folder: Path) -> None:
    """One file lies in the folder twice."""
    series = stack()
    save([*series, series[2]], folder)


@row(32, "fixed", volumes=2)
def two_series(folder: Path) -> None:
    """Two series in one folder."""
    other = each(stack(array=ARRAY[:, ::-1]), SeriesInstanceUID=generate_uid(entropy_srcs=["other"]))
    save([*stack(), *map(named_anew, other)], folder)


@row(33, "quarantine", "MIXED_ORIENTATION")
def another_orientation(folder: Path) -> None:
    """A slice of another orientation in the series."""
    series = stack()
    series[6].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    save(series, folder)


@row(33, "fixed", "LOCALIZER")
def localizer(folder: Path) -> None:
    """A localizer in the series, and called so."""
    scout = each(
        [named_anew(stack()[0])],
        ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    save([*stack(), *scout], folder)


@row(34, "fixed", "GANTRY_TILT", modality="CT")
def gantry_tilt(folder: Path) -> None:
    """Every slice is shifted in its plane by the same step."""
    series = stack("CT")
    for k, ds in enumerate(series):
        moved(ds, k * 0.6 * AFFINE[:3, 1])
    save(series, folder)


@row(34, "quarantine", "GANTRY_TILT", modality="CT")
def slice_shifted_alone(folder: Path) -> None:
    """One slice is shifted in its plane."""
    series = stack("CT")
    moved(series[3], AFFINE[:3, 0])
    save(series, folder)


@row(35, "ok")
def shuffled_numbers(folder: Path) -> None:
    """Instance Number and file name do not follow the position."""
    series = stack()
    for n, ds in enumerate(series):
        ds.InstanceNumber = (n * 5) % 7 + 1
    save([series[n] for n in (3, 0, 6, 2, 5, 1, 4)], folder)


@row(36, "quarantine", "IRREGULAR_SPACING")
def irregular_spacing(folder: Path) -> None:
    """A slice lies 0.8 mm from where it belongs."""
    series = stack()
    moved(series[3], 0.8 * NORMAL)
    save(series, folder)


@row(37, "quarantine", "MIXED_MATRIX")
def differing_rows(folder: Path) -> None:
    """A slice has fewer rows."""
    series = stack()
    series[3] = stack(array=ARRAY[:, :8])[3]
    save(series, folder)


@row(38, "quarantine", "MIXED_SPACING")
def differing_spacing(folder: Path) -> None:
    """A slice has larger pixels."""
    series = stack()
    series[3].PixelSpacing = [1.4, 0.8]
    save(series, folder)


@row(39, "quarantine", "NO_GEOMETRY")
def no_position(folder: Path) -> None:
    """No slice says where it lies."""
    for ds in (series := stack()):
        del ds.ImagePositionPatient, ds.ImageOrientationPatient
    save(series, folder)


@row(40, "quarantine", "SPACING_INVALID")
def spacing_zero(folder: Path) -> None:
    """Pixel Spacing 0."""
    save(each(stack(), PixelSpacing=[0, 0]), folder)


@row(40, "quarantine", "SPACING_INVALID")
def spacing_nan(folder: Path) -> None:
    """Pixel Spacing NaN."""
    save(each(stack(), PixelSpacing=["NaN", "NaN"]), folder)


@row(40, "quarantine", "SPACING_INVALID")
def spacing_negative(folder: Path) -> None:
    """Pixel Spacing below zero."""
    save(each(stack(), PixelSpacing=[-1, -1]), folder)


@row(41, "fixed", volumes=2)
def two_b_values(folder: Path) -> None:
    """Two b-values in one series."""
    weighted = each(stack(array=ARRAY // 2), DiffusionBValue=800.0)
    save([*each(stack(), DiffusionBValue=0.0), *map(named_anew, weighted)], folder)


@row(41, "fixed", volumes=3)
def three_cardiac_phases(folder: Path) -> None:
    """Three cardiac phases in one series, told apart by a trigger time that differs from slice to slice."""
    series = []
    for phase in range(3):
        for k, ds in enumerate(stack(array=ARRAY // (phase + 1))):
            ds.TriggerTime = 300.0 * phase + k
            series.append(named_anew(ds))
    save(series, folder)


@row(41, "quarantine", "MULTI_VOLUME")
def volumes_that_nothing_tells_apart(folder: Path) -> None:
    """Two volumes in one series, and all images have the same number."""
    other = stack(array=ARRAY // 2)
    save(each([*stack(), *map(named_anew, other)], InstanceNumber=1), folder)
