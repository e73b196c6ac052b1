"""Rows 45 to 62: NIfTI headers that contradict themselves, voxels that are none, labels that belong elsewhere."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from support.corpus import row
from support.synthetic_dicom import oblique, texture

ARRAY = texture((12, 9, 7)).astype(np.int16)
RAS = np.diag([-1.0, -1.0, 1.0, 1.0]) @ oblique()
LABELS = np.zeros(ARRAY.shape, np.uint8)
LABELS[3:8, 2:6, 1:5] = 1


def nifti(
    path: Path,
    array: np.ndarray = ARRAY,
    affine: np.ndarray = RAS,
    *,
    sform: np.ndarray | None = None,
    codes: tuple[int, int] = (1, 1),
    **fields: Any,
) -> Path:
    """A NIfTI with sform and qform, whose header fields are overwritten after nibabel is content with them."""
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, codes[1], strip_shears=True)
    image.set_sform(affine if sform is None else sform, codes[0])
    data = bytearray(image.to_bytes())
    header = nib.Nifti1Header(bytes(data[:348]), check=False)
    for field, value in fields.items():
        header[field] = value
    data[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(data)) if path.name.endswith(".gz") else bytes(data))
    return path


def pair(folder: Path, labels: np.ndarray = LABELS, affine: np.ndarray = RAS, **changes: Any) -> Path:
    """A good image, and beside it label.nii.gz."""
    nifti(folder / "label.nii.gz", labels, affine, **changes)
    return nifti(folder / "image.nii.gz")


def holes(share: float, value: float) -> np.ndarray:
    array = ARRAY.astype(np.float32)
    array.ravel()[: max(1, int(share * array.size))] = value
    return array


@row(45, "fixed", "HOLES")
def a_nan_voxel(folder: Path) -> Path:
    """One voxel in a thousand is NaN."""
    array = texture((30, 20, 10)).astype(np.float32)
    array[3, 4, 5] = np.nan
    return nifti(folder / "x.nii.gz", array)


@row(45, "quarantine", "NON_FINITE")
def many_nan_voxels(folder: Path) -> Path:
    """Every tenth voxel is NaN."""
    return nifti(folder / "x.nii.gz", holes(0.1, np.nan))


@row(45, "quarantine", "NON_FINITE")
def many_infinite_voxels(folder: Path) -> Path:
    """Every tenth voxel is infinite."""
    return nifti(folder / "x.nii.gz", holes(0.1, np.inf))


@row(46, "fixed", "SLOPE")
def slope_zero(folder: Path) -> Path:
    """A slope of 0."""
    return nifti(folder / "x.nii.gz", scl_slope=0)


@row(46, "fixed", "SLOPE")
def slope_nan(folder: Path) -> Path:
    """A slope that is NaN."""
    return nifti(folder / "x.nii.gz", scl_slope=np.nan)


@row(46, "quarantine", "RESCALE_INVALID")
def slope_infinite(folder: Path) -> Path:
    """An infinite slope."""
    return nifti(folder / "x.nii.gz", scl_slope=np.inf)


@row(46, "quarantine", "RESCALE_INVALID")
def intercept_nan(folder: Path) -> Path:
    """A slope of 2 with an intercept that is NaN."""
    return nifti(folder / "x.nii.gz", scl_slope=2, scl_inter=np.nan)


@row(47, "fixed", "FORMS")
def two_forms(folder: Path) -> Path:
    """The sform lies 5 mm beside the qform."""
    moved = RAS.copy()
    moved[0, 3] += 5
    return nifti(folder / "x.nii.gz", sform=moved)


@row(48, "quarantine", "NO_ORIENTATION")
def no_orientation(folder: Path) -> Path:
    """Neither sform nor qform has a code."""
    return nifti(folder / "x.nii.gz", codes=(0, 0))


@row(48, "fixed", "LABEL_UNPLACED", label="label.nii.gz")
def a_label_without_orientation(folder: Path) -> Path:
    """A label map without orientation, of its image's shape and spacing."""
    return pair(folder, codes=(0, 0))


@row(48, "quarantine", "NO_ORIENTATION", label="label.nii.gz")
def a_label_of_another_spacing_without_orientation(folder: Path) -> Path:
    """A label map without orientation, of its image's shape and another spacing."""
    return pair(folder, affine=RAS @ np.diag([2, 1, 1, 1]), codes=(0, 0))


@row(49, "quarantine", "AFFINE_INVALID")
def singular_affine(folder: Path) -> Path:
    """An sform with two equal axes."""
    return nifti(folder / "x.nii.gz", srow_y=RAS[0], srow_x=RAS[0])


@row(49, "quarantine", "AFFINE_INVALID")
def nan_affine(folder: Path) -> Path:
    """An sform with a NaN."""
    return nifti(folder / "x.nii.gz", srow_x=[np.nan, 0, 0, 0])


