"""SUV: the numbers of QIBA's pseudo-code, worked by hand; and no number where the header does not give one."""

import numpy as np
import pytest
from pydicom import Dataset

from support.synthetic_dicom import oblique, refusal, save, slices, texture
from xmed.io import read_series
from xmed.io.dicom.header import Header
from xmed.io.dicom.suv import suv_scale
from xmed.io.notes import collect_notes

ARRAY, AFFINE = texture((12, 9, 3)), oblique()
HALF_LIFE = 6586.2  # seconds, of fluorine-18


def scan(**changes):
    """One slice's header: 370 MBq injected an hour before a scan of a patient of 74 kg."""
    ds, injection = Dataset(), Dataset()
    ds.Modality, ds.Units, ds.DecayCorrection, ds.CorrectedImage = "PT", "BQML", "START", ["ATTN", "DECY", "SCAT"]
    ds.PatientWeight = 74.0
    ds.SeriesDate = ds.AcquisitionDate = "20240101"
    ds.SeriesTime, ds.AcquisitionTime = "110000", "110200"
    injection.RadionuclideTotalDose, injection.RadionuclideHalfLife = 370e6, HALF_LIFE
    injection.RadiopharmaceuticalStartTime = "100000.00"
    ds.RadiopharmaceuticalInformationSequence = [injection]
    for keyword, value in changes.items():
        if value is None:
            delattr(injection if keyword in injection else ds, keyword)
        else:
            setattr(injection if keyword.startswith("Radio") else ds, keyword, value)
    return ds


BY_HAND = 74_000 / (370e6 * 2 ** (-3600 / HALF_LIFE))  # 74 kg in grams, over what an hour left of the dose


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, BY_HAND),
        ({"DecayCorrection": "ADMIN"}, 74_000 / 370e6),
        ({"RadiopharmaceuticalStartDateTime": "20240101103000"}, 74_000 / (370e6 * 2 ** (-1800 / HALF_LIFE))),
        ({"SeriesTime": "003000", "AcquisitionTime": "003100", "RadiopharmaceuticalStartTime": "233000"}, BY_HAND),
        ({"Units": "GML"}, None),
        ({"Modality": "CT"}, None),
    ],
)
@pytest.mark.filterwarnings("ignore::xmed.io.notes.RepairWarning")
def test_the_scale_is_weight_over_the_dose_that_was_left(changes, expected):
    assert suv_scale([Header(scan(**changes))]) == (None if expected is None else pytest.approx(expected, rel=1e-9))


@pytest.mark.filterwarnings("ignore::xmed.io.notes.RepairWarning")
def test_of_a_series_made_after_its_scan_the_start_is_found_from_a_frame():
    """A frame of 120 s that began at 11:05:00, its average count rate 360 s after the start of the scan.

    λ = ln 2 / 6586.2 s, x = 120 s · λ = 0.0126291: the average falls ln(x / (1 − e^−x)) / λ ≈ 60 s · (1 − x / 12) =
    59.9369 s into the frame, so the scan began 300.0631 s before the frame.
    """
    later = scan(
        SeriesTime="150000", AcquisitionTime="110500", FrameReferenceTime=360_000.0, ActualFrameDuration=120_000
    )
    waited = 3600 + 300 - 300.0631
    assert suv_scale([Header(later)]) == pytest.approx(74_000 / (370e6 * 2 ** (-waited / HALF_LIFE)), rel=1e-8)


def test_philips_counts_are_scaled_by_their_own_factor():
    ds = scan(Units="CNTS")
    ds.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "DS", "0.00025")
    with collect_notes() as notes:
        assert suv_scale([Header(ds)]) == 0.00025
    assert [note.code for note in notes] == ["SUV"]


@pytest.mark.parametrize("changes", [{"Units": None}, {"Units": "CNTS"}, {"Units": "GML", "SUVType": "LBM"}])
def test_another_unit_is_kept_and_said_to_be_another(changes):
    with collect_notes() as notes:
        assert suv_scale([Header(scan(**changes))]) is None
    assert [note.code for note in notes] == ["PET_UNITS"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"PatientWeight": None}, "PatientWeight none"),
        ({"PatientWeight": 0}, "PatientWeight 0"),
        ({"PatientWeight": 74_000}, "PatientWeight 74000"),
        ({"RadionuclideTotalDose": 370}, "RadionuclideTotalDose 370"),
        ({"RadionuclideHalfLife": None}, "RadionuclideHalfLife none"),
        ({"RadiopharmaceuticalStartTime": None}, "no time of injection"),
        ({"RadiopharmaceuticalStartDateTime": "20240101120000"}, "-3600 s after the injection"),
        ({"RadiopharmaceuticalStartDateTime": "20230101100000"}, "0 s to ten half-lives"),
        ({"SeriesTime": None}, "no Series Date and Time"),
        ({"SeriesTime": "150000"}, "FrameReferenceTime none"),
        ({"DecayCorrection": "NONE"}, "Decay Correction NONE"),
        ({"CorrectedImage": ["DECY"]}, "corrected for DECY"),
    ],
)
def test_what_is_missing_or_cannot_be_is_named(changes, sentence):
    with refusal("SUV_INVALID", sentence):
        suv_scale([Header(scan(**changes))])


def test_slices_in_two_units_are_refused():
    with refusal("SUV_INVALID", "different units"):
        suv_scale([Header(scan()), Header(scan(Units="GML"))])


def test_a_pet_series_in_becquerels_is_read_as_suv(tmp_path):
    series = slices(ARRAY, AFFINE, "PT")
    for k, ds in enumerate(series):
        ds.update(scan())
        ds.RescaleSlope, ds.RescaleIntercept = 2.0 * (k + 1), 0
    with collect_notes() as notes:
        volume = read_series(save(series, tmp_path))
    np.testing.assert_allclose(volume.array, ARRAY * (2.0 * np.arange(1, 4)) * BY_HAND, rtol=1e-6)
    assert [str(note) for note in notes] == ["note[SUV]: Bq/ml became SUV by body weight, g/ml"]
