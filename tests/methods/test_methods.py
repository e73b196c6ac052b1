"""Methods: the house asks every sibling the same questions."""

import copy
import math
import re
import sys
from functools import partial

import pytest
import torch
from torch import nn

from support.checkout import ROOT
from xmed import methods, networks
from xmed.batch import Batch
from xmed.cli.run_commands import methods_command
from xmed.errors import XmedError
from xmed.methods.bridge import Bridge
from xmed.networks.random_numbers import RandomNumbers
from xmed.rendering.appearance_change import random_convolutions
from xmed.run import TRAINED_ARMS
from xmed.spec import MethodSpec, NetworkSpec
from xmed.tasks import Segmentation

TASK = Segmentation(("organ", "lesion"))
SPACES = {2: (32, 32), 3: (16, 16, 16)}


def make(name: str, dims: int = 2) -> methods.Method:
    kind = methods.find(name)
    net = networks.build_network(kind.network(NetworkSpec(channels=[4, 8, 8])), dims, 1, TASK.classes)
    return kind.build(net, TASK, {}, seed=0)


def batches(dims: int = 2) -> tuple[Batch, Batch]:
    generator = torch.Generator().manual_seed(1)
    space = SPACES[dims]
    image = torch.randn(4, 1, *space, generator=generator)
    label = torch.randint(0, 3, (4, *space), generator=generator)
    fov = torch.ones(4, *space, dtype=torch.bool)
    fov[:, :4] = False
    return Batch(image, label, fov), Batch(torch.randn(4, 1, *space, generator=generator), None, fov)


@pytest.fixture(params=methods.names())
def name(request) -> str:
    return request.param


@pytest.mark.parametrize("dims", [2, 3])
def test_losses_are_finite_named_scalars_and_every_trained_parameter_gets_a_gradient_sooner_or_later(name, dims):
    method = make(name, dims).train()
    # A method that trains without a gradient, by statistics alone or only at test time, refines a finished training.
    minimises = method.schedule.start is None or bool(method.losses(*batches(dims)))
    for progress in (0.0, 0.9):
        method.progress.fill_(progress)
        losses = method.losses(*batches(dims))
        assert bool(losses) == minimises
        assert all(isinstance(key, str) and loss.ndim == 0 and torch.isfinite(loss) for key, loss in losses.items())
        if losses:
            sum(losses.values()).backward()
    for key, parameter in method.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key
        assert not parameter.requires_grad or parameter.grad is not None or not minimises, key


def test_it_cites_a_source_and_says_what_it_does_in_its_first_line(name):
    found = methods.find(name)
    assert len(found.cite) > 20
    assert found.__doc__
    assert found.__doc__.strip().splitlines()[0].endswith(".")
    assert not any(issubclass(base, methods.Method) and base is not methods.Method for base in found.__mro__[1:])


def test_it_predicts_on_the_grid_it_was_given(name):
    method = make(name).eval()
    assert method(torch.randn(2, 1, 32, 48)).shape == (2, 3, 32, 48)


def test_the_loop_gives_it_further_rounds_only_where_it_asks_for_them(name):
    method = make(name)
    starts_rounds = type(method).start_round is not methods.Method.start_round
    assert (method.rounds > 1) == starts_rounds, "a hyper-parameter of that name would train it for longer"


def test_it_survives_saving_and_loading_without_pickle(name, tmp_path):
    method = make(name).train()
    method.losses(*batches())
    method.after_step()
    torch.save(method.state_dict(), tmp_path / "m.pt")
    twin = make(name)
    twin.load_state_dict(torch.load(tmp_path / "m.pt", weights_only=True))
    image = torch.randn(2, 1, 32, 32)
    assert torch.equal(method.eval()(image), twin.eval()(image))


def test_it_never_reads_a_target_label(name):
    source, target = batches()
    assert target.label is None
    method = make(name).train()
    method.progress.fill_(0.9)
    method.losses(source, target)  # would raise on None if it did