@row(50, "fixed", "SHEAR")
def sheared(folder: Path) -> Path:
    """An sform whose slices lean by a tenth."""
    lean = np.eye(4)
    lean[0, 2] = 0.4
    return nifti(folder / "x.nii.gz", sform=RAS @ lean)


@row(51, "fixed", "PIXDIM")
def pixdim_negative(folder: Path) -> Path:
    """A negative pixdim beside a valid sform."""
    return nifti(folder / "x.nii.gz", pixdim=[1, -0.7, 1.3, 3.1, 1, 1, 1, 1])


@row(51, "quarantine", "SPACING_INVALID")
def pixdim_zero(folder: Path) -> Path:
    """A pixdim of 0 with nothing but a qform."""
    return nifti(folder / "x.nii.gz", codes=(0, 1), pixdim=[1, 0.7, 0, 3.1, 1, 1, 1, 1])


@row(52, "fixed", "UNITS")
def micrometres(folder: Path) -> Path:
    """Lengths in micrometres."""
    return nifti(folder / "x.nii.gz", affine=np.diag([1000, 1000, 1000, 1]) @ RAS, xyzt_units=3)


@row(52, "fixed", "UNITS")
def metres(folder: Path) -> Path:
    """Lengths in metres."""
    return nifti(folder / "x.nii.gz", affine=np.diag([0.001, 0.001, 0.001, 1]) @ RAS, xyzt_units=1)


@row(53, "fixed", "SQUEEZED")
def a_fourth_axis_of_one(folder: Path) -> Path:
    """Four dimensions, the last of one."""
    return nifti(folder / "x.nii.gz", ARRAY[..., None])


@row(54, "error", "NDIM")
def four_dimensions(folder: Path) -> Path:
    """Three volumes in one file."""
    return nifti(folder / "x.nii.gz", texture((12, 9, 7, 3)).astype(np.int16))


@row(54, "error", "NDIM")
def five_dimensions(folder: Path) -> Path:
    """Three volumes of vectors in one file."""
    return nifti(folder / "x.nii.gz", texture((12, 9, 7, 3, 2)).astype(np.int16))


@row(55, "error", "DTYPE")
def colours(folder: Path) -> Path:
    """RGB24."""
    rgb = np.zeros(ARRAY.shape, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    rgb["R"] = ARRAY % 256
    return nifti(folder / "x.nii.gz", rgb)


@row(56, "quarantine", "COMPLEX")
def complex_voxels(folder: Path) -> Path:
    """Complex voxels."""
    return nifti(folder / "x.nii.gz", (ARRAY * (1 + 1j)).astype(np.complex64))


@row(57, "fixed", "LABEL_ROUNDED", label="label.nii.gz")
def nearly_whole_labels(folder: Path) -> Path:
    """Labels of 0.9999."""
    return pair(folder, (LABELS * 0.9999).astype(np.float32))


@row(57, "error", "LABEL_VALUES", label="label.nii.gz")
def negative_label(folder: Path) -> Path:
    """A label of -1."""
    return pair(folder, LABELS.astype(np.int16) * -1)


@row(57, "error", "LABEL_VALUES", label="label.nii.gz")
def label_300(folder: Path) -> Path:
    """A label of 300, which is 44 in eight bits."""
    return pair(folder, LABELS.astype(np.int16) * 300)


@row(57, "error", "LABEL_VALUES", label="label.nii.gz")
def unknown_label(folder: Path) -> Path:
    """A label of 99, which no spec names."""
    return pair(folder, LABELS * 99)


@row(58, "error", "GRID_MISMATCH", label="label.nii.gz")
def label_of_another_shape(folder: Path) -> Path:
    """A label map that lacks a slice."""
    return pair(folder, LABELS[:, :, 1:])


@row(58, "error", "GRID_MISMATCH", label="label.nii.gz")
def label_beside_its_image(folder: Path) -> Path:
    """A label map 2 mm beside its image."""
    moved = RAS.copy()
    moved[2, 3] += 2
    return pair(folder, affine=moved)


@row(58, "error", "GRID_MISMATCH", label="label.nii.gz")
def mirrored_label(folder: Path) -> Path:
    """A label map with left and right exchanged."""
    return pair(folder, affine=np.diag([-1, 1, 1, 1]) @ RAS)


@row(60, "error", "NDIM")
def no_dimensions(folder: Path) -> Path:
    """dim[0] is 0."""
    return nifti(folder / "x.nii.gz", dim=[0, 12, 9, 7, 1, 1, 1, 1])


@row(62, "quarantine", "CONSTANT")
def constant(folder: Path) -> Path:
    """Every voxel is 7."""
    return nifti(folder / "x.nii.gz", np.full_like(ARRAY, 7))


@row(62, "quarantine", "CONSTANT", label="label.nii.gz")
def empty_label(folder: Path) -> Path:
    """A label map without any structure, in a dataset that does not declare such."""
    return pair(folder, LABELS * 0)
