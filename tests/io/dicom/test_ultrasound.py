"""Ultrasound pictures: scaled by calibrated regions only, in the order and the unit that the standard means."""

import numpy as np
import pytest

from support.synthetic_dicom import film, refusal, save, texture
from xmed.io import read_series

FRAMES = texture((5, 30, 40)).astype(np.uint8)


def read(ds, tmp_path):
    return read_series(save([ds], tmp_path))


def test_spacing_is_the_regions_delta_in_centimetres_columns_first(tmp_path):
    volume = read(film(FRAMES), tmp_path)
    assert volume.array.shape == (40, 30, 5)
    np.testing.assert_allclose(volume.spacing, (0.2, 0.3, 1.0))
    assert np.array_equal(volume.array[7, 3], FRAMES[:, 3, 7])


def test_a_negative_delta_is_a_direction_not_a_length(tmp_path):
    volume = read(film(FRAMES, [(0, 0, None, None, 0.02, -0.03)]), tmp_path)
    np.testing.assert_allclose(volume.spacing, (0.2, 0.3, 1.0))


def test_the_field_of_view_ends_where_the_regions_end(tmp_path):
    fov = read(film(FRAMES, [(4, 6, 19, 25, 0.02, 0.02)]), tmp_path).fov
    assert fov[4:20, 6:26].all()
    assert fov.sum() == 16 * 20 * 5


@pytest.mark.parametrize(
    "change",
    [
        {"PhysicalUnitsXDirection": 4},  # seconds: an M-mode strip
        {"RegionDataType": 3},
        {"RegionSpatialFormat": 3},
    ],
)
def test_a_region_that_is_no_calibrated_tissue_does_not_count(tmp_path, change):
    ds = film(FRAMES)
    for keyword, value in change.items():
        setattr(ds.SequenceOfUltrasoundRegions[0], keyword, value)
    with refusal("US_NO_REGION", "calibrated in centimetres"):
        read(ds, tmp_path)


def test_without_regions_there_is_no_scale(tmp_path):
    with refusal("US_NO_REGION"):
        read(film(FRAMES, []), tmp_path)


def test_two_scales_in_one_picture_are_refused(tmp_path):
    with refusal("MIXED_SPACING", "one scale"):
        read(film(FRAMES, [(0, 0, 19, 29, 0.02, 0.02), (20, 0, 39, 29, 0.03, 0.03)]), tmp_path)


def test_a_pixel_of_no_size_is_refused(tmp_path):
    with refusal("SPACING_INVALID"):
        read(film(FRAMES, [(0, 0, None, None, 0.0, 0.02)]), tmp_path)