def test_what_is_deployed_is_what_forward_runs(name):
    method = make(name).eval()
    image = torch.randn(1, 1, 32, 32)
    assert torch.equal(method(image), method.deployed()(image))


def test_an_unknown_method_and_an_unknown_hyperparameter_are_named():
    with pytest.raises(XmedError, match=r"error\[METHOD_UNKNOWN\]: found no method 'dan'.* · expected one of .*bridge"):
        methods.find("dan")
    with pytest.raises(
        XmedError, match=r"error\[SPEC_INVALID\]: found method bridge: pol.* · expected hyper-parameters pool"
    ):
        methods.check_hyperparameters(MethodSpec.model_validate({"name": "bridge", "pol": 3}))


def test_only_the_ceiling_uses_all_target_labels_and_a_method_that_uses_a_few_says_how_many():
    kinds = {name: methods.find(name).target_labels for name in methods.names()}
    assert {name for name, kind in kinds.items() if kind == "all"} == set(TRAINED_ARMS) - {"source_only", "adapted"}
    assert set(kinds.values()) <= {"none", "few", "all"}
    for name in [name for name, kind in kinds.items() if kind == "few"]:
        assert any(isinstance(default, int) for default in methods.hyperparameters(name).values())


def test_random_convolutions_keep_the_norm_and_what_lies_outside_the_field_of_view():
    torch.manual_seed(0)
    image = torch.randn(6, 1, 24, 24)
    fov = torch.rand(6, 24, 24) > 0.3
    random = RandomNumbers()
    whole, part = random_convolutions(image, random), random_convolutions(image, random, fov)
    torch.testing.assert_close(whole.flatten(1).norm(dim=1), image.flatten(1).norm(dim=1), rtol=1e-3, atol=1e-3)
    assert torch.equal(part[~fov[:, None]], image[~fov[:, None]])
    assert not torch.allclose(whole, image)


def test_every_item_of_a_batch_gets_random_convolutions_of_its_own():
    torch.manual_seed(0)
    out = random_convolutions(torch.randn(1, 1, 16, 16).expand(2, 1, 16, 16), RandomNumbers())
    assert not torch.allclose(out[0], out[1])


def test_the_teacher_moves_parameters_and_buffers():
    bridge = make("bridge").train()
    before = copy.deepcopy(bridge.teacher.net.state_dict())
    bridge.losses(*batches())  # batch statistics move in the forward pass
    with torch.no_grad():
        for parameter in bridge.net.parameters():
            parameter.add_(0.1)
    for _ in range(3):
        bridge.after_step()
    after = bridge.teacher.net.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == set(before)
    assert any("running_mean" in key for key in moved)


def test_the_teacher_averages_with_the_decay_it_was_given():
    bridge = Bridge(nn.Conv2d(1, 3, 1), TASK, decay=0.75)
    with torch.no_grad():
        bridge.teacher.net.weight.fill_(0.0)
        bridge.net.weight.fill_(1.0)
    bridge.teacher.steps.fill_(99)
    bridge.after_step()
    torch.testing.assert_close(bridge.teacher.net.weight, torch.full_like(bridge.teacher.net.weight, 0.25))


def test_bridges_teacher_normalises_the_target_by_the_targets_own_statistics():
    bridge = make("bridge").train()
    source, target = batches()
    bridge.progress.fill_(0.9)
    bridge.teacher.steps.fill_(1)
    layer = networks.batchnorm_layers(bridge.teacher.net)[0]
    before = layer.running_mean.clone()
    bridge.losses(source, Batch(target.image + 5, None, target.fov))
    assert not torch.equal(layer.running_mean, before)


