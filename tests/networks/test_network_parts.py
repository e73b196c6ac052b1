"""Parts of a network that several methods need."""

import pytest
import torch

from xmed.networks import Ensemble, build_network, deepest_features, logits_and_features
from xmed.spec import NetworkSpec


@pytest.mark.parametrize("name", ["unet", "segresnet"])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_deepest_features_alone_are_those_of_a_whole_pass_and_the_decoder_is_not_run(name, dims):
    net = build_network(NetworkSpec(name=name, channels=[8, 16, 32]), dims, 1, 3, seed=0).eval()
    image = torch.randn(2, 1, *(16,) * dims)
    with torch.inference_mode():
        expected = logits_and_features(net, image, "deepest")[1]
        passes = []
        last = list(net.children())[-1]
        last.register_forward_hook(lambda *_: passes.append(1))
        assert torch.equal(deepest_features(net, image), expected)
        assert passes == []
        net(image)
        assert net(image).shape == (2, 3, *(16,) * dims)


def test_of_an_ensemble_it_is_the_first_network():
    nets = [build_network(NetworkSpec(channels=[4, 8, 8]), 2, 1, 2, seed=seed).eval() for seed in (0, 1)]
    image = torch.randn(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(deepest_features(Ensemble(nets), image), deepest_features(nets[0], image))
