"""Losses of alignment, adversaries and appearance: each against a hand-worked number or an independent implementation."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

from xmed import methods, networks
from xmed.batch import Batch
from xmed.errors import XmedError
from xmed.methods import Domains
from xmed.methods.advent import self_information, view_of_both_domains
from xmed.methods.cdan import entropy_weights
from xmed.methods.contrast import prototype_contrast, sample_voxels
from xmed.methods.coral import coral_distance
from xmed.methods.fda import charbonnier_entropy
from xmed.methods.histogram import match_to_target
from xmed.methods.mcd import classifier_discrepancy
from xmed.methods.mmd import KERNEL_SCALES, squared_mmd
from xmed.networks.adversary import (
    adaptation_factor,
    apply_frozen,
    domain_loss,
    map_critic,
    reverse_gradient,
    vector_critic,
)
from xmed.networks.domain_batchnorm import forward_per_domain
from xmed.networks.feature_sampling import class_balanced_draw, feature_width, features_in_view, sample_features
from xmed.networks.random_numbers import RandomNumbers
from xmed.prepare import Sample
from xmed.rendering.appearance_change import blend_appearances, mix_amplitude
from xmed.spec import NetworkSpec
from xmed.tasks import Segmentation
from xmed.volume import Grid

TASK = Segmentation(("organ", "lesion"))
MINE = ["advent", "cdan", "contrast", "coral", "dann", "fda", "gin", "histogram", "mcd", "mind", "mmd", "synth"]


def make(name: str, task: Segmentation = TASK, **given) -> methods.Method:
    kind = methods.find(name)
    net = networks.build_network(kind.network(NetworkSpec(channels=[4, 8, 8])), 2, 1, task.classes)
    return kind.build(net, task, given, seed=0).train()


def batches(b: int = 4) -> tuple[Batch, Batch]:
    generator = torch.Generator().manual_seed(1)
    label = torch.randint(0, 3, (b, 32, 32), generator=generator)
    fov = torch.ones(b, 32, 32, dtype=torch.bool)
    fov[:, :6] = False
    image = torch.randn(2, b, 1, 32, 32, generator=generator)
    return Batch(image[0] + label[:, None], label, fov), Batch(2 * image[1] + 1, None, fov.flip(1))


def step_along(method: methods.Method, loss: str, parameters: list[nn.Parameter], size: float = 1e-2) -> float:
    """How much a short step of gradient descent on `parameters` alone changes the named loss."""

    def value() -> torch.Tensor:
        method.random = RandomNumbers(5)
        return method.losses(*batches())[loss]

    before = value()
    gradients = torch.autograd.grad(before, parameters, allow_unused=True)
    length = math.sqrt(sum(float((g**2).sum()) for g in gradients if g is not None))
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients):
            if gradient is not None:
                parameter -= size * gradient / length
    return float((value() - before).detach())


# --- adversaries


def test_reversal_passes_values_and_turns_gradients():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 0.25)
    assert torch.equal(y, x)
    (3 * y).sum().backward()
    assert x.grad.tolist() == [-0.75, -0.75]


def test_the_reversal_grows_as_a_hyperbolic_tangent():
    for p in (0.0, 0.1, 0.5, 1.0):
        assert adaptation_factor(torch.tensor(p)) == pytest.approx(math.tanh(5 * p), abs=1e-6)


def test_a_critic_that_knows_nothing_pays_log_two_and_each_domain_counts_half():
    assert domain_loss(torch.zeros(3), torch.zeros(7)).item() == pytest.approx(math.log(2))
    ours, theirs = torch.tensor([2.0]), torch.tensor([-1.0, 3.0])
    by_hand = (math.log1p(math.exp(-2)) + (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2) / 2
    assert domain_loss(ours, theirs).item() == pytest.approx(by_hand)
    weighted = (math.log1p(math.exp(-2)) + (1.5 * math.log1p(math.exp(-1)) + 0.5 * math.log1p(math.exp(3))) / 2) / 2
    assert domain_loss(ours, theirs, None, torch.tensor([1.5, 0.5])).item() == pytest.approx(weighted)


def test_a_frozen_critic_passes_a_gradient_on_and_keeps_none():
    critic = vector_critic(3, 4)
    x = torch.randn(5, 3, requires_grad=True)
    out = apply_frozen(critic, x)
    assert torch.equal(out, critic(x))
    out.sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in critic.parameters())


@pytest.mark.parametrize("dims", [2, 3])
def test_a_critic_of_maps_judges_cells_of_eight_voxels(dims):
    assert map_critic(3, dims, width=4)(torch.zeros(2, 3, *[24] * dims)).shape == (2, 1, *[3] * dims)


@pytest.mark.parametrize("name", ["dann", "cdan"])
def test_the_critic_learns_to_tell_domains_and_the_net_to_hide_them(name):
    method = make(name)
    method.progress.fill_(0.5)
    assert step_along(method, "domain", list(method.critic.parameters())) < 0
    assert step_along(method, "domain", list(method.net.parameters())) > 0


@pytest.mark.parametrize("name", ["dann", "cdan"])
def test_the_critic_teaches_the_encoder_alone(name):
    method = make(name)
    method.progress.fill_(0.5)
    method.losses(*batches())["domain"].backward()
    assert (
        networks.segmentation_head(method.net).weight.grad is None
    )  # nor through the predictions that cdan conditions on
    assert next(networks.deepest_block(method.net).parameters()).grad.abs().sum() > 0


def test_at_the_beginning_the_net_does_not_feel_the_critic():
    method = make("dann")
    method.losses(*batches())["domain"].backward()
    assert all(p.grad is None or not p.grad.any() for p in method.net.parameters())


def test_the_two_heads_part_and_the_features_bring_them_together():
    method = make("mcd")
    method.progress.fill_(0.5)
    heads = [*networks.segmentation_head(method.net).parameters(), *method.second.parameters()]
    known = {id(p) for p in heads}
    assert step_along(method, "discrepancy", heads) < 0  # the loss is minus the discrepancy
    assert step_along(method, "discrepancy", [p for p in method.net.parameters() if id(p) not in known]) > 0


def test_the_two_heads_begin_differently():
    method = make("mcd")
    assert not torch.equal(method.second.weight, networks.segmentation_head(method.net).weight)


def test_discrepancy_is_the_mean_difference_of_probabilities_in_the_field_of_view():
    one = torch.tensor([[0.8, 0.5], [0.2, 0.5]]).log().reshape(1, 2, 1, 2)
    other = torch.tensor([[0.3, 0.1], [0.7, 0.9]]).log().reshape(1, 2, 1, 2)
    assert classifier_discrepancy(one, other, None).item() == pytest.approx((0.5 + 0.4) / 2)
    assert classifier_discrepancy(one, other, torch.tensor([[[True, False]]])).item() == pytest.approx(0.5)


def test_advent_teaches_net_and_critic_through_separate_losses():
    method = make("advent")
    losses = method.losses(*batches())
    losses["fool"].backward(retain_graph=True)
    assert all(p.grad is None for p in method.critic.parameters())
    assert networks.segmentation_head(method.net).weight.grad.abs().sum() > 0
    method.zero_grad(set_to_none=True)
    losses["critic"].backward()
    assert all(p.grad is None for p in method.net.parameters())
    assert method.learning_rate_shares() == {method.critic: 0.1}


def test_advent_fools_a_critic_and_the_critic_learns():
    method = make("advent")
    assert step_along(method, "critic", list(method.critic.parameters())) < 0
    assert step_along(method, "fool", list(method.net.parameters())) < 0


@pytest.mark.parametrize("classes", [2, 3, 19])
def test_self_information_adds_up_to_the_normalised_entropy(classes):
    logits = torch.randn(2, classes, 4, 4)
    expected = stats.entropy(logits.softmax(1).numpy(), axis=1) / math.log(classes)
    np.testing.assert_allclose(self_information(logits).sum(1).numpy(), expected, rtol=1e-4)


def test_the_critic_of_maps_sees_only_what_both_domains_can_see():
    left = torch.tensor([[[True, True, False, False]]])
    odd = torch.tensor([[[False, True, False, True]], [[True, True, True, True]]])
    source, target = Batch(torch.zeros(1, 1, 1, 4), None, left), Batch(torch.zeros(2, 1, 1, 4), None, odd)
    assert view_of_both_domains(source, target)[:, 0, 0].tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]]
    assert view_of_both_domains(replace(source, fov=None), target)[:, 0, 0].tolist() == [
        [0, 1, 0, 1],
        [0, 1, 0, 1],
        [1] * 4,
    ]


# --- what the critics of vectors and the distances compare


def test_a_cell_averages_the_field_of_view_and_needs_half_of_it():
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 1, :, :2] = 50.0  # left: class 1; right: undecided
    seen = torch.arange(8.0).reshape(1, 2, 2, 2)
    fov = torch.zeros(1, 4, 4, dtype=torch.bool)
    fov[0, :2, 1:] = True  # top left: half in view; top right: all; bottom: nothing
    vectors, p = features_in_view(seen, logits, fov)
    assert vectors.tolist() == [[0, 4], [1, 5]]
    torch.testing.assert_close(p, torch.tensor([[0.0, 1.0], [0.5, 0.5]]))
    assert len(features_in_view(seen, logits, None)[0]) == 4


def test_rare_predictions_are_drawn_as_often_as_common_ones():
    p = functional.one_hot(torch.tensor([0] * 9000 + [1] * 1000), 2).float()
    vectors, drawn = class_balanced_draw(torch.arange(10000.0)[:, None], p, 200, RandomNumbers())
    assert len(vectors.unique()) == 200  # none twice
    assert 70 < drawn[:, 1].sum() < 130


def test_the_width_of_a_cell_is_what_the_deepest_block_makes():
    for name in networks.NETWORKS:
        net = networks.build_network(NetworkSpec(name=name, channels=[8, 16, 32]), 2, 1, 3)
        assert sample_features(net, *batches(), RandomNumbers()).source[0].shape[1] == feature_width(net)


def test_each_domain_is_normalised_by_itself_and_the_running_statistics_follow_the_target():
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, momentum=0.5), nn.Conv2d(1, 2, 1))
    nn.init.ones_(net[0].weight)
    nn.init.zeros_(net[0].bias)
    source, target = torch.randn(2, 1, 8, 8), 3 * torch.randn(2, 1, 8, 8) + 10
    (_, ours), (_, theirs) = forward_per_domain(net, source, target)
    for seen in (ours, theirs):
        torch.testing.assert_close(seen.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
        torch.testing.assert_close(seen.std(), torch.tensor(1.0), atol=1e-2, rtol=0)
    torch.testing.assert_close(net[1].running_mean, target.mean().reshape(1) / 2)
    assert net[1].momentum == 0.5


# --- distances


def test_coral_of_a_hand_worked_pair_is_a_quarter():
    source, target = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.zeros(3, 2)
    assert coral_distance(source, target).item() == pytest.approx(2**2 / (4 * 2**2))
    with torch.autocast("cpu", torch.bfloat16):  # nor does half precision change it
        assert coral_distance(source / 3, target).item() == pytest.approx((2 / 9) ** 2 / 16, rel=1e-5)


def test_coral_is_the_formula_of_its_paper_and_knows_no_means():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(30, 5)), random.normal(size=(17, 5)) * 2
    expected = np.linalg.norm(np.cov(a.T) - np.cov(b.T)) ** 2 / (4 * 25)
    a, b = torch.tensor(a), torch.tensor(b)
    assert coral_distance(a, b).item() == pytest.approx(expected)
    assert coral_distance(a + 7, b).item() == pytest.approx(expected)


def test_mmd_is_the_unbiased_sum_over_pairs_also_of_unequal_batches():
    random = np.random.default_rng(1)
    a, b = random.normal(size=(6, 3)), random.normal(size=(4, 3)) + 1
    every = np.concatenate([a, b])
    mean = np.mean([((x - y) ** 2).sum() for i, x in enumerate(every) for j, y in enumerate(every) if i != j])
    k = lambda x, y: sum(math.exp(-((x - y) ** 2).sum() / (2 * s * mean)) for s in (1 / 8, 1 / 4, 1 / 2, 1, 2))  # noqa: E731
    expected = (
        np.mean([k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
        + np.mean([k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
        - 2 * np.mean([k(x, y) for x in a for y in b])
    )
    assert len(KERNEL_SCALES) == 5
    assert squared_mmd(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(expected, rel=1e-6)


def test_mmd_of_one_distribution_is_zero_on_average():
    torch.manual_seed(0)
    values = [squared_mmd(torch.randn(20, 4), torch.randn(30, 4)).item() for _ in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(200)
    assert min(values) < 0  # unbiased: a biased estimate never is
    assert squared_mmd(torch.randn(50, 4), torch.randn(50, 4) + 3).item() > max(values)


def test_cdan_weighs_a_certain_cell_twice_an_infinitely_uncertain_one():
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]], requires_grad=True)
    weight = entropy_weights(p)
    torch.testing.assert_close(weight, torch.tensor([2.0, 1.5]) / 1.75)
    assert not weight.requires_grad


def test_cdan_shows_its_critic_every_product_of_a_feature_and_a_probability():
    method = make("cdan")
    joint = method._joint(torch.tensor([[2.0, 3.0]]), torch.tensor([[0.1, 0.9]]))
    torch.testing.assert_close(joint, torch.tensor([[0.2, 1.8, 0.3, 2.7]]))


def test_cdan_draws_large_products_at_random_and_keeps_their_scalar_products():
    method = make("cdan", Segmentation(tuple(f"s{n}" for n in range(199))))
    f, p = torch.randn(2, feature_width(method.net)), torch.rand(2, 200).softmax(1)
    a, b = method._joint(f, p)
    assert a.shape == (1024,)
    exact = [(f[i] @ f[j]) * (p[i] @ p[j]) for i, j in ((0, 0), (1, 1))]
    torch.testing.assert_close(torch.stack([a @ a, b @ b]), torch.stack(exact), rtol=0.5, atol=0)
    method.losses(*batches())["domain"].backward()


# --- contrast


def test_contrast_is_cross_entropy_over_cosines_and_counts_classes_alike():
    prototypes, known = torch.tensor([[2.0, 0.0], [0.0, 1.0], [9.0, 9.0]]), torch.tensor([True, True, False])
    vectors = torch.tensor([[3.0, 0.0], [0.5, 0.0], [3.0, 4.0]])
    first = math.log(1 + math.exp(-1 / 0.1))  # cosines 1 and 0
    second = math.log(1 + math.exp((0.6 - 0.8) / 0.1))  # cosines 0.6 and 0.8
    loss = prototype_contrast(vectors, torch.tensor([0, 0, 1]), prototypes, known, 0.1)
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-5)
    assert prototype_contrast(vectors, torch.tensor([2, 2, 2]), prototypes, known, 0.1).item() == 0
    assert prototype_contrast(vectors[:0], torch.tensor([], dtype=torch.long), prototypes, known, 0.1).item() == 0


def test_at_most_512_voxels_of_a_class_are_chosen_and_none_without_weight():
    label = torch.zeros(1, 40, 40, dtype=torch.long)
    label[0, 0, :10] = 1
    weight = torch.ones(1, 40, 40)
    weight[0, :, :5] = 0
    seen = torch.stack([torch.arange(1600.0).reshape(1, 40, 40), label.float()], 1)
    vectors, values = sample_voxels(seen, label, weight, 3, RandomNumbers())
    assert torch.bincount(values).tolist() == [512, 5]
    assert torch.equal(vectors[:, 1].long(), values)
    assert (vectors[:, 0] % 40 >= 5).all()


def test_prototypes_follow_the_source_slowly_and_never_the_target():
    method = make("contrast")
    method._update_prototypes(torch.tensor([[3.0, 0, 0, 0], [1.0, 0, 0, 0]]), torch.tensor([1, 1]))
    assert method.prototypes[1].tolist() == [1, 0, 0, 0]
    assert method.known.tolist() == [False, True, False]
    method._update_prototypes(torch.tensor([[0, 5.0, 0, 0]]), torch.tensor([1]))
    torch.testing.assert_close(method.prototypes[1], torch.tensor([0.99, 0.01, 0, 0]))


def test_an_unsure_target_teaches_nothing():
    method = make("contrast", confidence=1.1)
    method.progress.fill_(1.0)
    losses = method.losses(*batches())
    assert losses["target"].item() == 0
    assert losses["source"].item() > 0


# --- Fourier


def reference_fda(a, b, size, share):
    """Written with numpy's full, shifted transform: the centre block of 2 h + 1 frequencies, here of one channel."""
    least, most = min(a.min(), b.min()), max(a.max(), b.max())
    fa, fb = (np.fft.fftshift(np.fft.fftn(x - least)) for x in (a, b))
    amplitude, half = np.abs(fa), math.floor(size * min(a.shape))
    block = tuple(slice(n // 2 - half, n // 2 + half + 1) for n in a.shape)
    amplitude[block] = (1 - share) * amplitude[block] + share * np.abs(fb)[block]
    mixed = np.real(np.fft.ifftn(np.fft.ifftshift(amplitude * np.exp(1j * np.angle(fa))))) + least
    return np.clip(mixed, least, most)


@pytest.mark.parametrize("shape", [(16, 20), (15, 16), (12, 10, 11)])
def test_the_low_frequencies_take_the_strength_of_the_others(shape):
    random = np.random.default_rng(2)
    a, b = random.normal(size=(2, 1, *shape)), random.normal(2, 3, size=(2, 1, *shape))
    size, share = torch.tensor([0.05, 0.25]), torch.tensor([1.0, 0.3])
    out = mix_amplitude(torch.tensor(a).float(), torch.tensor(b).float(), size, share)
    for n in range(2):
        expected = reference_fda(a[n, 0], b[n, 0], float(size[n]), float(share[n]))
        np.testing.assert_allclose(out[n, 0].numpy(), expected, atol=1e-4)


def test_a_box_smaller_than_a_frequency_still_moves_the_mean_and_with_the_right_sign():
    image = torch.rand(1, 1, 8, 8) - 2  # normalised patches have negative means too
    out = mix_amplitude(image, torch.full_like(image, 5.0), torch.tensor([0.01]), torch.ones(1))
    torch.testing.assert_close(out, (image - image.mean() + 5).clamp_max(5), atol=1e-4, rtol=0)


def test_no_share_changes_nothing():
    image, style = torch.randn(2, 3, 2, 9, 8)
    out = mix_amplitude(image, style, torch.full((3,), 0.3), torch.zeros(3))
    torch.testing.assert_close(out, image, atol=1e-5, rtol=1e-5)


def test_the_shape_of_a_sector_does_not_leak_and_what_lies_outside_stays():
    image, fov = torch.rand(1, 1, 16, 16), torch.rand(1, 16, 16) > 0.2
    sector = torch.ones(1, 16, 16).triu().bool()
    style = torch.where(sector[:, None], 0.5, -40.0)
    given = torch.tensor([0.2]), torch.ones(1)
    out = mix_amplitude(image, style, *given, fov, sector)
    plain = mix_amplitude(image, torch.full_like(style, 0.5), *given, fov)
    assert torch.equal(out[~fov[:, None]], image[~fov[:, None]])
    torch.testing.assert_close(out, plain, atol=1e-3, rtol=0)


@pytest.mark.parametrize("classes", [2, 3, 19])
def test_the_charbonnier_entropy_of_ignorance_is_one_whatever_the_number_of_classes(classes):
    assert charbonnier_entropy(torch.zeros(1, classes, 4, 4), None, 2.0).item() == pytest.approx(1, rel=1e-4)


def test_the_charbonnier_entropy_counts_the_field_of_view_alone():
    logits = torch.randn(2, 3, 5, 5)
    fov = torch.rand(2, 5, 5) > 0.5
    e = stats.entropy(logits.softmax(1).numpy(), axis=1) / math.log(3)
    expected = ((e**2 + 1e-8) ** 2)[fov.numpy()].mean()
    assert charbonnier_entropy(logits, fov, 2.0).item() == pytest.approx(expected, rel=1e-4)


# --- appearance


def sample(seed: int, shift: float = 0.0, label: bool = True) -> Sample:
    random = np.random.default_rng(seed)
    shape = (14, 16, 8)
    fov = np.ones(shape, dtype=bool)
    fov[:3] = False
    image = (random.gamma(2.0, size=shape) + shift).astype(np.float32)
    mask = np.zeros(shape, dtype=np.uint8)
    mask[6:10, 5:9, 2:6], mask[7, 6, 3] = 1, 2
    return Sample(f"case{seed}", image, fov, Grid(shape, np.eye(4), None), mask if label else None)


def domains(**changes) -> Domains:
    source, target = [sample(0), sample(1)], [sample(n, shift=5, label=False) for n in (2, 3, 4)]
    return replace(Domains(source, target, "MR", "CT", None, 0), **changes)


def test_a_matched_volume_has_the_other_histogram_and_its_own_order():
    ours, theirs = sample(0), sample(2, shift=5)
    made = match_to_target(ours, theirs)
    levels = np.linspace(0.05, 0.95, 10)
    expected = np.quantile(theirs.image[theirs.fov], levels)
    np.testing.assert_allclose(np.quantile(made.image[made.fov], levels), expected, rtol=0.02)
    order = stats.spearmanr(made.image[made.fov], ours.image[ours.fov]).statistic
    assert order == pytest.approx(1)
    assert (made.image[~made.fov] == made.image[made.fov].min()).all()
    assert made.label is ours.label


def test_every_source_case_is_matched_to_several_target_cases():
    pool = make("histogram", copies=2).prepare_source(domains())
    assert [s.case for s in pool] == ["case0", "case0", "case1", "case1"]
    assert not np.array_equal(pool[0].image, pool[1].image)
    assert all(s.image.dtype == np.float32 for s in pool)


def test_label_maps_alone_have_no_histogram():
    with pytest.raises(
        XmedError, match=r"error\[METHOD_NEEDS\]: found a source of label maps alone · expected source images"
    ):
        make("histogram").prepare_source(domains(images=False))


@pytest.mark.parametrize("modality", ["CT", "US"])
def test_synth_draws_another_appearance_each_time_and_keeps_the_labels(modality):
    asked = domains(target_modality=modality)
    pool = make("synth", pool=4).prepare_source(asked)
    again = make("synth", pool=4).prepare_source(asked)
    assert [s.case for s in pool] == ["case0", "case1", "case0", "case1"]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(pool, again))
    assert not np.allclose(pool[0].image, pool[2].image)
    for s in pool:
        assert s.image[s.fov].mean() == pytest.approx(0, abs=1e-3)
        assert s.image[s.fov].std() == pytest.approx(1, abs=1e-3)
        assert (s.truth > 0).any()
    if modality == "CT":
        assert all(np.array_equal(s.truth, o.truth) for s, o in zip(pool, asked.source))


def test_mind_sees_no_brightness_contrast_or_polarity():
    method = make("mind").eval()
    image = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(method(image), method(3 - 2 * image), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("space", [(32, 40), (16, 18, 20)])
def test_blended_appearances_share_out_one_map(space):
    one, other = torch.zeros(3, 1, *space), torch.ones(3, 1, *space)
    first, second = blend_appearances(one, other, RandomNumbers())
    torch.testing.assert_close(first + second, one + other)
    assert torch.allclose(first.flatten(1).amin(1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(first.flatten(1).amax(1), torch.ones(3), atol=1e-5)
    step = torch.stack([first.diff(dim=axis).abs().amax() for axis in range(2, first.ndim)]).max()
    assert step < 0.4  # smooth: noise of this range would jump by almost 1
    assert not torch.allclose(first[0], first[1])


def test_gin_blends_its_first_two_copies_unless_told_not_to():
    source, target = batches()
    values = []
    for blended in (True, False):
        method = make("gin", blend=blended)
        method.random = RandomNumbers(3)
        values.append(method.losses(source, target)["supervised"].item())
    assert values[0] != values[1]
    assert set(make("gin", copies=1).losses(source, target)) == {"supervised"}


# --- all of them


@pytest.mark.parametrize("name", MINE)
def test_a_checkpoint_holds_all_that_the_next_loss_depends_on(name):
    method, twin = make(name), make(name)
    method.progress.fill_(0.7)
    for seed in (1, 2):
        method.random = RandomNumbers(seed)
        method.losses(*batches())
        method.after_step()
    twin.load_state_dict(method.state_dict())
    values = []
    for one in (method, twin):
        one.random = RandomNumbers(9)
        values.append({key: loss.item() for key, loss in one.losses(*batches()).items()})
    assert values[0] == values[1]


@pytest.mark.parametrize("name", MINE)
def test_a_label_outside_the_field_of_view_teaches_nothing(name):
    """And a study without fields of view has the same losses."""
    source, target = batches()
    flipped = replace(source, label=torch.where(source.fov, source.truth, 2 - source.truth))
    values = []
    for given in (source, flipped):
        method = make(name)
        method.progress.fill_(0.7)
        method.random = RandomNumbers(9)
        values.append({key: loss.item() for key, loss in method.losses(given, target).items()})
    assert values[0] == pytest.approx(values[1])
    assert set(make(name).losses(replace(source, fov=None), replace(target, fov=None))) == set(values[0])
