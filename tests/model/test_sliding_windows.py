"""Prediction by windows is what MONAI's inferer and whole mirrored volumes give, without the windows that show nothing."""

from itertools import compress, product

import numpy as np
import pytest
import torch
from monai.inferers.utils import sliding_window_inference
from torch import nn

from xmed.model.sliding_windows import AT_ONCE, predict_by_windows


class Counted(nn.Module):
    """A network of three classes that knows where in the patch it is (zero padding), and counts its patches."""

    def __init__(self, dims, channels=1):
        super().__init__()
        torch.manual_seed(0)
        kind = nn.Conv2d if dims == 2 else nn.Conv3d
        self.layers = nn.Sequential(kind(channels, 4, 3, padding=1), nn.ReLU(), kind(4, 3, 3, padding=1))
        self.patches = 0

    def forward(self, patches):
        self.patches += len(patches)
        return (4 * self.layers(patches)).softmax(1)


def by_monai(stack, patch, net, flips):
    """Whole copies are mirrored, predicted, mirrored back and averaged."""
    axes = [2 + axis for axis in compress(range(len(patch)), flips)]
    total, low = 0, float(stack.min())
    for chosen in product((False, True), repeat=len(axes)):
        mirrored = list(compress(axes, chosen))
        out = sliding_window_inference(
            stack.flip(mirrored), patch, AT_ONCE, net, overlap=0.5, mode="gaussian", cval=low, padding_mode="constant"
        )
        total = total + out.flip(mirrored)
    return (total / 2 ** len(axes)).movedim(1, 0).numpy()


CASES = {
    "windows fit": ((24, 32), (8, 16), (True, False)),
    "windows do not fit": ((27, 35), (8, 16), (True, True)),
    "one window": ((16, 16), (16, 16), (True, True)),
    "smaller than a window": ((9, 20), (16, 16), (False, True)),
    "odd edges": ((23, 19), (7, 5), (False, False)),
    "a volume": ((18, 13, 11), (8, 8, 8), (True, False, True)),
    "a flat volume": ((18, 13, 3), (8, 8, 8), (True, True, True)),
}


@pytest.mark.parametrize(("size", "patch", "flips"), CASES.values(), ids=CASES)
@torch.inference_mode()
def test_it_gives_what_monai_gives(size, patch, flips):
    random = np.random.default_rng(1)
    stack = torch.from_numpy(random.normal(size=(2, 2, *size)).astype(np.float32))
    net = Counted(len(size), channels=2)
    p = predict_by_windows(stack, patch, net, 3, np.ones((2, *size), bool), flips)
    np.testing.assert_allclose(p, by_monai(stack, patch, net, flips), atol=2e-6)
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-5)


@torch.inference_mode()
def test_windows_outside_the_field_of_view_cost_nothing_and_change_nothing_in_it():
    random = np.random.default_rng(2)
    stack = torch.from_numpy(random.normal(size=(1, 1, 64, 64)).astype(np.float32))
    fov = np.zeros((1, 64, 64), bool)
    fov[:, 5:22, 30:60] = True
    net = Counted(2)
    p = predict_by_windows(stack, (16, 16), net, 3, fov, (False, True))
    few, net.patches = net.patches, 0
    whole = by_monai(stack, (16, 16), net, (False, True))
    assert few < net.patches / 2
    np.testing.assert_allclose(p[:, fov], whole[:, fov], atol=2e-6)


@torch.inference_mode()
def test_air_is_background_and_is_not_computed():
    image = np.full((1, 1, 48, 48), -1.0, np.float32)
    image[..., 20:28, 20:28] = np.random.default_rng(3).uniform(0, 1, (8, 8))
    net = Counted(2)
    p = predict_by_windows(torch.from_numpy(image), (16, 16), net, 3, np.ones((1, 48, 48), bool), (False, False))
    assert net.patches < 25
    assert (p[0, 0, :8, :8] == 1).all()
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-5)
    net.patches = 0
    empty = predict_by_windows(torch.zeros(1, 1, 20, 20), (16, 16), net, 3, np.ones((1, 20, 20), bool), (True, True))
    assert net.patches == 0
    assert (empty[0] == 1).all()
    assert (empty[1:] == 0).all()


class Bright(nn.Module):
    """A network that calls bright voxels structure 1, surely, and everything else background; it counts its patches."""

    def __init__(self, doubt=0.0):
        super().__init__()
        self.patches, self.doubt = 0, doubt

    def forward(self, patches):
        self.patches += len(patches)
        bright = (patches[:, :1] > 0.5).float() * (1 - self.doubt) + self.doubt
        return torch.cat([1 - bright, bright, torch.zeros_like(bright)], 1)


@pytest.mark.parametrize("size", [(72, 64), (48, 40, 40)])
@torch.inference_mode()
def test_where_a_first_look_finds_background_alone_no_other_window_is_computed(size):
    patch, flips = (16,) * len(size), (True,) * len(size)
    image = torch.zeros(2, 1, *size) + torch.linspace(0, 0.4, size[0]).reshape(-1, *[1] * (len(size) - 1))
    image[(1, 0, *(slice(20, 30),) * len(size))] = 1
    net, seen = Bright(), np.ones((2, *size), bool)
    p = predict_by_windows(image, patch, net, 3, seen, flips)
    few, net.patches = net.patches, 0
    np.testing.assert_allclose(p, by_monai(image, patch, net, flips), atol=2e-6)
    assert few < net.patches / 3
    np.testing.assert_array_equal(p[1] > 0.5, image[:, 0].numpy() > 0.5)


@torch.inference_mode()
def test_where_a_first_look_doubts_every_window_is_computed():
    image = torch.rand(1, 1, 72, 64)
    unsure = Bright(doubt=0.06)
    predict_by_windows(image, (16, 16), unsure, 3, np.ones((1, 72, 64), bool), (True, True))
    computed, unsure.patches = unsure.patches, 0
    by_monai(image, (16, 16), unsure, (True, True))
    assert computed == unsure.patches
