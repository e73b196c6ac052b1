"""Field of view: the sector of an ultrasound picture, black organs included, black borders not."""

import numpy as np
import pytest

from xmed.io.field_of_view import field_of_view


@pytest.fixture
def fan():
    """A curved-array sector (i, j) of half angle 35°, between 20 and 90 pixels from its apex, with empty sides."""
    i, j = np.mgrid[:120, :100]
    radius, angle = np.hypot(i - 60, j + 5), np.arctan2(i - 60, j + 5)
    return (radius > 20) & (radius < 90) & (np.abs(angle) < np.radians(35))


def speckle(mask, seed=0):
    return np.where(mask, np.random.default_rng(seed).rayleigh(40, mask.shape).astype(np.uint8) + 1, 0)


def overlap(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_a_black_bladder_in_the_sector_is_in_the_field_of_view(fan):
    i, j = np.mgrid[:120, :100]
    bladder = (i - 60) ** 2 + (j - 55) ** 2 < 18**2
    fov = field_of_view(speckle(fan & ~bladder)[:, :, np.newaxis])[:, :, 0]
    assert fov[bladder].all()
    assert overlap(fov, fan) > 0.97


def test_a_shadow_that_reaches_the_edge_is_in_the_field_of_view(fan):
    i, j = np.mgrid[:120, :100]
    shadow = fan & (np.abs(np.arctan2(i - 60, j + 5) - 0.2) < 0.1) & (j > 40)
    fov = field_of_view(speckle(fan & ~shadow)[:, :, np.newaxis])[:, :, 0]
    assert fov[shadow].mean() > 0.95
    assert overlap(fov, fan) > 0.96


def test_the_black_borders_and_the_writing_on_them_are_not(fan):
    picture = speckle(fan)
    picture[2:9, 3:9] = 255
    fov = field_of_view(picture[:, :, np.newaxis])[:, :, 0]
    assert not fov[:8].any()
    assert not fov[-8:].any()
    assert overlap(fov, fan) > 0.97


def test_a_film_has_one_sector_seen_over_all_its_frames(fan):
    frames = np.stack([speckle(fan, seed) * (np.indices(fan.shape)[1] % 4 == seed) for seed in range(4)], axis=2)
    fov = field_of_view(frames, moving=True)
    assert (fov == fov[:, :, :1]).all()
    assert overlap(fov[:, :, 0], fan) > 0.96


def test_each_slice_of_a_volume_has_its_own_sector(fan):
    small = np.roll(fan, 5, axis=0) & (np.indices(fan.shape)[1] < 50)
    volume = np.stack([speckle(fan), speckle(small), speckle(fan & False)], axis=2)
    fov = field_of_view(volume)
    assert overlap(fov[:, :, 0], fan) > 0.97
    assert overlap(fov[:, :, 1], small) > 0.9
    assert not fov[:, :, 2].any()


def test_a_picture_without_black_is_all_field_of_view():
    picture = np.random.default_rng(0).integers(10, 200, (30, 40, 2))
    picture[3, 3, 0] = 0
    assert field_of_view(picture).all()


def test_a_line_is_its_own_field_of_view():
    picture = np.zeros((20, 20, 1))
    picture[5, 3:9] = 7
    assert np.array_equal(field_of_view(picture), picture > 0)
