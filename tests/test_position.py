"""Position: a frame that every field of view shares, and what it says of pieces of which only one can be true."""

import numpy as np
import pytest

from xmed import position
from xmed.tasks import Segmentation, largest_components, one_component


def field(shape=(40, 30, 20), low=(4, 2, 0), high=(36, 28, 20)) -> np.ndarray:
    fov = np.zeros(shape, bool)
    fov[tuple(slice(a, b) for a, b in zip(low, high))] = True
    return fov


def test_a_mask_framed_in_one_field_and_placed_in_another_keeps_its_share_of_the_way_through():
    fov, mask = field(), np.zeros((40, 30, 20), bool)
    mask[12:20, 8:14, 5:10] = True  # from a quarter to half of the 32 voxels of the field along i
    other = field((80, 70, 40), (10, 10, 0), (74, 62, 40))
    laid = position.placed(position.framed(mask, fov), other) > 0.5
    found = np.argwhere(laid)
    assert found.min(0).tolist() == pytest.approx([10 + 64 * 8 / 32, 10 + 52 * 6 / 26, 10], abs=1.5)
    assert (found.max(0) + 1).tolist() == pytest.approx([10 + 64 * 16 / 32, 10 + 52 * 12 / 26, 20], abs=1.5)


def test_nothing_is_placed_outside_a_field_of_view():
    fov = field()
    fov[4:10, 2:8] = False
    assert not position.placed(np.ones((position.CELLS,) * 3, np.float32), fov)[~fov].any()


def test_no_place_is_ruled_out_and_unseen_structures_are_likely_nowhere_more_than_elsewhere():
    never = position.likelihood([np.zeros((position.CELLS,) * 3)] * 3)
    assert np.unique(never).tolist() == [np.float32(position.FLOOR)]


