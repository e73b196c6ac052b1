"""Mosaic: the slices of a Siemens mosaic lie where its private header says, or the mosaic is refused."""

import gzip
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from support.synthetic_dicom import refusal, save, texture
from xmed.io import read_series, read_volumes

REAL = Path(nib.__file__).parent / "nicom" / "tests" / "data"
SQUARE = texture((896, 896))  # nibabel's authors blacked the pixels of their scans out


@pytest.fixture
def mosaic():
    """A real mosaic of 48 slices of 128 × 128 in a square of 7 × 7 tiles, by b-value; its pixels are ours."""

    def read(weighting=0, square=SQUARE):
        ds = pydicom.dcmread(BytesIO(gzip.decompress((REAL / f"siemens_dwi_{weighting}.dcm.gz").read_bytes())))
        ds.PixelData = square.tobytes()
        return ds

    return read


def test_tiles_become_slices_row_by_row(mosaic, tmp_path):
    volume = read_series(save([mosaic()], tmp_path))
    assert volume.array.shape == (128, 128, 48)
    for k in (0, 6, 7, 47):
        down, along = divmod(k, 7)
        tile = SQUARE[128 * down : 128 * (down + 1), 128 * along : 128 * (along + 1)]
        np.testing.assert_array_equal(volume.array[:, :, k].T, tile)


def test_the_first_slice_lies_in_the_middle_of_the_squares_place(mosaic, tmp_path):
    """Image Position is (-805, -825.019, -75.098); half of the 768 further pixels of 1.797 mm lead from it to the slice."""
    volume = read_series(save([mosaic()], tmp_path))
    np.testing.assert_allclose(volume.affine[:3, 3], [-115, -135.0286, -78.7104], atol=1e-3)
    np.testing.assert_allclose(volume.spacing, (1.796875, 1.796875, 3.0), atol=1e-6)
    np.testing.assert_allclose(volume.affine[:3, 2], [0, 3 * 0.00523632, 3 * 0.99998629], atol=1e-6)


def test_mosaics_of_two_b_values_are_two_volumes(mosaic, tmp_path):
    other = mosaic(1000, SQUARE[::-1].copy())
    other.SeriesInstanceUID = mosaic().SeriesInstanceUID
    other.FrameOfReferenceUID = mosaic().FrameOfReferenceUID
    volumes = read_volumes(save([other, mosaic()], tmp_path))
    assert list(volumes) == ["DiffusionBValue 0", "DiffusionBValue 1000"]
    np.testing.assert_array_equal(volumes["DiffusionBValue 0"].array[:, :, 0].T, SQUARE[:128, :128])


def test_a_mosaic_without_its_private_header_is_refused(mosaic, tmp_path):
    ds = mosaic()
    ds.remove_private_tags()
    with refusal("MULTI_VOLUME", "Siemens mosaic", "its private header is missing", "export it again"):
        read_series(save([ds], tmp_path))


def test_a_mosaic_whose_header_speaks_of_another_square_is_refused(mosaic, tmp_path):
    ds = mosaic()
    ds.Rows, ds.PixelData = 895, SQUARE[:895].tobytes()
    with refusal("MULTI_VOLUME", "48 slices do not fit 895 × 896 pixels"):
        read_series(save([ds], tmp_path))