def test_a_bridge_of_one_set_of_statistics_shows_its_student_renderings_and_target_as_one_batch():
    torch.manual_seed(0)
    source, target = batches()
    bridge = Bridge(nn.BatchNorm2d(1), TASK, gin=0, own_statistics=False).train()
    bridge.teacher.net = _Always(0)
    bridge.task = _Means()
    bridge.progress.fill_(0.9)
    bridge.mask = 0
    losses = bridge.losses(source, Batch(target.image + 5, None, target.fov))
    assert losses["rendered"] < -0.5  # darker than the mean of both
    assert losses["taught"] > 0.5
    assert bridge.net.running_mean.item() == pytest.approx(0.25, abs=0.05)  # a tenth of (0 + 5) / 2


def test_a_bridge_of_one_set_of_statistics_has_a_teacher_that_the_target_does_not_move():
    torch.manual_seed(0)
    bridge = Bridge(make("bridge").net, TASK, own_statistics=False).train()
    source, target = batches()
    bridge.progress.fill_(0.9)
    before = [layer.running_mean.clone() for layer in networks.batchnorm_layers(bridge.teacher.net)]
    bridge.losses(source, Batch(target.image + 5, None, target.fov))
    assert all(
        torch.equal(layer.running_mean, was)
        for layer, was in zip(networks.batchnorm_layers(bridge.teacher.net), before)
    )


def test_a_collapsed_teacher_teaches_nothing():
    bridge = make("bridge").train()
    source, target = batches()
    bridge.losses(source, target)  # learns the range of shares from labelled patches: a third of each class
    bridge.progress.fill_(0.95)
    for everywhere in (0, 1):  # all background, all organ
        bridge.teacher.net = _Always(everywhere)
        assert bridge.losses(source, target)["taught"].item() == 0


def test_confidence_is_judged_per_voxel_not_per_batch():
    p = torch.tensor([[[[0.9, 0.6]], [[0.05, 0.3]], [[0.05, 0.1]]]])
    label, sure = TASK.pseudo_label(p, 0.7)
    assert label.tolist() == [[[0, 0]]]
    assert sure.tolist() == [[[1.0, 0.0]]]


class _Means(Segmentation):
    """Its loss is the mean of what the student gave."""

    def __init__(self) -> None:
        super().__init__(TASK.names)

    def loss(self, logits, label, weight=None):
        return logits.mean()


class _Always(nn.Module):
    """A net that is sure of one class everywhere."""

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(image), TASK.classes, *image.shape[2:])
        logits[:, self.value] = 20
        return logits


QUESTIONS = [
    *(
        partial(
            test_losses_are_finite_named_scalars_and_every_trained_parameter_gets_a_gradient_sooner_or_later, dims=dims
        )
        for dims in SPACES
    ),
    test_it_cites_a_source_and_says_what_it_does_in_its_first_line,
    test_it_predicts_on_the_grid_it_was_given,
    test_the_loop_gives_it_further_rounds_only_where_it_asks_for_them,
    test_it_never_reads_a_target_label,
    test_what_is_deployed_is_what_forward_runs,
]
"""What every method is asked."""


def test_a_method_is_added_by_its_file_alone_and_the_one_in_contributing_works_as_it_stands(tmp_path, monkeypatch):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "(Method)" in block)
    assert len(code.splitlines()) < 40
    (tmp_path / "minent.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "xmed.methods.minent", raising=False)
    assert "minent" in methods.names()
    assert methods.hyperparameters("minent") == {"weight": 0.01}
    assert methods.needs(MethodSpec(name="minent")) == ["source_only"]
    listed = {row["name"]: row for row in methods_command().document}
    assert listed["minent"] == {
        "kind": "method", "name": "minent", "cite": "Vu et al., ADVENT, section 3.1, CVPR 2019, arXiv:1811.12833",
        "does": "Direct entropy minimisation on the target, from the source-only weights.",
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for question in QUESTIONS:
        question("minent")
    test_it_survives_saving_and_loading_without_pickle("minent", tmp_path)
    method = make("minent").train()
    losses = method.losses(*batches())
    sum(losses.values()).backward()
    assert set(losses) == {"supervised", "entropy"}
    assert 0 < losses["entropy"].item() <= 0.01 * math.log(TASK.classes)
