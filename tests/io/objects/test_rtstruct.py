"""RTSTRUCT: contours fill the pixels that they cover by half, on the slice they were drawn on."""

import time

import numpy as np
import pytest

from support.synthetic_dicom import DATA, FRAME, oblique, refusal, rtstruct, save
from xmed.io import read_label, read_nifti, read_series
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume

IMAGE = Volume(np.zeros((20, 16, 6)), oblique(), FRAME, "CT")
TABLE = LabelTable((Structure(1, "prostate"), Structure(4, "bladder")))
ONE = LabelTable((Structure(3, "tumour"),))


def polygon(ij, k):
    """Patient coordinates of a contour given in voxel indices of one slice."""
    return IMAGE.grid.points(np.column_stack([np.asarray(ij, float), np.full(len(ij), float(k))]))


def square(low, high, k):
    return polygon([(low, low), (high, low), (high, high), (low, high)], k)


def read(tmp_path, rois, table=ONE, image=IMAGE, roi=None, frame=FRAME):
    folder = save([rtstruct(rois, frame)], tmp_path)
    return read_label(folder / "000.dcm", image, table, roi=roi).array


def test_a_square_fills_the_pixels_between_its_edges(tmp_path):
    expected = np.zeros(IMAGE.array.shape, np.uint8)
    expected[3:8, 3:8, 2] = 3
    assert np.array_equal(read(tmp_path, {"GTV": [square(2.5, 7.5, 2)]}), expected)


@pytest.mark.parametrize(("edge", "filled"), [(7.45, 5), (6.9, 4), (6.6, 4), (7.05, 5)])
def test_a_pixel_is_filled_from_half_its_area_on(tmp_path, edge, filled):
    drawn = polygon([(2.5, 2.5), (edge, 2.5), (edge, 7.5), (2.5, 7.5)], 2)
    assert (read(tmp_path, {"GTV": [drawn]})[:, 5, 2] > 0).sum() == filled


def test_a_disc_has_its_area_and_place(tmp_path):
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    array = read(tmp_path, {"GTV": [polygon(np.column_stack([9.3 + 6 * np.cos(angle), 7.6 + 6 * np.sin(angle)]), 4)]})
    assert (array > 0).sum() == pytest.approx(np.pi * 36, rel=0.02)
    np.testing.assert_allclose(np.argwhere(array).mean(axis=0), (9.3, 7.6, 4), atol=0.1)


def test_structures_are_found_by_name_and_the_later_one_stands(tmp_path):
    rois = {"Bladder": [square(5.5, 9.5, 1)], "external": [square(0.5, 13.5, 1)], "PROSTATE ": [square(2.5, 7.5, 1)]}
    array = read(tmp_path, rois, TABLE)
    assert set(np.unique(array)) == {0, 1, 4}
    assert (array == 4).sum() == 16
    assert (array == 1).sum() == 25 - 4


def test_one_structure_takes_the_named_roi_or_the_only_one(tmp_path):
    rois = {"GTV_Mass": [square(2.5, 7.5, 1)], "other": [square(0.5, 13.5, 1)]}
    assert (read(tmp_path, rois, roi="gtv_mass") > 0).sum() == 25
    with refusal("LABEL_MISSING", "GTV_Mass, other"):
        read(tmp_path, rois)
    with refusal("LABEL_MISSING", "nowhere"):
        read(tmp_path, {"GTV_Mass": []}, roi="nowhere")


def test_another_frame_of_reference_is_refused(tmp_path):
    with refusal("FRAME_MISMATCH"):
        read(tmp_path, {"GTV": [square(2.5, 7.5, 1)]}, frame="1.2.3")


def test_contours_between_the_slices_across_them_or_outside_are_refused(tmp_path):
    with refusal("GRID_MISMATCH", "slice 1.40 to 1.40"):
        read(tmp_path, {"GTV": [square(2.5, 7.5, 1.4)]})
    across = IMAGE.grid.points(np.array([(2, 2, 0), (9, 2, 3), (9, 9, 3)]))
    with refusal("GRID_MISMATCH", "own slices"):
        read(tmp_path, {"GTV": [across]})
    with refusal("GRID_MISMATCH", "outside the image"):
        read(tmp_path, {"GTV": [square(2.5, 7.5, 9)]})


def test_what_reaches_beyond_the_image_is_cut_at_its_border(tmp_path):
    array = read(tmp_path, {"GTV": [square(-5, 3.5, 1), square(-5, 3.5, 7)]})
    assert (array > 0).sum() == 16


IBSI = DATA / "ibsi-sts-dev" / "reference_dicom_nifti"


@pytest.mark.skipif(not IBSI.is_dir(), reason="XMED_DATA is not set")
@pytest.mark.parametrize("patient", ["STS_003", "STS_019", "STS_025", "STS_041"])
@pytest.mark.parametrize("modality", ["CT", "MR_T1", "PET"])
def test_patients_contours_fill_what_their_nifti_twin_fills(patient, modality):
    image = read_series(IBSI / patient / "dicom" / modality / "image")
    started = time.monotonic()
    mask = read_label(IBSI / patient / "dicom" / modality / "mask", image, ONE).array > 0
    assert time.monotonic() - started < 10
    twin = read_nifti(IBSI / patient / "nifti" / f"{modality}_mask.nii.gz").array > 0
    assert 2 * (mask & twin).sum() / (mask.sum() + twin.sum()) > 0.97
