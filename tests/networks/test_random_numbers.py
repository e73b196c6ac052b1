"""Random numbers come from generators that are passed on; what torch's global generator gives changes nothing."""

import ast

import pytest
import torch
from torch import nn

from support.checkout import ROOT, modules
from xmed.networks.random_numbers import RandomNumbers, initialised_from

CPU = torch.device("cpu")
DRAWS = {"rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal", "rand_like", "randn_like"}
GLOBAL = {"manual_seed", "seed", "initial_seed", "set_rng_state"}


def test_first_weights_and_what_follows_are_those_of_one_seed_and_the_global_generator_stays_as_it_was():
    torch.manual_seed(7)
    expected = nn.Linear(3, 2).weight, torch.rand(4)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with initialised_from(7):
        layer, random = nn.Linear(3, 2), RandomNumbers.after_initialisation(7)
    assert torch.equal(layer.weight, expected[0])
    assert torch.equal(torch.rand(4, generator=random.on(CPU)), expected[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_restored_state_goes_on_where_it_was():
    random, other = RandomNumbers(3), RandomNumbers(4)
    torch.rand(5, generator=random.cpu)
    other.restore(random.state(CPU), CPU)
    assert torch.equal(torch.rand(5, generator=random.cpu), torch.rand(5, generator=other.cpu))


def global_draws(source: str) -> list[str]:
    """Calls that draw from, or seed, the global generators of torch and NumPy."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        called, keywords = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
        package, _, name = called.rpartition(".")
        parts = [ast.unparse(part) for part in call.args]
        if (
            (package == "torch" and name in DRAWS and not keywords & {"generator", None})
            or (package in ("torch", "torch.random", "torch.cuda") and name in GLOBAL)
            or (package == "np.random" and name not in ("default_rng", "SeedSequence"))
        ):
            found.append(called)
        elif called == "functools.partial" and parts[0].removeprefix("torch.") in DRAWS and None not in keywords:
            found.append(parts[0])
    return found


INITIALISES = {"xmed/methods/cdan.py": ["torch.randn", "torch.randn"]}
"""Constant matrices that a method draws like first weights, within `initialised_from`."""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_draws_from_a_global_generator(path):
    assert global_draws(path.read_text(encoding="utf-8")) == INITIALISES.get(str(path.relative_to(ROOT)), [])


def test_a_global_draw_is_seen():
    source = "torch.rand(3)\ntorch.manual_seed(0)\nnp.random.rand()\nfunctools.partial(torch.randn, dtype=d)"
    assert global_draws(source) == ["torch.rand", "torch.manual_seed", "np.random.rand", "torch.randn"]
    assert global_draws("torch.rand(3, generator=g)\ntorch.randn(2, **like)\nnp.random.default_rng(0)") == []
