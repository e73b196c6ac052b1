"""Position: a frame that every field of view shares, and what it says of pieces of which only one can be true."""

import numpy as np
import pytest

from xmed.tasks import Segmentation, largest_components, location_prior, one_component


def field(shape=(40, 30, 20), low=(4, 2, 0), high=(36, 28, 20)) -> np.ndarray:
    fov = np.zeros(shape, bool)
    fov[tuple(slice(a, b) for a, b in zip(low, high))] = True
    return fov


def test_a_mask_framed_in_one_field_and_placed_in_another_keeps_its_share_of_the_way_through():
    fov, mask = field(), np.zeros((40, 30, 20), bool)
    mask[12:20, 8:14, 5:10] = True  # from a quarter to half of the 32 voxels of the field along i
    other = field((80, 70, 40), (10, 10, 0), (74, 62, 40))
    laid = location_prior.from_box_frame(location_prior.to_box_frame(mask, fov), other) > 0.5
    found = np.argwhere(laid)
    assert found.min(0).tolist() == pytest.approx([10 + 64 * 8 / 32, 10 + 52 * 6 / 26, 10], abs=1.5)
    assert (found.max(0) + 1).tolist() == pytest.approx([10 + 64 * 16 / 32, 10 + 52 * 12 / 26, 20], abs=1.5)


def test_nothing_is_placed_outside_a_field_of_view():
    fov = field()
    fov[4:10, 2:8] = False
    assert not location_prior.from_box_frame(np.ones((location_prior.CELLS,) * 3, np.float32), fov)[~fov].any()


def test_no_place_is_ruled_out_and_unseen_structures_are_likely_nowhere_more_than_elsewhere():
    never = location_prior.location_likelihood([np.zeros((location_prior.CELLS,) * 3)] * 3)
    assert np.unique(never).tolist() == [np.float32(location_prior.MIN_LIKELIHOOD)]


def two_pieces() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (2, i, j, k) with a large piece in an odd place and a smaller one where the structure belongs."""
    p = np.zeros((2, 32, 32, 4), np.float32)
    p[1, 2:12, 2:12] = 0.9
    p[1, 20:28, 20:28] = 0.9
    p[0] = 1 - p[1]
    places = np.full((1, 32, 32, 4), location_prior.MIN_LIKELIHOOD, np.float32)
    places[0, 18:30, 18:30] = 0.8
    return p, places


def test_the_piece_that_is_kept_lies_where_the_structure_usually_does():
    p, places = two_pieces()
    task = Segmentation(("organ",), largest_component=True)
    assert task.decode(p)[5, 5, 0] == 1
    assert task.decode(p, places)[24, 24, 0] == 1
    assert task.decode(p, places)[5, 5, 0] == 0
    assert task.decode(p, places)[24, 24, 0] == task.decode(p, places).max()


def test_with_equal_weights_the_kept_piece_is_the_largest():
    label = two_pieces()[0].argmax(0).astype(np.uint8)
    assert np.array_equal(
        one_component(label, lambda value, box: np.full(label[box].shape, float(value))), largest_components(label)
    )


def test_a_mean_mask_lies_where_the_masks_lay_and_is_as_large_as_they_were_in_a_field_of_any_size():
    fovs, masks = [field(), field()], [np.zeros((40, 30, 20), bool) for _ in range(2)]
    masks[0][12:20, 8:14, 5:10] = True
    masks[1][14:22, 8:14, 5:10] = True
    usually = location_prior.MeanMask.of(masks, fovs)
    assert usually.share == pytest.approx(240 / fovs[0].sum())
    other = field((80, 70, 40), (10, 10, 0), (74, 62, 40))
    laid = usually.mask_in(other)
    assert laid.sum() / other.sum() == pytest.approx(usually.share, rel=0.25)
    assert np.argwhere(laid).mean(0).tolist() == pytest.approx([10 + 64 * 13 / 32, 10 + 52 * 9 / 26, 15], abs=1.5)


def case(name: str, low: tuple[int, int, int], size: tuple[int, int, int] = (8, 8, 8)) -> location_prior.LabelledCase:
    """A labelled case: one box of a structure, value 1, from `low` on, in a field that fills its array."""
    label, fov = np.zeros((32, 32, 32), np.uint8), np.ones((32, 32, 32), bool)
    label[tuple(slice(a, a + n) for a, n in zip(low, size))] = 1
    return name, label, fov


CENTRED = [case("A", (12, 12, 12)), case("B", (12, 12, 12)), case("C", (14, 12, 12))]


def test_agreement_is_dice_with_the_mean_masks_and_none_where_nothing_was_found():
    usual = location_prior.LocationPrior.of([CENTRED[0], CENTRED[1]], 2)
    _, label, fov = CENTRED[0]
    assert usual.agreement(label, fov) == pytest.approx(1)
    shifted = case("D", (16, 12, 12))[1]  # half of the box lies beside the usual place
    assert usual.agreement(shifted, fov) == pytest.approx(0.5)
    assert usual.agreement(np.zeros_like(label), fov) == 0


def test_each_labelled_patient_is_held_against_where_the_others_lie_and_counts_once():
    twice = [CENTRED[0], ("A", *CENTRED[2][1:]), CENTRED[1]]  # A was held in two poses
    a, b = location_prior.leave_one_out_agreement(twice, 2)
    assert a == pytest.approx((1 + 2 * 384 / 1024) / 2)  # against B alone: one pose on it, one two voxels beside it
    assert 0 < b < 1
    assert location_prior.leave_one_out_agreement(CENTRED[:1], 2) == []
