"""Small PET, CT and MR series whose stored values mean nothing until something in their header scales them."""

import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from support.synthetic_dicom import enhanced, save, slices
from xmed.deidentify import deidentify_files
from xmed.errors import XmedError
from xmed.io import read_volumes
from xmed.io.notes import collect_notes

F18 = 6586.2
"""Half-life of fluorine-18 in seconds."""
AFFINE = np.array([[2.0, 0, 0, -10], [0, 2, 0, -8], [0, 0, 4, 5], [0, 0, 0, 1]])
ARRAY = np.random.default_rng(4).integers(1, 3000, (10, 9, 4)).astype(np.uint16)
PET = "1.2.840.10008.5.1.4.1.1.128"
KEY = "0123456789abcdef" * 4


def by_weight(waited, kg=70.0, dose=370e6, half_life=F18):
    """SUV for 1 Bq/ml, `waited` seconds after the injection (QIBA FDG-PET profile, appendix G), worked by hand."""
    return kg * 1000 / (dose * 2 ** (-waited / half_life))


def pet(injection=None, **changes):
    """A PET series in Bq/ml, 370 MBq at 10:00 into 70 kg, scanned at 11:00; None takes an attribute away."""
    series = slices(ARRAY, AFFINE, "PT")
    given = {
        "Units": "BQML", "DecayCorrection": "START", "CorrectedImage": ["ATTN", "DECY"], "PatientWeight": 70,
        "RescaleSlope": 1, "RescaleIntercept": 0, "SeriesDate": "20240102", "SeriesTime": "110000",
        "AcquisitionDate": "20240102", "AcquisitionTime": "110000", "FrameReferenceTime": 0,
        "ActualFrameDuration": 60000, "BodyPartExamined": "CHEST",
    }  # fmt: skip
    drug = {
        "RadionuclideTotalDose": 370e6, "RadionuclideHalfLife": F18, "RadiopharmaceuticalStartTime": "100000",
        **(injection or {}),
    }  # fmt: skip
    for ds in series:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = PET
        item = Dataset()
        _set(item, drug)
        ds.RadiopharmaceuticalInformationSequence = [item]
        _set(ds, given | changes)
    return series


def ct(**changes):
    series = slices(ARRAY, AFFINE, "CT")
    for ds in series:
        _set(ds, {"RescaleSlope": 1, "RescaleIntercept": -1024, "BodyPartExamined": "CHEST", **changes})
    return series


def mr(**changes):
    series = slices(ARRAY, AFFINE, "MR")
    for ds in series:
        _set(ds, {"BodyPartExamined": "KNEE", **changes})
    return series


def multiframe():
    return enhanced(ARRAY, AFFINE)


def mapping(slope, intercept=0.0, unit="1", first=0, last=65535, label="X"):
    """One item of a Real World Value Mapping Sequence (PS3.3 C.7.6.16.2.11)."""
    item, code = Dataset(), Dataset()
    item.add_new("RealWorldValueFirstValueMapped", "US", first)
    item.add_new("RealWorldValueLastValueMapped", "US", last)
    item.RealWorldValueSlope, item.RealWorldValueIntercept = float(slope), float(intercept)
    item.LUTLabel = label
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = unit, "UCUM", unit
    item.MeasurementUnitsCodeSequence = [code]
    return item


def philips_pet(series, suv=None, activity=None, block=0x10, kind="DS"):
    """Give a series Philips' own factors (7053,xx00) and (7053,xx09), in a block that begins wherever it likes."""
    for k, ds in enumerate(series):
        ds.Manufacturer = "Philips Medical Systems"
        ds.add_new((0x7053, block), "LO", "Philips PET Private Group")
        for element, value in ((0x00, suv), (0x09, activity)):
            if value is not None:
                ds.add_new((0x7053, block << 8 | element), kind, value(k) if callable(value) else value)
    return series


def _set(ds, values):
    for keyword, value in values.items():
        if value is not None:
            setattr(ds, keyword, value)
        elif keyword in ds:
            delattr(ds, keyword)


def read(folder):
    """name → voxels of every volume at a folder, with the codes of the notes; or the code of the error."""
    with collect_notes() as notes, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = {name: volume.array for name, volume in read_volumes(folder).items()}
        except XmedError as problem:
            return problem.code, set()
    return found, {note.code for note in notes}


def factor(series, tmp_path):
    """What a written series' stored values were multiplied with, where it is one number; the error's code else."""
    found, _ = read(save(series, tmp_path))
    if isinstance(found, str):
        return found
    (array,) = found.values()
    ratio = array / ARRAY
    assert np.ptp(ratio) <= 1e-5 * abs(ratio.mean())
    return float(ratio.mean())


def deidentified(series, tmp_path):
    """The folder of the de-identified copy of a series, and the codes under which files were withheld."""
    save(series, tmp_path / "in")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XMED_DEID_KEY", KEY)
        outcome = deidentify_files(tmp_path / "in", tmp_path / "out", tmp_path / "home")
    return tmp_path / "out", outcome.codes


def written(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
