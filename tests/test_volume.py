"""Volume: voxels with their place, validated once in the constructor."""

import numpy as np
import pytest

from xmed.errors import XmedError
from xmed.volume import Grid, Volume

ARRAY = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def oblique():
    """Spacing 2 × 3 × 4 mm, turned by 30° about the third axis, origin (10, 20, 30)."""
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([2, 3, 4])
    affine[:3, 3] = (10, 20, 30)
    return affine


def test_spacing_and_voxel_volume_of_an_oblique_grid():
    grid = Grid((2, 3, 4), oblique())
    assert grid.spacing == pytest.approx((2, 3, 4))
    assert grid.voxel_ml == pytest.approx(0.024)


def test_a_voxel_lies_where_its_affine_says():
    found = Grid((2, 3, 4), oblique()).points(np.array([[0, 0, 0], [1, 0, 2]]))
    np.testing.assert_allclose(found, [[10, 20, 30], [10 + 2 * np.cos(np.pi / 6), 20 + 1, 38]])


def test_two_grids_are_the_same_within_a_hundredth_of_a_millimetre():
    grid, near, far = (Grid((2, 3, 4), oblique() + shift) for shift in (0, _shift(0.009), _shift(0.02)))
    assert grid.same(near)
    assert not grid.same(far)
    assert grid.distance(far) == pytest.approx(0.02)
    assert grid.distance(Grid((2, 3, 5), oblique())) == float("inf")


def _shift(mm):
    out = np.zeros((4, 4))
    out[0, 3] = mm
    return out


def test_a_turn_that_moves_only_the_far_corner_is_noticed():
    turned = oblique()
    turned[2, 0] += 0.02  # the origin stays
    assert not Grid((200, 3, 4), turned).same(Grid((200, 3, 4), oblique()))


def test_grids_in_different_frames_are_not_the_same_place():
    one, other, none = (Grid((2, 3, 4), np.eye(4), frame) for frame in ("1.2", "1.3", None))
    assert not one.same(other)
    assert one.same(none)


@pytest.mark.parametrize(
    ("affine", "sentence"),
    [
        (np.eye(3), "a finite 4×4 affine"),
        (np.full((4, 4), np.nan), "a finite 4×4 affine"),
        (np.diag([1.0, 0, 1, 1]), "three independent axes"),
    ],
)
def test_an_impossible_affine_is_refused(affine, sentence):
    with pytest.raises(XmedError, match=sentence) as caught:
        Volume(ARRAY, affine)
    assert caught.value.code == "AFFINE_INVALID"


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros((2, 3)), "NDIM"),
        (np.zeros((0, 3, 4)), "NDIM"),
        (np.zeros((2, 3, 4), complex), "COMPLEX"),
        (np.full((2, 3, 4), "x"), "DTYPE"),
        (np.zeros((2, 3, 4), [("r", "u1"), ("g", "u1")]), "DTYPE"),
    ],
)
def test_voxels_that_are_no_picture_are_refused(array, code):
    with pytest.raises(XmedError) as caught:
        Volume(array, np.eye(4))
    assert caught.value.code == code


def test_a_field_of_view_lies_on_its_image():
    with pytest.raises(XmedError, match=r"error\[GRID_MISMATCH\]: found field of view \(2, 3, 5\)"):
        Volume(ARRAY, np.eye(4), fov=np.ones((2, 3, 5)))


def test_without_a_field_of_view_everything_is_inside():
    assert Volume(ARRAY, np.eye(4)).inside.all()
    assert Volume(ARRAY, np.eye(4), fov=ARRAY > 5).inside.sum() == 18


def test_a_prediction_inherits_its_place():
    given = Volume(ARRAY, oblique(), "1.2.3", "MR", ARRAY > 5)
    found = given.with_array(np.zeros((2, 3, 4), np.uint8))
    assert found.grid.same(given.grid)
    assert (found.frame, found.modality) == ("1.2.3", "MR")
    with pytest.raises(XmedError):
        given.with_array(np.zeros((2, 3, 9)))


def test_the_affine_cannot_be_changed_afterwards():
    affine = oblique()
    volume = Volume(ARRAY, affine)
    affine[0, 3] = 99
    assert volume.affine[0, 3] == 10
    with pytest.raises(ValueError, match="read-only"):
        volume.affine[0, 3] = 99
