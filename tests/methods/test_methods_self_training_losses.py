"""Methods that teach themselves, adapt at test time or translate: every loss against a number worked by hand."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from xmed import methods, networks
from xmed.batch import Batch
from xmed.errors import XmedError
from xmed.methods import Domains, dgtta, tent
from xmed.methods.dgtta import disagreement, inverse_affine, squared_dice, warp
from xmed.methods.masked_pretrain import masked_error
from xmed.methods.mean_teacher import consistency_loss
from xmed.methods.pseudo_label import most_confident
from xmed.methods.shot import kl_divergence, nearest_centroid
from xmed.methods.tent import normalised_entropy
from xmed.networks.collapse_check import foreground_vanished, foreground_voxels
from xmed.networks.mean_teacher_model import (
    DistributionAlignment,
    Teacher,
    class_balanced_mean,
    class_shares,
    mean_class_shares,
    ramp_up,
)
from xmed.networks.random_numbers import RandomNumbers
from xmed.prepare import Augmentation, Sample, Sampler
from xmed.rendering import perturb as disturbing
from xmed.rendering.perturb import perturb_intensities, random_blocks, random_blur
from xmed.spec import Budget, GridSpec, NetworkSpec
from xmed.tasks import Segmentation
from xmed.train import loop
from xmed.volume import Grid

TASK = Segmentation(("organ", "lesion"))


def make(name: str, dims: int = 2, **hyperparameters) -> methods.Method:
    net = networks.build_network(NetworkSpec(channels=[4, 8, 8]), dims, 1, TASK.classes)
    return methods.find(name).build(net, TASK, hyperparameters, seed=0)


def target(dims: int = 2, seed: int = 1, edge: int = 16) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    fov = torch.ones(4, *[edge] * dims, dtype=torch.bool)
    fov[:, :4] = False
    return Batch(torch.randn(4, 1, *[edge] * dims, generator=generator), None, fov)


def source(dims: int = 2, seed: int = 2) -> Batch:
    bare = target(dims, seed)
    return Batch(bare.image, (bare.image[:, 0] > 0).long() + (bare.image[:, 0] > 1).long(), bare.fov)


def volume(seed: int, labelled: bool, shape=(16, 16, 4)) -> Sample:
    random = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    label[4:8, 4:8] = 1
    label[10:12, 10:12] = 2
    image = ((1.0 if labelled else -1.0) * label + random.normal(0, 0.3, shape)).astype(np.float32)
    return Sample(f"case-{seed}", image, np.ones(shape, bool), Grid(shape, np.eye(4)), label if labelled else None)


def domains(folder=None, few=(), modality="MR") -> Domains:
    ours, theirs = [volume(n, True) for n in range(3)], [volume(10 + n, False) for n in range(3)]
    return Domains(ours, theirs, "MR", modality, None, seed=5, few=few, folder=folder)


# teacher


def test_the_teacher_averages_parameters_and_buffers_with_the_decay_it_was_given():
    student = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    teacher = Teacher(student, decay=0.75)
    with torch.no_grad():
        for tensor in networks.named_tensors(teacher.net).values():
            tensor.fill_(0)
        for tensor in networks.named_tensors(student).values():
            tensor.fill_(1)
    teacher.steps.fill_(99)
    teacher.update(student)
    for name, tensor in networks.named_tensors(teacher.net).items():
        assert tensor.item() if "num_batches" in name else tensor.flatten()[0] == pytest.approx(0.25), name


def test_the_teacher_is_never_in_training_mode_and_learns_by_no_gradient():
    method = make("mean_teacher").train()
    assert method.net.training
    assert not any(module.training for module in method.teacher.modules())
    before = copy.deepcopy(method.teacher.state_dict())
    sum(method.losses(source(), target()).values()).backward()
    assert all(torch.equal(before[key], value) for key, value in method.teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in method.teacher.parameters())


def test_the_ramp_is_that_of_laine_and_aila():
    values = [ramp_up(torch.tensor(t)) for t in (0.0, 0.125, 0.25, 0.9)]
    assert values == pytest.approx([math.exp(-5), math.exp(-1.25), 1, 1])


def test_alignment_raises_what_is_missing_by_the_root_of_what_is_missing_and_lowers_nothing():
    aligned = DistributionAlignment(3, 0.5)
    aligned.expected.copy_(torch.tensor([0.5, 0.4, 0.1]))
    p = torch.tensor([0.7, 0.1, 0.2]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    raised = torch.tensor([0.7, 0.1 * 2, 0.2])  # organ: sqrt(0.4 / 0.1) = 2; lesion: found more than expected
    torch.testing.assert_close(aligned(p, None)[0, :, 0, 0], raised / raised.sum())
    torch.testing.assert_close(aligned.found, torch.tensor([0.7, 0.1, 0.2]))


def test_counted_alignment_raises_a_structure_until_it_wins_as_many_voxels_as_expected_and_no_further():
    organ = torch.linspace(0.0, 0.45, 100).reshape(1, 1, 10, 10)  # probable, but nowhere the winner
    p = torch.cat([1 - organ, organ], 1)
    counted, mean = DistributionAlignment(2, 1.0, counted=True), DistributionAlignment(2, 1.0)
    for aligned in (counted, mean):
        aligned.expected.copy_(torch.tensor([0.8, 0.2]))
        for _ in range(40):
            found = aligned(p, None).argmax(1).float().mean().item()
        assert found == pytest.approx(0.2 if aligned.counted else 0, abs=0.03)  # its mean is 0.225: nothing is missing
    rare = DistributionAlignment(2, 1.0, counted=True)
    rare.expected.copy_(torch.tensor([0.99, 0.01]))
    for _ in range(5):
        rare(p.flip(1), None)  # far more than expected
    assert rare.raised.tolist() == [1, 1]


def test_class_shares_count_the_field_of_view_only():
    case = volume(0, True)
    fov = np.zeros(case.fov.shape, bool)
    fov[:8, :8] = True  # 64 voxels a slice, 16 of them organ
    seen = Sample(case.case, case.image, fov, case.grid, case.label)
    torch.testing.assert_close(class_shares([seen], 3), torch.tensor([0.75, 0.25, 0.0]))
    p = torch.tensor([[[[0.9, 0.5]], [[0.1, 0.5]]]])
    torch.testing.assert_close(mean_class_shares(p, torch.tensor([[[False, True]]])), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(mean_class_shares(p, None), torch.tensor([0.7, 0.3]))


def test_a_class_mean_weighs_every_label_alike_and_is_zero_where_nothing_counts():
    each, label = torch.tensor([[1.0, 3.0, 10.0, 99.0]]), torch.tensor([[0, 0, 1, 1]])
    counted = torch.tensor([[True, True, True, False]])
    assert class_balanced_mean(each, label, counted).item() == (2 + 10) / 2
    assert class_balanced_mean(each, label, counted & False).item() == 0


# what the student is shown


def test_disturbing_changes_grey_pictures_too_and_nothing_outside_the_field_of_view():
    batch = target()
    out = perturb_intensities(batch.image, RandomNumbers(), batch.fov)
    outside = ~batch.fov[:, None]
    assert torch.equal(out[outside], batch.image[outside])
    apart = (out - batch.image).flatten(1).norm(dim=1)
    assert (apart > 1).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_the_blur_is_a_gaussian_of_one_width_per_patch(dims, monkeypatch):
    monkeypatch.setattr(disturbing, "BLUR", (0.8, 0.8))
    image = torch.randn(2, 2, *[12] * dims)
    ours = random_blur(image, RandomNumbers()).numpy()
    for item in itertools.product(range(2), range(2)):
        wanted = ndimage.gaussian_filter(image[item].numpy(), 0.8, mode="nearest", radius=3)
        np.testing.assert_allclose(ours[item], wanted, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_cells_are_hidden_whole_and_as_many_as_asked_for(dims):
    gone = random_blocks(torch.zeros(64, 1, *[20] * dims), 0.7, 8, RandomNumbers())  # cells of 8, 8 and 4 voxels
    assert gone.shape == (64, 1, *[20] * dims)
    first = gone[(slice(None), 0, *[slice(0, 8)] * dims)].flatten(1)
    assert ((first.sum(1) == 0) | (first.sum(1) == 8**dims)).all()
    assert gone.float().mean().item() == pytest.approx(0.7, abs=0.08)


# mean_teacher, mic, pseudo_label


def test_consistency_is_the_squared_difference_where_the_teacher_is_sure_class_by_class():
    p = torch.tensor([[0.95, 0.05], [0.99, 0.01], [0.1, 0.9], [0.6, 0.4], [0.0, 1.0]]).T.reshape(1, 2, 1, 5)
    student = torch.tensor([[0.75, 0.25], [0.99, 0.01], [0.5, 0.5], [0.0, 1.0], [1.0, 0.0]]).T.reshape(1, 2, 1, 5)
    fov = torch.tensor([[[True, True, True, True, False]]])
    background, organ = (0.2**2 + 0) / 2, 0.4**2  # the fourth voxel is not sure, the fifth not in view
    got = consistency_loss(student.clamp_min(1e-9).log(), p, 0.9, fov)
    assert got.item() == pytest.approx((background + organ) / 2, rel=1e-4)


def test_confidence_is_a_mask_of_voxels_and_never_one_share_for_the_whole_batch():
    method = make("mic", confidence=0.8)
    p = torch.tensor([[0.9, 0.1, 0.0], [0.75, 0.25, 0.0], [0.3, 0.7, 0.0], [0.95, 0.05, 0]]).T.reshape(1, 3, 1, 4)
    fov = torch.tensor([[[True, True, True, False]]])
    method.surety.copy_(torch.tensor([1.0, 0.8, 0.5]))
    label, weight = method.judged(p, fov)
    assert label.flatten().tolist() == [0, 0, 1, 0]
    # moving means: background 1 → 0.9825, organ 0.8 → 0.79; thresholds 0.8 and 0.8 · 0.79 / 0.9825 = 0.643
    torch.testing.assert_close(method.surety, torch.tensor([0.9825, 0.79, 0.5]))
    assert weight.flatten().tolist() == [1, 0, 1, 0]


def test_what_the_teacher_labels_is_whole_and_what_the_student_sees_is_masked():
    method, shown = make("mic", mask=1.0).train(), {}
    method.net.register_forward_pre_hook(lambda _, x: shown.update(student=x[0]))
    method.teacher.net.register_forward_pre_hook(lambda _, x: shown.update(teacher=x[0]))
    method.losses(source(), target())
    assert torch.equal(shown["teacher"], target().image)
    assert (shown["student"][4:][1::2] == 0).all()
    assert (shown["student"][4:][::2] != 0).all()


def test_the_surest_share_of_every_class_is_kept_as_numpy_would_keep_it():
    random = np.random.default_rng(0)
    p = torch.from_numpy(random.dirichlet([3, 2, 2], (2, 9, 9))).movedim(-1, 1).contiguous()
    fov = torch.from_numpy(random.random((2, 9, 9)) < 0.8)
    label, kept = most_confident(p, 0.3, fov)
    best = p.amax(1).numpy()
    for value in range(3):
        own = (label.numpy() == value) & fov.numpy()
        threshold = np.sort(best[own])[::-1][: math.ceil(0.3 * own.sum())].min()
        np.testing.assert_array_equal(kept.numpy()[own], best[own] >= threshold)
    assert kept[~fov].sum() == 0


def test_the_labeller_is_exchanged_at_the_beginning_of_a_round_and_only_then():
    method = make("pseudo_label", rounds=4).train()

    def labels(progress: float) -> torch.Tensor:
        method.progress.fill_(progress)
        with torch.no_grad():
            for parameter in method.net.parameters():
                parameter.add_(0.01)
        method.losses(source(), target())
        return next(method.labeller.parameters()).clone()

    rounds = [labels(progress) for progress in (0.0, 0.1, 0.24, 0.26, 0.49, 0.5)]
    same = [torch.equal(a, b) for a, b in itertools.pairwise(rounds)]
    assert same == [True, True, False, True, False]


# adabn, tent, dgtta


@pytest.mark.parametrize("dims", [2, 3])
def test_adabn_measures_the_plain_mean_of_all_batches_and_moves_no_weight(dims):
    method = make("adabn", dims).train()
    first, weights = networks.batchnorm_layers(method.net)[0], copy.deepcopy(list(method.net.parameters()))
    seen = []
    first.register_forward_pre_hook(lambda _, x: seen.append(x[0].detach().numpy().astype(np.float64)))
    for n in range(3):
        assert method.losses(source(dims), target(dims, n)) == {}
    axes = (0, *range(2, dims + 2))
    np.testing.assert_allclose(first.running_mean, np.mean([x.mean(axes) for x in seen], axis=0), atol=1e-5)
    np.testing.assert_allclose(first.running_var, np.mean([x.var(axes, ddof=1) for x in seen], axis=0), rtol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(weights, method.net.parameters()))


@pytest.mark.parametrize("name", ["adabn", "tent"])
def test_a_network_without_running_statistics_is_refused_in_one_sentence(name):
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4), nn.Conv2d(4, 3, 1))
    with pytest.raises(
        XmedError, match=r"error\[METHOD_NEEDS\]: found a network without running statistics · expected batch norm"
    ):
        methods.find(name)(net, TASK)


def test_entropy_is_a_share_of_the_largest_there_is_and_counts_the_field_of_view_only():
    p = torch.tensor([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0]]).T.reshape(1, 3, 1, 3)
    logits = p.clamp_min(1e-12).log()
    first = 1.5 * math.log(2) / math.log(3)
    assert normalised_entropy(logits, None).item() == pytest.approx((first + 1 + 0) / 3, rel=1e-5)
    assert normalised_entropy(logits, torch.tensor([[[True, True, False]]])).item() == pytest.approx(
        (first + 1) / 2, rel=1e-5
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_tent_moves_gains_and_statistics_of_normalisation_and_nothing_else(dims):
    method = make("tent", dims, rate=1e-3).train()
    before = copy.deepcopy(networks.named_tensors(method.net))
    method.adapt(itertools.cycle([target(dims, n) for n in range(3)]))
    layers = networks.batchnorm_layers(method.net)
    normalising = {id(tensor) for layer in layers for tensor in networks.named_tensors(layer).values()}
    moved = {
        name for name, tensor in networks.named_tensors(method.net).items() if not torch.equal(tensor, before[name])
    }
    assert {name for name, tensor in networks.named_tensors(method.net).items() if id(tensor) in normalising} == moved


def test_a_foreground_that_shrinks_to_less_than_a_quarter_has_vanished():
    net = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1))
        net.bias.zero_()
    image = torch.tensor([[[[1.0, 2.0, -1.0, 3.0]]]])
    assert foreground_voxels(net, Batch(image, None, torch.tensor([[[True, True, True, False]]]))).item() == 2
    assert [foreground_vanished(torch.tensor(100), torch.tensor(n)) for n in (0, 24, 25, 300)] == [
        True,
        True,
        False,
        False,
    ]
    assert not foreground_vanished(torch.tensor(0), torch.tensor(0))


def test_tent_leaves_a_volume_alone_whose_foreground_vanishes(monkeypatch):
    counts = iter([100, 3])
    monkeypatch.setattr(tent, "foreground_voxels", lambda *_: torch.tensor(next(counts)))
    method = make("tent").train()
    before = copy.deepcopy(networks.named_tensors(method.net))
    method.adapt(itertools.repeat(target()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in networks.named_tensors(method.net).items())


def test_the_dice_of_two_maps_has_a_squared_denominator():
    a, b = (torch.full((1, 1, 2, 2), value) for value in (0.8, 0.4))
    assert squared_dice(a, b).item() == pytest.approx(2 * 0.32 / (0.5 * 1.44), rel=1e-3)
    assert squared_dice(a, a).item() == pytest.approx(1, rel=1e-6)
    left, right = torch.tensor([[[[9.0, 0.0]]]]), torch.tensor([[[[0.0, 9.0]]]])
    assert squared_dice(left, right).item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_pose_and_its_inverse_bring_everything_back(dims):
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=[24] * dims), 4)
    image = torch.from_numpy(smooth / smooth.std()).float()[None, None].repeat(2, 1, *[1] * dims)
    theta = dgtta.random_affines(image, RandomNumbers())
    back = warp(warp(image, theta), inverse_affine(theta))
    middle = (slice(None), slice(None), *[slice(7, 17)] * dims)
    apart = (warp(image, theta) - image)[middle].abs().max()
    assert apart > 0.2
    assert (back - image)[middle].abs().max() < apart / 4


def test_exactly_one_of_the_two_branches_learns():
    recorded, net = [], nn.Conv2d(1, 3, 1)
    net.register_forward_hook(lambda _, __, out: recorded.append(out.requires_grad))
    disagreement(net, target(), RandomNumbers()).backward()
    assert recorded == [True, False]
    assert net.weight.grad.abs().sum() > 0


def test_only_what_both_poses_kept_in_view_counts():
    batch = target(edge=32)
    wild = Batch(torch.where(batch.fov[:, None], batch.image, 1e4), None, batch.fov)
    results = [disagreement(_Threshold(), one, RandomNumbers()).item() for one in (batch, wild)]
    assert results[0] == pytest.approx(results[1], abs=0.02)  # what bilinear warping drags over the edge


def test_dgtta_deploys_the_mean_of_its_restarts_and_the_unadapted_net_where_the_foreground_vanishes(monkeypatch):
    counts = iter([100, 90, 5])
    monkeypatch.setattr(dgtta, "foreground_voxels", lambda *_: torch.tensor(next(counts)))
    method = make("dgtta", restarts=2, steps=2, rate=1e-3).eval()
    assert method.deployed() is method.net
    before = copy.deepcopy(networks.named_tensors(method.net))
    method.adapt(itertools.repeat(target()))
    first, second = method.deployed().members
    assert not torch.equal(networks.segmentation_head(first).weight, networks.segmentation_head(method.net).weight)
    assert second is method.net
    assert all(torch.equal(tensor, before[name]) for name, tensor in networks.named_tensors(method.net).items())
    image = target().image
    mean = (first(image).softmax(1) + second(image).softmax(1)) / 2
    torch.testing.assert_close(method(image).softmax(1), mean, atol=1e-4, rtol=1e-3)


# shot, masked_pretrain, few_shot


def test_the_divergence_from_the_sources_shares_is_kullback_and_leiblers():
    p, q = torch.tensor([0.9, 0.1]), torch.tensor([0.5, 0.5])
    assert kl_divergence(p, q).item() == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2))
    assert kl_divergence(q, q).item() == pytest.approx(0)


def test_pseudo_labels_are_those_of_the_nearest_centroid_after_two_rounds():
    random = np.random.default_rng(0)
    vectors = np.concatenate([random.normal((4, 0), 1, (60, 2)), random.normal((0, 4), 1, (40, 2))]).astype(np.float32)
    p = random.dirichlet([2, 2, 0.1], 100).astype(np.float32)
    padded = np.hstack([vectors, np.ones((100, 1))])
    unit = padded / np.linalg.norm(padded, axis=1, keepdims=True)
    weights, predicted = p, set(p.argmax(1))
    for _ in range(2):
        centroids = [(weights[:, c, None] * unit).sum(0) for c in range(3)]
        cosine = [unit @ c / max(np.linalg.norm(c), 1e-12) if n in predicted else unit[:, 0] * 0 - 9
                  for n, c in enumerate(centroids)]  # fmt: skip
        label = np.argmax(cosine, axis=0)
        weights = np.eye(3)[label]
    np.testing.assert_array_equal(nearest_centroid(torch.from_numpy(vectors), torch.from_numpy(p)), label)


def test_a_class_that_is_predicted_nowhere_gets_no_pseudo_label():
    p = torch.tensor([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    assert nearest_centroid(torch.randn(3, 4), p).tolist() == [0, 0, 0]


def test_shot_keeps_the_head_and_looks_at_no_source_image():
    method = make("shot").train()
    assert not any(parameter.requires_grad for parameter in networks.segmentation_head(method.net).parameters())
    assert (
        list(method.prepare_source(domains())) == list(domains().source) or len(method.prepare_source(domains())) == 3
    )
    torch.testing.assert_close(method.prior, class_shares(domains().source, 3))
    assert "prior" in method.state_dict()
    nothing = Batch(torch.full((4, 1, 16, 16), torch.nan), None, None)
    assert all(torch.isfinite(loss) for loss in method.losses(nothing, target()).values())


def test_masked_modelling_rewards_hidden_voxels_only_and_then_gives_way_to_supervision():
    painted, image = torch.tensor([[[1.0, 5.0, 2.0]]]), torch.tensor([[[3.0, 0.0, 2.5]]])
    counted = torch.tensor([[[True, False, True]]])
    assert masked_error(painted, image, counted).item() == pytest.approx((4 + 0.25) / 2)
    assert masked_error(painted, image, counted & False).item() == 0
    method = make("masked_pretrain").train()
    assert set(method.losses(source(), target())) == {"painted"}
    method.progress.fill_(0.4)
    assert set(method.losses(source(), target())) == {"supervised"}


def test_the_painter_never_sees_what_it_is_asked_for():
    method, shown = make("masked_pretrain", mask=1.0).train(), []
    method.net.register_forward_pre_hook(lambda _, x: shown.append(x[0]))
    method.losses(source(), target())
    assert len(shown[0]) == 8  # both domains
    assert (shown[0] == 0).all()


def test_few_shot_takes_as_many_cases_as_shots_and_half_of_the_draws_from_them():
    few = [volume(20 + n, True) for n in range(4)]
    pool = make("few_shot", shots=2).prepare_source(domains(few=few))
    chosen = [s.case for s in pool[3:]]
    assert [s.case for s in pool[:3]] == ["case-0", "case-1", "case-2"]
    assert len(set(chosen)) == 2
    assert set(chosen) <= {s.case for s in few}
    assert abs(len(chosen) - 3) <= 1
    assert chosen == [s.case for s in make("few_shot", shots=2).prepare_source(domains(few=few))[3:]]
    with pytest.raises(
        XmedError,
        match=r"error\[METHOD_NEEDS\]: found 0 labelled target training cases · expected 2, as `shots` says · fix label more",
    ):
        make("few_shot").prepare_source(domains())


# all of them through the one loop


def samplers() -> tuple[Sampler, Sampler]:
    spec = GridSpec(spacing_mm=(1, 1, 1), patch=(16, 16, 1))
    given = domains()
    return tuple(Sampler(s, spec, 4, Augmentation(), n) for n, s in enumerate((given.source, given.target)))


@pytest.mark.parametrize(
    "name", ["mean_teacher", "mic", "pseudo_label", "adabn", "shot", "masked_pretrain", "few_shot"]
)
def test_an_interrupted_training_goes_on_to_the_same_weights(name, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 3)
    budget = Budget(steps=round(8 / methods.find(name).schedule.steps), batch=4)

    def stop(step: int, *_: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    def trained(folder, *progress) -> dict:
        (tmp_path / folder).mkdir(exist_ok=True)
        method = make(name)
        if name != "few_shot":
            method.prepare_source(domains())
        return loop.train(method, *samplers(), budget, torch.device("cpu"), tmp_path / folder, *progress).candidates[8]

    whole = trained("whole")
    with pytest.raises(KeyboardInterrupt):
        trained("parts", stop)
    parts = trained("parts")
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


class _Threshold(nn.Module):
    """Logits that a soft threshold of the image gives; it has one parameter, to learn by."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        organ = 4 * torch.tanh(self.gain * image)
        return torch.cat([torch.zeros_like(image), organ, -organ], 1)
