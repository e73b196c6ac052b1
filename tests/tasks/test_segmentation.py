"""Tasks: losses by hand, pseudo-labels per voxel, decoding."""

import math

import numpy as np
import pytest
import torch

from xmed.tasks import Segmentation, largest_components

TASK = Segmentation(("organ",))


def test_the_loss_is_cross_entropy_plus_soft_dice_worked_by_hand():
    # two voxels, p(organ) = 0.8 and 0.25, truth organ and background
    p = torch.tensor([0.8, 0.25])
    logits = torch.stack([(1 - p).log(), p.log()])[None, :, None]
    label = torch.tensor([[[1, 0]]])
    entropy = -(math.log(0.8) + math.log(0.75)) / 2
    dice = 1 - (2 * 0.8 + 1) / (0.8 + 0.25 + 1 + 1)
    assert TASK.loss(logits, label).item() == pytest.approx(entropy + dice, abs=1e-6)


def test_a_voxel_of_weight_zero_changes_nothing():
    torch.manual_seed(0)
    logits, label = torch.randn(2, 2, 6, 6), torch.randint(0, 2, (2, 6, 6))
    weight = torch.ones(2, 6, 6)
    weight[:, :2] = 0
    before = TASK.loss(logits, label, weight)
    logits[:, :, :2] += 5
    label[:, :2] = 1 - label[:, :2]
    torch.testing.assert_close(TASK.loss(logits, label, weight), before)
    assert not torch.isclose(TASK.loss(logits, label), before)


def test_nothing_to_learn_from_is_no_loss_and_no_nan():
    loss = TASK.loss(
        torch.randn(1, 2, 4, 4, requires_grad=True), torch.zeros(1, 4, 4, dtype=torch.long), torch.zeros(1, 4, 4)
    )
    assert loss.item() == 0
    loss.backward()


def test_a_perfect_prediction_costs_next_to_nothing_in_2d_and_3d():
    for space in [(8, 8), (4, 4, 4)]:
        label = torch.randint(0, 2, (2, *space))
        logits = torch.stack([(1 - label) * 40.0, label * 40.0], 1)
        assert TASK.loss(logits, label).item() < 0.01


def test_the_largest_piece_of_each_structure_is_kept_and_corners_touch():
    label = np.zeros((6, 6, 6), np.uint8)
    label[0, 0, 0] = label[1, 1, 1] = label[2, 2, 2] = 1
    label[5, 5, 5] = 1
    label[0, 5, 0:2], label[5, 0, 5] = 2, 2
    kept = largest_components(label)
    assert (kept == 1).sum() == 3
    assert (kept == 2).sum() == 2
    assert kept[5, 5, 5] == kept[5, 0, 5] == 0


def test_decoding_takes_the_most_probable_class():
    p = np.zeros((2, 2, 1, 1))
    p[:, 0, 0, 0], p[:, 1, 0, 0] = (0.4, 0.6), (0.7, 0.3)
    assert TASK.decode(p).ravel().tolist() == [1, 0]
