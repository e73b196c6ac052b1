"""A12: a NIfTI label beside a DICOM image, whose axes run in another order or direction than the image's."""

import itertools
import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest

from support.synthetic_dicom import DATA, oblique, refusal, save, slices, texture
from xmed.io import read_label, read_nifti, read_series
from xmed.io.notes import collect_notes
from xmed.labels import LabelTable, Structure
from xmed.volume import Volume

TABLE = LabelTable((Structure(1, "prostate"), Structure(4, "bladder")))
SHAPE = (12, 9, 7)
LABELS = np.random.default_rng(0).choice([0, 1, 4], SHAPE).astype(np.uint8)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
EVERY = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def turned(array, affine, order, signs):
    """The same voxels in another order of indices, worked out here from first principles: axis n was axis order[n]."""
    array = array.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    out = affine.copy()
    for axis, (old, sign) in enumerate(zip(order, signs)):
        out[:3, axis] = sign * affine[:3, old]
        if sign < 0:
            out[:3, 3] += (array.shape[axis] - 1) * affine[:3, old]
    return array, out


def nifti(folder, array, affine, forms="both"):
    """A NIfTI whose forms were written by nibabel."""
    image = nib.Nifti1Image(np.ascontiguousarray(array), LPS_TO_RAS @ affine)
    image.set_sform(LPS_TO_RAS @ affine, 1 if forms in ("both", "sform") else 0)
    image.set_qform(LPS_TO_RAS @ affine, 1 if forms in ("both", "qform") else 0)
    image.header.set_xyzt_units("mm")
    nib.save(image, folder / "label.nii.gz")
    return folder / "label.nii.gz"


def dicom(folder, affine, shape=SHAPE):
    return read_series(save(slices(texture(shape), affine, "CT"), folder / "image"))


def reads_as(path, image, expected, codes=("LABEL_REORDERED",)):
    with collect_notes() as notes:
        label = read_label(path, image, TABLE)
    assert label.grid.same(image.grid)
    np.testing.assert_array_equal(label.array, expected)
    assert [made.code for made in notes if made.code.startswith("LABEL")] == list(codes)


@pytest.mark.parametrize(("order", "signs"), EVERY)
def test_every_order_and_direction_of_the_axes_is_taken(tmp_path, order, signs):
    image = dicom(tmp_path, oblique())
    array, affine = turned(LABELS, image.affine, order, signs)
    same = order == (0, 1, 2) and signs == (1, 1, 1)
    reads_as(nifti(tmp_path, array, affine), image, LABELS, () if same else ("LABEL_REORDERED",))


@pytest.mark.parametrize(("order", "signs"), EVERY[::5])
def test_a_cube_of_equal_voxels_is_told_by_its_positions(tmp_path, order, signs):
    labels = np.random.default_rng(1).choice([0, 1, 4], (8, 8, 8)).astype(np.uint8)
    image = dicom(tmp_path, oblique((1.5, 1.5, 1.5)), labels.shape)
    same = order == (0, 1, 2) and signs == (1, 1, 1)
    array, affine = turned(labels, image.affine, order, signs)
    reads_as(nifti(tmp_path, array, affine), image, labels, () if same else ("LABEL_REORDERED",))


@pytest.mark.parametrize("forms", ["sform", "qform"])
@pytest.mark.parametrize("signs", [(1, -1, 1), (-1, -1, 1), (-1, -1, -1)])
def test_one_form_is_enough(tmp_path, forms, signs):
    image = dicom(tmp_path, oblique())
    array, affine = turned(LABELS, image.affine, (0, 1, 2), signs)
    reads_as(nifti(tmp_path, array, affine, forms), image, LABELS)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_whatever_numbers_it_is_stored_in(tmp_path, dtype):
    image = dicom(tmp_path, np.diag([0.9, 0.9, 3.0, 1.0]))
    array, affine = turned(LABELS.astype(dtype), image.affine, (0, 1, 2), (1, -1, 1))
    reads_as(nifti(tmp_path, array, affine), image, LABELS)


def test_a_fourth_axis_of_one_changes_nothing(tmp_path):
    image = dicom(tmp_path, oblique())
    array, affine = turned(LABELS, image.affine, (2, 0, 1), (1, -1, -1))
    reads_as(nifti(tmp_path, array[..., None], affine), image, LABELS)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_single_slice_is_one_whatever_axis_it_lies_on(tmp_path, order):
    image = dicom(tmp_path, oblique(), (12, 9, 1))
    array, affine = turned(LABELS[:, :, :1], image.affine, order, (1, -1, 1))
    reads_as(nifti(tmp_path, array, affine), image, LABELS[:, :, :1])


def test_slices_of_a_tilted_gantry_keep_their_shear(tmp_path):
    lean = np.eye(4)
    lean[1, 2] = 0.5
    with collect_notes():
        image = dicom(tmp_path, np.diag([1.0, 1.0, 2.0, 1.0]) @ lean)
    array, affine = turned(LABELS, image.affine, (2, 1, 0), (-1, 1, -1))
    reads_as(nifti(tmp_path, array, affine, "sform"), image, LABELS)


