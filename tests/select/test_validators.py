"""Validators: each trap of dense labels, and the numbers by hand."""

import numpy as np
import pytest

from xmed.select.validators import Atlas, entropies, information, mean_overlap, reverse_accuracy
from xmed.tasks.location_prior import mask_overlap

SHAPE = (24, 24, 12)
FOV = np.ones(SHAPE, bool)
PRIOR = np.array([0.95, 0.03, 0.015, 0.005])


def certain(label, classes=4, confidence=0.97):
    """Probabilities of a net that is equally sure everywhere, whatever it says."""
    p = np.full((classes, *label.shape), (1 - confidence) / (classes - 1), np.float32)
    np.put_along_axis(p, label[None].astype(int), confidence, axis=0)
    return p


def of_shares(shares):
    """A label map with given shares of the classes."""
    counts = np.rint(np.cumsum(shares) * np.prod(SHAPE)).astype(int)
    return np.searchsorted(counts, np.arange(np.prod(SHAPE)), side="right").reshape(SHAPE)


def score(label):
    p = certain(label)
    return information(p[:, FOV].mean(1), entropies(p, FOV), PRIOR)


def test_information_prefers_what_is_right_where_others_prefer_a_collapse_or_over_segmentation():
    right, collapsed, exploded = (of_shares(s) for s in (PRIOR, [1, 0, 0, 0], [0.4, 0.2, 0.2, 0.2]))
    plain = [-np.mean(entropies(certain(lab), FOV)[np.unique(lab)]) for lab in (right, collapsed, exploded)]
    assert np.ptp(plain) < 1e-6  # entropy alone sees no difference at all
    assert score(right) > score(collapsed) + 0.2
    assert score(right) > score(exploded) + 1


def test_information_by_hand():
    mean, prior = np.array([0.75, 0.25]), np.array([0.5, 0.5])
    distance = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert information(mean, np.array([0.0, np.log(2)]), prior) == pytest.approx(-distance / np.log(2) - 0.5)
    assert information(prior, np.zeros(2), prior) == pytest.approx(0)


def test_a_class_that_wins_no_voxel_is_as_uncertain_as_can_be():
    p = certain(np.zeros(SHAPE, int))
    found = entropies(p, FOV)
    assert found[0] == pytest.approx(-(0.97 * np.log(0.97) + 0.03 * np.log(0.01)), rel=1e-4)
    assert found[1:] == pytest.approx(np.log(4))


def test_two_empty_masks_agree_on_nothing():
    empty = np.zeros(SHAPE, int)
    assert mask_overlap(empty == 1, empty == 1) == 0
    assert mean_overlap(empty, empty, 2) == 0


def ellipsoid(middle, radii, value=1):
    where = np.moveaxis(np.indices(SHAPE), 0, -1) - middle
    return (((where / radii) ** 2).sum(-1) < 1).astype(np.uint8) * value


def test_a_mask_is_laid_onto_its_reference_wherever_it_lies():
    reference = [Atlas.of(ellipsoid((8, 8, 5), (5, 3, 3)), 2)]
    assert reverse_accuracy(ellipsoid((15, 13, 6), (5, 3, 3)), reference, 2) == 1
    assert reverse_accuracy(ellipsoid((15, 13, 6), (3, 5, 3)), reference, 2) < 0.8  # another shape of the same volume
    assert reverse_accuracy(np.ones(SHAPE, np.uint8), reference, 2) == 0
    assert reverse_accuracy(np.zeros(SHAPE, np.uint8), reference, 2) == 0


def test_the_reference_that_looks_most_alike_is_the_judge():
    many = [Atlas.of(ellipsoid((8, 8, 5), radii), 2) for radii in ((2, 2, 2), (5, 3, 3))]
    assert reverse_accuracy(ellipsoid((12, 12, 6), (5, 3, 3)), many, 2) == 1


def test_structures_that_have_changed_places_do_not_fit_the_reference():
    label = ellipsoid((8, 12, 6), (4, 4, 4)) + ellipsoid((17, 12, 6), (4, 4, 4), 2)
    swapped = np.where(label > 0, 3 - label, 0)
    references = [Atlas.of(label, 3)]
    assert reverse_accuracy(label, references, 3) == 1
    assert reverse_accuracy(swapped, references, 3) < 0.1