def two_pieces() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (2, i, j, k) with a large piece in an odd place and a smaller one where the structure belongs."""
    p = np.zeros((2, 32, 32, 4), np.float32)
    p[1, 2:12, 2:12] = 0.9
    p[1, 20:28, 20:28] = 0.9
    p[0] = 1 - p[1]
    places = np.full((1, 32, 32, 4), position.FLOOR, np.float32)
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
        one_component(label, lambda value: np.full(label.shape, float(value))), largest_components(label)
    )


def test_a_mean_mask_lies_where_the_masks_lay_and_is_as_large_as_they_were_in_a_field_of_any_size():
    fovs, masks = [field(), field()], [np.zeros((40, 30, 20), bool) for _ in range(2)]
    masks[0][12:20, 8:14, 5:10] = True
    masks[1][14:22, 8:14, 5:10] = True
    usually = position.MeanMask.of(masks, fovs)
    assert usually.share == pytest.approx(240 / fovs[0].sum())
    other = field((80, 70, 40), (10, 10, 0), (74, 62, 40))
    laid = usually.above(other)
    assert laid.sum() / other.sum() == pytest.approx(usually.share, rel=0.25)
    assert np.argwhere(laid).mean(0).tolist() == pytest.approx([10 + 64 * 13 / 32, 10 + 52 * 9 / 26, 15], abs=1.5)


def case(name: str, low: tuple[int, int, int], size: tuple[int, int, int] = (8, 8, 8)) -> position.Labelled:
    """A labelled case: one box of a structure, value 1, from `low` on, in a field that fills its array."""
    label, fov = np.zeros((32, 32, 32), np.uint8), np.ones((32, 32, 32), bool)
    label[tuple(slice(a, a + n) for a, n in zip(low, size))] = 1
    return name, label, fov


CENTRED = [case("A", (12, 12, 12)), case("B", (12, 12, 12)), case("C", (14, 12, 12))]


def argmax(p: np.ndarray, fov: np.ndarray) -> np.ndarray:
    return np.where(fov, p.argmax(0), 0).astype(np.uint8)


def sure_of(label: np.ndarray, by: float = 0.9) -> np.ndarray:
    """Probabilities (2, i, j, k) of a net that is sure of a label map."""
    foreground = np.where(label == 1, by, 1 - by).astype(np.float32)
    return np.stack([1 - foreground, foreground])


def test_agreement_is_dice_with_the_mean_masks_and_none_where_nothing_was_found():
    usual = position.Usual.of([CENTRED[0], CENTRED[1]], 2)
    _, label, fov = CENTRED[0]
    assert usual.agreement(label, fov) == pytest.approx(1)
    shifted = case("D", (16, 12, 12))[1]  # half of the box lies beside the usual place
    assert usual.agreement(shifted, fov) == pytest.approx(0.5)
    assert usual.agreement(np.zeros_like(label), fov) == 0


def test_each_labelled_patient_is_held_against_where_the_others_lie_and_counts_once():
    twice = [CENTRED[0], ("A", *CENTRED[2][1:]), CENTRED[1]]  # A was held in two poses
    a, b = position.typical(twice, 2)
    assert a == pytest.approx((1 + 2 * 384 / 1024) / 2)  # against B alone: one pose on it, one two voxels beside it
    assert 0 < b < 1
    assert position.typical(CENTRED[:1], 2) == []


@pytest.mark.parametrize(
    ("labelled", "found", "least"),
    [
        ([0.6, 0.5], [0.5, 0.6, 0.7], 0.0),  # lies where labelled structures do: nothing is touched
        ([0.6, 0.5], [], 0.0),
        ([], [0.1], 0.0),
        ([0.5, 0.5], [0.8, 0.1, 0.4], 0.3),  # the lowest to 0.3: (0.8 + 0.3 + 0.4) / 3 = 0.5
        ([0.5, 0.5], [0.6, 0.0, 0.3], 0.45),  # the two lowest together: (0.6 + 0.45 + 0.45) / 3 = 0.5
        ([0.5, 0.5], [0.1, 0.2], 0.5),
    ],
)
def test_the_lowest_agreements_are_raised_to_one_level_until_their_mean_is_that_of_labelled_cases(
    labelled, found, least
):
    level = position.least_agreement(labelled, found)
    assert level == pytest.approx(least)
    if level:
        assert np.maximum(found, level).mean() == pytest.approx(np.mean(labelled))


def test_a_prediction_in_a_usual_place_is_left_as_it_is():
    usual = position.Usual(position.Usual.of(CENTRED, 2).means, least=0.6)
    p = sure_of(CENTRED[0][1])
    pulled, weight = usual.pulled(p, CENTRED[0][2], argmax)
    assert weight == 0
    assert pulled is p


def test_a_prediction_elsewhere_is_pulled_no_further_than_it_must_be():
    usual = position.Usual(position.Usual.of(CENTRED, 2).means, least=0.6)
    _, beside, fov = case("D", (19, 12, 12))
    before = usual.agreement(beside, fov)
    pulled, weight = usual.pulled(sure_of(beside), fov, argmax)
    assert before < 0.6 <= usual.agreement(argmax(pulled, fov), fov)
    assert 0 < weight < 1
    np.testing.assert_allclose(pulled.sum(0), 1, rtol=1e-5)
    stricter = position.Usual(usual.means, least=0.9)
    assert stricter.pulled(sure_of(beside), fov, argmax)[1] > weight


def test_where_nothing_was_found_nothing_is_drawn():
    usual = position.Usual(position.Usual.of(CENTRED, 2).means, least=0.6)
    _, label, fov = CENTRED[0]
    p = sure_of(np.zeros_like(label))
    pulled, weight = usual.pulled(p, fov, argmax)
    assert weight == 0
    assert not argmax(pulled, fov).any()


def test_a_net_that_is_less_sure_is_pulled_at_less_weight():
    usual = position.Usual(position.Usual.of(CENTRED, 2).means, least=0.6)
    _, beside, fov = case("D", (19, 12, 12))
    weight = [usual.pulled(sure_of(beside, by), fov, argmax)[1] for by in (0.6, 0.9, 0.999)]
    assert weight == sorted(weight)
    assert weight[0] < weight[2]


def test_nothing_is_pulled_into_what_lies_outside_the_field_of_view():
    usual = position.Usual(position.Usual.of(CENTRED, 2).means, least=0.9)
    _, beside, fov = case("D", (22, 12, 12))
    fov = fov.copy()
    fov[:, :14] = False
    p = sure_of(np.where(fov, beside, 0))
    p[:, ~fov] = np.array([1, 0])[:, None]
    pulled, weight = usual.pulled(p, fov, argmax)
    assert weight > 0
    assert (pulled[0, ~fov] == 1).all()
    assert not pulled[1, ~fov].any()


def test_what_is_kept_of_the_usual_place_comes_back():
    usual = position.Usual(position.Usual.of(CENTRED, 2).means, least=0.4)
    again = position.Usual.kept(usual.atlas, usual.shares, usual.least)
    _, beside, fov = case("D", (19, 12, 12))
    assert again.agreement(beside, fov) == usual.agreement(beside, fov)
    assert again.least == 0.4
    with pytest.raises(ValueError, match="zip"):
        position.Usual.kept(usual.atlas, [0.1, 0.2], 0.4)
