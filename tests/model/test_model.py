"""Model and predict: what is deployed, saved without pickle, and laid back onto the scanner's own grid."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from support.threshold_model import TABLE, Threshold, model
from xmed.errors import XmedError
from xmed.model.deployed import Model
from xmed.model.folder import CARD, WEIGHTS
from xmed.model.prediction import predict
from xmed.model.volume_enlargement import learn_scale
from xmed.networks import build_network
from xmed.records.training import ScaleTest
from xmed.spec import NetworkSpec
from xmed.volume import Grid, Volume


def oblique(modality="MR") -> Volume:
    """A bright ellipsoid in an oblique, anisotropic series whose axes run posterior, superior, left."""
    random = np.random.default_rng(3)
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * (0.8, 1.1, 3.0), (-30, 12, 55)
    shape = (60, 50, 20)
    points = Grid(shape, affine).points(np.argwhere(np.ones(shape)))
    middle = Grid(shape, affine).corners().mean(0) + np.array((3, -4, 5))
    bright = (((points - middle) / (10, 14, 12)) ** 2).sum(1).reshape(shape) < 1
    return Volume(np.where(bright, 900, 100).astype(np.int16), affine, "1.2.840.99", modality)


@pytest.mark.parametrize(
    ("patch", "context"), [((32, 32, 1), 0), ((32, 32, 1), 1), ((32, 32, 16), 0)], ids=["2-D", "2.5-D", "3-D"]
)
def test_a_prediction_lies_on_the_inputs_own_grid_and_in_the_right_place(patch, context):
    volume = oblique()
    guess = predict(model(patch, context=context), volume)
    assert guess.array.shape == volume.array.shape
    assert guess.frame == volume.frame
    corners = np.array([[0, 0, 0], [59, 49, 19], [59, 0, 19]])
    np.testing.assert_allclose(guess.grid.points(corners), volume.grid.points(corners), atol=1e-3)
    truth = volume.array == 900
    assert 2 * (guess.array.astype(bool) & truth).sum() / (guess.array.sum() + truth.sum()) > 0.95


def test_nothing_is_predicted_outside_the_field_of_view():
    volume = oblique("US")
    fov = np.ones(volume.array.shape, bool)
    fov[:, 25:] = False
    guess = predict(model(modality="US"), Volume(volume.array, volume.affine, None, "US", fov))
    assert guess.array[:, :25].any()
    assert not guess.array[:, 25:].any()


def test_a_volume_of_another_modality_is_refused():
    with pytest.raises(XmedError, match=r"error\[MODALITY_MISMATCH\]: found a CT volume · expected MR"):
        predict(model(), oblique("CT"))


def test_probabilities_sum_to_one_and_cover_volumes_smaller_and_larger_than_the_patch():
    for shape in [(20, 25, 3), (70, 33, 5)]:
        one = model()
        p = one.probabilities(one.sample("x", Volume(np.random.default_rng(0).normal(size=shape), np.eye(4))))
        assert p.shape == (2, *shape)
        np.testing.assert_allclose(p.sum(0), 1, atol=1e-4)


def deployable() -> Model:
    return model(net=build_network(NetworkSpec(channels=[4, 8, 8]), 2, 1, 2, seed=5))


def test_a_quick_prediction_computes_fewer_windows_and_finds_the_same(monkeypatch):
    volume, windows = oblique(), []
    made = model(modality=volume.modality)
    logits = Model.logits
    monkeypatch.setattr(Model, "logits", lambda self, image: (windows.append(len(image)), logits(self, image))[1])
    seen = made.sample("c", volume)
    thorough, of_thorough = made.probabilities(seen), sum(windows)
    quick = made.probabilities(seen, quick=True)
    assert sum(windows) - of_thorough < of_thorough
    np.testing.assert_array_equal(quick.argmax(0), thorough.argmax(0))


def test_a_saved_model_predicts_the_same_after_loading(tmp_path):
    first = deployable()
    second = Model.load(first.save(tmp_path / "m"))
    image = torch.randn(2, 1, 32, 32)
    assert torch.equal(first.logits(image), second.logits(image))
    assert second.structures == TABLE
    assert second.grid == first.grid


@pytest.mark.parametrize("mirrors", [True, False])
def test_whether_it_mirrors_is_kept_and_a_card_of_an_earlier_version_mirrors(tmp_path, mirrors):
    folder = replace(deployable(), mirrors=mirrors).save(tmp_path / "m")
    assert Model.load(folder).mirrors is mirrors
    card = json.loads((folder / "model.json").read_text())
    del card["mirrors"]
    (folder / "model.json").write_text(json.dumps(card))
    assert Model.load(folder).mirrors


def somewhere(low: int) -> tuple[str, np.ndarray, np.ndarray]:
    """A labelled case with its one organ from voxel `low` on along the first axis."""
    label = np.zeros((32, 32, 32), np.uint8)
    label[low : low + 10, 10:20, 10:20] = 1
    return f"case {low}", label, np.ones((32, 32, 32), bool)


def bright_at(low: int) -> Volume:
    return Volume(np.where(somewhere(low)[1] > 0, 900.0, 100.0), np.eye(4), modality="MR")


class OnlyLarge(Threshold):
    """As that one, and blind in slices where fewer than `least` voxels are bright."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.least = least

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = super().forward(image)
        blind = (logits[:, 1] > 0).sum((1, 2)) < self.least
        logits[blind] = torch.tensor([5.0, -5.0])[:, None, None]
        return logits


