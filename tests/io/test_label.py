"""Labels: on exactly their image's grid, with values that the table knows, or not at all."""

from contextlib import nullcontext

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from support.synthetic_dicom import oblique, refusal, save, slices, texture
from xmed.io import read_label, read_nifti, write_nifti
from xmed.io.label import fill_outlines
from xmed.io.notes import collect_notes
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume

IMAGE = Volume(texture((12, 9, 7)), oblique(), modality="MR")
TABLE = LabelTable((Structure(1, "prostate"), Structure(4, "bladder")))
LABELS = np.random.default_rng(0).choice([0, 1, 4], IMAGE.array.shape)


@pytest.mark.parametrize("drawing", ["outline", "filled"])
def test_a_drawn_outline_is_filled_and_a_filled_one_stays(tmp_path, drawing):
    i, j = np.indices((40, 30))
    radius = np.hypot((i - 20) / 14, (j - 15) / 10)
    disc = radius < 1
    rim = disc & (radius > 0.85)
    Image.fromarray((255 * (rim if drawing == "outline" else disc)).astype(np.uint8).T).save(tmp_path / "x.png")
    picture, table = Volume(np.random.default_rng(0).random((40, 30, 1)), np.eye(4)), LabelTable((Structure(255, "a"),))
    found = read_label(tmp_path / "x.png", picture, table, outline=True).array[:, :, 0]
    np.testing.assert_array_equal(found, 255 * disc)
    bare = read_label(tmp_path / "x.png", picture, table).array[:, :, 0]
    np.testing.assert_array_equal(bare, 255 * (rim if drawing == "outline" else disc))


def test_an_outline_that_runs_out_of_the_picture_is_closed_by_its_hull():
    i, j = np.indices((40, 30))
    radius = np.hypot((i - 20) / 14, (j - 24) / 10)  # its lower part lies below the picture
    rim = ((radius < 1) & (radius > 0.85)).astype(np.uint8)
    filled = fill_outlines(rim[:, :, None])[:, :, 0]
    assert ((filled == 1) == (radius < 1)).mean() > 0.97


def test_two_structures_are_filled_each_by_itself():
    array = np.zeros((30, 20, 1), np.uint8)
    array[2:12, 2:12] = 1
    array[3:11, 3:11] = 0
    array[15:25, 5:15] = 4
    array[16:24, 6:14] = 0
    filled = fill_outlines(array)
    assert (filled[2:12, 2:12] == 1).all()
    assert (filled[15:25, 5:15] == 4).all()
    assert (filled > 0).sum() == 200


@pytest.fixture
def nifti(tmp_path):
    def write(array=LABELS, affine=IMAGE.affine):
        write_nifti(Volume(array, affine), tmp_path / "x.nii.gz")
        return tmp_path / "x.nii.gz"

    return write


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64])
def test_whole_numbers_of_any_type_come_back_as_uint8(nifti, dtype):
    label = read_label(nifti(LABELS.astype(dtype)), IMAGE, TABLE)
    assert label.array.dtype == np.uint8
    assert np.array_equal(label.array, LABELS)
    assert label.grid.same(IMAGE.grid)


def test_rounding_errors_of_a_thousandth_are_forgiven_and_fractions_are_not(nifti):
    with collect_notes() as notes:
        assert np.array_equal(read_label(nifti(LABELS * 0.9999), IMAGE, TABLE).array, LABELS)
    assert [note.code for note in notes] == ["LABEL_ROUNDED"]
    with refusal("LABEL_VALUES", "whole numbers"):
        read_label(nifti(LABELS * 0.5), IMAGE, TABLE)


@pytest.mark.parametrize("value", [2, 300, -1])
def test_a_value_that_the_table_does_not_know_is_refused(nifti, value):
    labels = LABELS.astype(np.int16)
    labels[0, 0, 0] = value
    with refusal("LABEL_VALUES", f"[{value}]"):
        read_label(nifti(labels), IMAGE, TABLE)


def test_an_empty_label_map_is_an_answer(nifti):
    assert not read_label(nifti(LABELS * 0), IMAGE, TABLE).array.any()


def test_another_shape_place_or_handedness_is_refused(nifti):
    with refusal("GRID_MISMATCH", "(12, 9, 6)"):
        read_label(nifti(LABELS[:, :, 1:]), IMAGE, TABLE)
    moved = IMAGE.affine.copy()
    moved[2, 3] += 2
    with refusal("GRID_MISMATCH", "up to 2 mm and 0.0° from its image"):
        read_label(nifti(affine=moved), IMAGE, TABLE)
    turn = np.diag([1.0, 1, 1, 1])
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    with refusal("GRID_MISMATCH", "mm and 5."):
        read_label(nifti(affine=turn @ IMAGE.affine), IMAGE, TABLE)
    mirrored = IMAGE.affine * np.array([-1, 1, 1, 1])
    with refusal(
        "GRID_MISMATCH", "up to 7.7 mm and 0.0° from its image"
    ):  # 11 voxels: matched, it begins where the image ends
        read_label(nifti(affine=mirrored), IMAGE, TABLE)


def test_values_beyond_a_byte_are_kept(nifti):
    table = LabelTable((Structure(1, "prostate"), Structure(300, "bladder")))
    wide = np.where(LABELS == 4, 300, LABELS).astype(np.int16)
    assert np.array_equal(read_label(nifti(wide), IMAGE, table).array, wide)


@pytest.mark.parametrize("stretched", [False, True])
def test_a_label_without_orientation_needs_its_images_shape_and_spacing(tmp_path, stretched):
    spacing = np.array(IMAGE.spacing) * (1 + stretched)
    image = nib.Nifti1Image(LABELS.astype(np.uint8), np.diag([*spacing, 1]))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "x.nii")
    with collect_notes() as notes, refusal("NO_ORIENTATION") if stretched else nullcontext():
        label = read_label(tmp_path / "x.nii", IMAGE, TABLE)
        assert np.array_equal(label.array, LABELS)
        assert label.grid.same(IMAGE.grid)
    assert [note.code for note in notes] == ([] if stretched else ["LABEL_UNPLACED"])
    with refusal("NO_ORIENTATION"):
        read_nifti(tmp_path / "x.nii")


def test_a_label_picture_is_laid_over_its_picture(tmp_path):
    image = Volume(texture((12, 9, 1)), np.eye(4), modality="US")
    Image.fromarray(LABELS[:, :, 0].T.astype(np.uint8)).save(tmp_path / "x.png")
    assert np.array_equal(read_label(tmp_path / "x.png", image, TABLE).array, LABELS[:, :, :1])


def test_an_image_is_no_label(tmp_path):
    folder = save(slices(IMAGE.array, IMAGE.affine), tmp_path)
    with refusal("NON_IMAGE", "MR Image Storage"):
        read_label(folder / "000.dcm", IMAGE, TABLE)
    with refusal("NOT_DICOM", "7 DICOM objects"):
        read_label(folder, IMAGE, TABLE)