@pytest.mark.parametrize("signs", [(1, -1, 1), (-1, 1, 1)])
def test_beside_a_nifti_image_it_is_the_same(tmp_path, signs):
    image = Volume(texture(SHAPE), oblique(), modality="MR")
    array, affine = turned(LABELS, image.affine, (1, 0, 2), signs)
    reads_as(nifti(tmp_path, array, affine), image, LABELS)


def test_rounding_of_a_thousandth_of_a_millimetre_is_no_move(tmp_path):
    image = dicom(tmp_path, oblique())
    array, affine = turned(LABELS, image.affine, (0, 1, 2), (1, -1, 1))
    affine[:3, 3] += 0.002
    reads_as(nifti(tmp_path, array, affine), image, LABELS)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("voxels", [0.5, 1.0])
@pytest.mark.parametrize(("order", "signs"), [((0, 1, 2), (1, -1, 1)), ((2, 0, 1), (1, 1, -1)), ((0, 1, 2), (1, 1, 1))])
def test_a_label_that_lies_elsewhere_is_refused_with_the_true_distance(tmp_path, axis, voxels, order, signs):
    image = dicom(tmp_path, oblique((1.0, 2.0, 4.0)))
    array, affine = turned(LABELS, image.affine, order, signs)
    affine[:3, 3] += voxels * image.affine[:3, axis]
    with refusal("GRID_MISMATCH", f"{voxels * image.spacing[axis]:.3g} mm"):
        read_label(nifti(tmp_path, array, affine), image, TABLE)


def test_a_label_turned_by_a_few_degrees_is_refused_with_its_angle(tmp_path):
    image = dicom(tmp_path, np.diag([1.0, 1.0, 2.0, 1.0]))
    array, affine = turned(LABELS, image.affine, (0, 1, 2), (1, -1, 1))
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    with refusal("GRID_MISMATCH", "5.7°"):
        read_label(nifti(tmp_path, array, turn @ affine), image, TABLE)


@pytest.mark.parametrize("kept", [slice(1, None), slice(None, -1), slice(2, 5)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_a_part_of_the_lattice_is_refused_as_a_part(tmp_path, kept, order):
    image = dicom(tmp_path, oblique())
    part = image.affine.copy()
    part[:3, 3] += (kept.start or 0) * part[:3, 2]
    array, affine = turned(LABELS[:, :, kept], part, order, (1, -1, 1))
    shape = LABELS[:, :, kept].shape
    with refusal("GRID_MISMATCH", str(shape), "(12, 9, 7)", "part"):
        read_label(nifti(tmp_path, array, affine), image, TABLE)


def test_another_sampling_of_the_same_box_is_refused(tmp_path):
    image = dicom(tmp_path, oblique())
    coarse = image.affine.copy()
    coarse[:3, 0] *= 2
    with refusal("GRID_MISMATCH", "(6, 9, 7)"):
        read_label(nifti(tmp_path, LABELS[::2], coarse), image, TABLE)


def test_outlines_are_filled_in_the_images_own_slices(tmp_path):
    image = dicom(tmp_path, oblique())
    ring = np.zeros(SHAPE, np.uint8)
    ring[2:9, 2:8, 3] = 1
    filled = ring.copy()
    ring[3:8, 3:7, 3] = 0
    array, affine = turned(ring, image.affine, (2, 0, 1), (1, -1, 1))
    np.testing.assert_array_equal(read_label(nifti(tmp_path, array, affine), image, TABLE, outline=True).array, filled)


SERIES = [
    "dicom2nifti-tests/generic/anatomical/001",
    "dicom2nifti-tests/generic/anatomical/002_non_isotropic",
    "dicom2nifti-tests/hitachi/anatomical/001",
    "dicom2nifti-tests/hyperfine/anatomical/001",
    "dicom2nifti-tests/philips/anatomical/001",
    "dicom2nifti-tests/ge/anatomical/001",
    "ibsi-sts-dev/reference_dicom_nifti/STS_003/dicom/CT/image",
    "ibsi-sts-dev/reference_dicom_nifti/STS_041/dicom/MR_T1/image",
]


@pytest.mark.skipif(not DATA.is_dir() or shutil.which("dcm2niix") is None, reason="needs XMED_DATA and dcm2niix")
@pytest.mark.parametrize("series", SERIES)
def test_dcm2niixs_own_order_is_taken(tmp_path, series):
    with collect_notes():
        image = read_series(DATA / series)
    command = ["dcm2niix", "-b", "n", "-z", "n", "-f", "x", "-o", str(tmp_path), str(DATA / series)]
    subprocess.run(command, check=True, capture_output=True)
    [path] = tmp_path.glob("*.nii")
    threshold = float(np.median(image.array)) + 0.5
    converted = nib.load(path)
    drawn = (np.asarray(converted.dataobj) > threshold).astype(np.uint8)
    nib.save(nib.Nifti1Image(drawn, converted.affine), tmp_path / "label.nii.gz")
    with collect_notes():
        label = read_label(tmp_path / "label.nii.gz", image, TABLE)
        assert 0 < (label.array > 0).mean() < 1
        np.testing.assert_array_equal(label.array, (image.array > threshold).astype(np.uint8))
        assert read_nifti(tmp_path / "label.nii.gz").array.shape == drawn.shape  # read alone, it stays as it is