def settled(one: Model, found_at: tuple[int, ...] = (10, 11, 12)) -> tuple[Model, ScaleTest]:
    """What a model learns of scale from labelled cases that have the organ in the middle, and from unlabelled ones."""
    seen = [one.sample("x", bright_at(low)) for low in found_at]
    return learn_scale(one, [somewhere(low) for low in (10, 11, 12)], seen)


def test_a_model_that_finds_structures_where_labelled_cases_have_them_is_left_alone():
    one, record = settled(model(patch=(64, 64, 1)))
    assert not one.enlarges
    assert record.as_it_is >= record.labelled > 0.8
    assert record.enlarged is None


def test_a_model_that_finds_them_only_when_they_are_larger_enlarges_small_volumes():
    blind = model(
        patch=(64, 64, 1), net=OnlyLarge(150)
    )  # 10² voxels are bright, and twice as many half way to the patch
    assert not predict(blind, bright_at(11)).array.any()
    one, record = settled(blind)
    assert one.enlarges
    assert record.as_it_is == 0
    assert record.enlarged > 0.8
    truth, guess = somewhere(11)[1] > 0, predict(one, bright_at(11)).array > 0
    assert 2 * (guess & truth).sum() / (guess.sum() + truth.sum()) > 0.95


def test_a_model_that_finds_them_nowhere_is_left_alone():
    one, record = settled(model(patch=(64, 64, 1), net=OnlyLarge(10_000)))
    assert not one.enlarges
    assert record.as_it_is == record.enlarged == 0


def test_where_a_piece_is_chosen_its_places_are_learned_again_from_enlarged_volumes():
    blind = replace(model(patch=(64, 64, 1), net=OnlyLarge(150)), largest_component=True)
    before = blind.learn_places([blind.sample("x", bright_at(low)) for low in (10, 11, 12)])
    one, _ = settled(before)
    assert one.enlarges
    assert one.places.max() > before.places.max()


def test_one_labelled_patient_or_places_that_are_not_shared_say_nothing_of_scale():
    blind = model(patch=(64, 64, 1), net=OnlyLarge(150))
    seen = [blind.sample("x", bright_at(11))]
    assert learn_scale(blind, [somewhere(11)], seen) == (blind, None)
    assert learn_scale(blind, [somewhere(0), somewhere(11), somewhere(22)], seen) == (blind, None)


@pytest.mark.parametrize("patch", [(64, 64, 1), (96, 96, 32)], ids=["2-D", "3-D"])
def test_a_model_that_enlarges_still_predicts_on_the_inputs_own_grid_and_in_the_right_place(patch):
    volume = oblique()
    guess = predict(replace(model(patch=patch), enlarges=True), volume)
    truth = volume.array == 900
    assert 2 * (guess.array.astype(bool) & truth).sum() / (guess.array.sum() + truth.sum()) > 0.95


def test_a_model_that_enlarges_does_so_after_loading_and_predicts_nothing_outside_the_field_of_view(tmp_path):
    one = replace(deployable(), enlarges=True)
    fov = np.ones((20, 20, 4), bool)
    fov[:, :7] = False
    seen = one.sample("x", Volume(np.random.default_rng(0).normal(size=fov.shape), np.eye(4), fov=fov))
    p = one.probabilities(seen)
    assert not np.array_equal(p, replace(one, enlarges=False).probabilities(seen))
    assert p.shape == (2, *fov.shape)
    assert (p[0, ~seen.fov] == 1).all()
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-4)
    np.testing.assert_array_equal(Model.load(one.save(tmp_path / "m")).probabilities(seen), p)


def test_changed_weights_are_refused_before_they_are_parsed(tmp_path):
    folder = deployable().save(tmp_path / "m")
    weights = bytearray((folder / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (folder / WEIGHTS).write_bytes(weights)
    with pytest.raises(XmedError, match=r"error\[MODEL_INVALID\]: found .*weights.safetensors has sha256 "):
        Model.load(folder)


@pytest.mark.parametrize("harm", ["no card", "half a card", "no weights", "other network"])
def test_an_incomplete_model_folder_is_one_clear_error(tmp_path, harm):
    folder = deployable().save(tmp_path / "m")
    card = json.loads((folder / CARD).read_text())
    if harm == "no card":
        (folder / CARD).unlink()
    elif harm == "half a card":
        (folder / CARD).write_text((folder / CARD).read_text()[:80])
    elif harm == "no weights":
        (folder / WEIGHTS).unlink()
    else:
        (folder / CARD).write_text(json.dumps({**card, "network": {"name": "unet", "channels": [8, 16, 32]}}))
    with pytest.raises(XmedError, match=r"error\[MODEL_(INVALID|NOT_FOUND)\]"):
        Model.load(folder)


def test_a_network_is_initialised_by_its_seed_alone_and_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one = build_network(NetworkSpec(channels=[4, 8, 8]), 2, 1, 2, seed=7)
    assert torch.equal(torch.rand(1), expected)
    two = build_network(NetworkSpec(channels=[4, 8, 8]), 2, 1, 2, seed=7)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values()))


@pytest.mark.parametrize("name", ["unet", "segresnet"])
@pytest.mark.parametrize("dims", [2, 3])
def test_every_network_answers_on_the_grid_it_is_given(name, dims):
    spec = NetworkSpec(name=name, channels=[8, 16, 32])
    edge = spec.stride * 4
    out = build_network(spec, dims, 3, 4)(torch.randn(1, 3, *[edge] * dims))
    assert out.shape == (1, 4, *[edge] * dims)


def test_an_unknown_network_is_named():
    with pytest.raises(
        XmedError, match=r"error\[SPEC_INVALID\]: found network 'vnet' · expected one of unet, segresnet"
    ):
        build_network(NetworkSpec(name="vnet"), 2, 1, 2)
