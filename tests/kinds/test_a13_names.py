"""A13: objects, volumes and warnings are called what they are."""

import os
import re
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    BasicTextSRStorage,
    BreastTomosynthesisImageStorage,
    ComputedRadiographyImageStorage,
    DigitalIntraOralXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EncapsulatedPDFStorage,
    EncapsulatedSTLStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MRSpectroscopyStorage,
    ParametricMapStorage,
    RTDoseStorage,
    RTPlanStorage,
    SegmentationStorage,
    SurfaceSegmentationStorage,
    TwelveLeadECGWaveformStorage,
    VLWholeSlideMicroscopyImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from support.numbered_slices import clock, item, numbered, stack
from support.synthetic_dicom import image, save, texture
from xmed.errors import XmedError
from xmed.io import inspect, read_series, read_volumes

DATA = Path(os.environ.get("XMED_DATA") or "unset") / "dicom2nifti-tests"
SIX = 2.0 * np.arange(6)


def names_are_values(folder):
    """Every word pair of a name is a keyword and a value that the tag has in the files."""
    files = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]
    names = list(read_volumes(folder))
    assert len(set(names)) == len(names) > 1
    for name in names:
        for told in name.split(", "):
            keyword, value = told.split(" ", 1)
            stated = [ds[keyword].value for ds in files if keyword in ds]
            texts = {" ".join(map(str, v)) if isinstance(v, pydicom.multival.MultiValue) else str(v) for v in stated}
            numbers = {float(text) for text in texts if re.fullmatch(r"[-+.\deE]+", text)}
            assert value in texts or float(value) in numbers, name
    return names


@pytest.mark.skipif(not DATA.is_dir(), reason="XMED_DATA is not set")
@pytest.mark.parametrize("name", ["ge/dti/001", "ge/dti/001_implicit", "ge/dti/002", "ge/fmri/001", "philips/fmri/001"])
def test_names_of_real_volumes_are_the_values_of_their_tags(name):
    names_are_values(DATA / name)


NAMED = {
    "AcquisitionNumber": [{"AcquisitionNumber": n} for n in (3, 7)],
    "EchoTime": [{"EchoTime": t} for t in (4.5, 12.25)],
    "TriggerTime": [{"TriggerTime": t} for t in (15, 325)],
    "TriggerTime, slice by slice": [{"TriggerTime": lambda k, t=t: t + 2 * k} for t in (15, 325)],
    "AcquisitionTime": [{"AcquisitionTime": clock(t)} for t in ("081500", "081630")],
    "AcquisitionTime, slice by slice": [{"AcquisitionTime": clock(t, 0.5)} for t in ("081500", "081630")],
    "FlipAngle": [{"FlipAngle": n} for n in (5, 26)],
    "InversionTime": [{"InversionTime": n} for n in (100, 2500)],
    "TemporalPositionIdentifier": [{"TemporalPositionIdentifier": n} for n in (4, 9)],
    "InstanceNumber": [{}, {}],
}


@pytest.mark.parametrize("name", NAMED)
def test_names_of_volumes_are_the_values_of_their_tags(tmp_path, name):
    datasets = []
    for phase, values in enumerate(NAMED[name], 1):
        datasets += stack(SIX, phase, "MR", **values)
    names = names_are_values(save(numbered(datasets), tmp_path))
    assert all(told.startswith(name.partition(",")[0] + " ") for told in names)


LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
OTHERS = {
    KeyObjectSelectionDocumentStorage: ("KO", "Key Object"),
    GrayscaleSoftcopyPresentationStateStorage: ("PR", "Presentation State"),
    BasicTextSRStorage: ("SR", "SR"),
    EncapsulatedPDFStorage: ("DOC", "PDF"),
    EncapsulatedSTLStorage: ("M3D", "STL"),
    TwelveLeadECGWaveformStorage: ("ECG", "Waveform"),
    RTPlanStorage: ("RTPLAN", "RT Plan"),
    RTDoseStorage: ("RTDOSE", "RT Dose"),
    MRSpectroscopyStorage: ("MR", "Spectroscopy"),
    ParametricMapStorage: ("MR", "Parametric Map"),
    SegmentationStorage: ("SEG", "Segmentation"),
    SurfaceSegmentationStorage: ("SEG", "Surface Segmentation"),
    LABEL_MAP: ("SEG", "Label Map Segmentation"),
}
PROJECTIONS = {
    DigitalXRayImageStorageForPresentation: ("DX", "Digital X-Ray"),
    DigitalXRayImageStorageForProcessing: ("DX", "Digital X-Ray"),
    ComputedRadiographyImageStorage: ("CR", "Computed Radiography"),
    DigitalMammographyXRayImageStorageForPresentation: ("MG", "Mammography"),
    DigitalMammographyXRayImageStorageForProcessing: ("MG", "Mammography"),
    DigitalIntraOralXRayImageStorageForPresentation: ("IO", "Intra-Oral"),
    XRayAngiographicImageStorage: ("XA", "X-Ray Angiographic"),
    XRayRadiofluoroscopicImageStorage: ("RF", "X-Ray Radiofluoroscopic"),
    VLWholeSlideMicroscopyImageStorage: ("SM", "Whole Slide"),
    BreastTomosynthesisImageStorage: ("MG", "Tomosynthesis"),
}


def single(sop_class, modality, folder):
    ds = image(texture((8, 6)), sop_class, modality)
    if modality == "SEG":
        ds.SegmentSequence = [item(SegmentNumber=1, SegmentLabel="x")]
    return save([ds], folder)


@pytest.mark.parametrize("sop_class", OTHERS, ids=lambda uid: OTHERS[uid][1])
def test_an_object_that_is_no_image_is_called_what_it_is(tmp_path, sop_class):
    modality, words = OTHERS[sop_class]
    folder = single(sop_class, modality, tmp_path)
    with pytest.raises(XmedError) as problem:
        read_series(folder)
    assert problem.value.code == "NON_IMAGE"
    assert words in str(problem.value)
    (found,) = inspect(folder)
    assert words in found.message


@pytest.mark.parametrize("sop_class", PROJECTIONS, ids=lambda uid: PROJECTIONS[uid][1])
def test_a_picture_without_a_place_is_called_what_it_is(tmp_path, sop_class):
    modality, words = PROJECTIONS[sop_class]
    folder = single(sop_class, modality, tmp_path)
    with pytest.raises(XmedError) as problem:
        read_series(folder)
    assert problem.value.code == "NO_GEOMETRY"
    assert words in str(problem.value)
    (found,) = inspect(folder)
    assert (found.verdict, found.code) == ("refused", "NO_GEOMETRY")
    assert words in found.message


def odd(**values):
    """Three volumes of six files; each file makes a parser warn."""
    datasets = []
    for phase in (1, 2, 3):
        datasets += stack(SIX, phase, "MR", EchoTime=10 * phase, **values)
    return numbered(datasets)


ODD = {
    "an unknown character set": {"SpecificCharacterSet": "ISO_IR 999"},
    "a misspelt character set": {"SpecificCharacterSet": "ISO IR 192"},
    "padding": {"PixelPaddingValue": 5},
    "bytes behind the pixels": {"PixelData": b"\0" * (9 * 7 * 2 + 10)},
    "inverted": {"PhotometricInterpretation": "MONOCHROME1"},
    "nothing odd": {},
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("read", [read_volumes, inspect])
def test_nothing_is_said_twice(tmp_path, capfd, name, read):
    values = dict(ODD[name])
    datasets = odd(**{k: v for k, v in values.items() if k != "PixelData"})
    if "PixelData" in values:
        for ds in datasets:
            ds.PixelData = ds.PixelData + b"\0" * 10
    save(datasets, tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(tmp_path)
    texts = [str(warning.message) for warning in caught]
    kinds = {re.sub(r"[-\d.]+", "#", text) for text in texts}
    assert len(kinds) == len(texts), texts
    assert all(text.startswith("note[") for text in texts), texts
    assert "SEVERAL_VOLUMES" not in "".join(texts)
    assert len(capfd.readouterr().err.splitlines()) <= 1


def test_volumes_that_are_all_read_are_not_said_to_be_taken(tmp_path):
    save(odd(), tmp_path)
    assert [finding.notes for finding in inspect(tmp_path)] == [(), (), ()]
