"""Translate: unpaired pictures that keep what they show, learned from nothing but two piles of volumes."""

import json

import numpy as np
import pytest
import torch
from scipy import ndimage

from xmed import networks
from xmed.batch import Batch
from xmed.methods import Domains
from xmed.methods.cut import Cut
from xmed.networks.generator import Generator, patch_nce
from xmed.prepare import Sample, normalise
from xmed.rendering.translation import TranslationSettings, Translator, edge_strength, translate
from xmed.spec import NetworkSpec
from xmed.tasks import Segmentation
from xmed.volume import Grid

TASK = Segmentation(("organ",))


def ball(seed: int, bright: bool, shape=(32, 32, 4)) -> Sample:
    """A ball, bright on dark in the source and dark on bright in the target, which has no label."""
    random = np.random.default_rng(seed)
    centre = np.array(shape) / 2 + random.uniform(-4, 4, 3) * (1, 1, 0)
    label = (np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - centre, axis=-1) < 8).astype(np.uint8)
    image = (label - 0.5) * (2.0 if bright else -2.0) + random.normal(0, 0.2, shape)
    fov = np.ones(shape, bool)
    fov[:3] = False
    return Sample(f"case-{seed}", image.astype(np.float32), fov, Grid(shape, np.eye(4)), label if bright else None)


SOURCE, TARGET = [ball(n, True) for n in range(3)], [ball(10 + n, False) for n in range(3)]


def translated(folder=None, seed: int = 0, dims: int = 2, **recipe) -> list[Sample]:
    return translate(
        SOURCE, TARGET, dims, TASK.classes, TASK.loss, TranslationSettings(**{"steps": 4, **recipe}), seed, folder
    )


def test_patch_contrast_asks_which_place_of_the_same_image_it_is():
    random = np.random.default_rng(0)
    query, key = random.normal(size=(2, 5, 3)), random.normal(size=(2, 5, 3))
    losses = []
    for q, k in zip(query, key):
        for n in range(5):
            cosine = [q[n] @ other / np.linalg.norm(q[n]) / np.linalg.norm(other) for other in k]
            exponentials = np.exp(np.array(cosine) / 0.07)
            losses.append(-np.log(exponentials[n] / exponentials.sum()))
    got = patch_nce(torch.from_numpy(query), torch.from_numpy(key), 0.07)
    assert got.item() == pytest.approx(np.mean(losses))


def test_the_keys_of_the_contrast_learn_nothing():
    query, key = torch.randn(1, 4, 3, requires_grad=True), torch.randn(1, 4, 3, requires_grad=True)
    patch_nce(query, key, 0.07).backward()
    assert query.grad.abs().sum() > 0
    assert key.grad is None


@pytest.mark.parametrize("dims", [2, 3])
def test_edges_are_scipys_sobel_magnitude(dims):
    image = np.random.default_rng(0).normal(size=[9] * dims)
    scale = 2 * 4 ** (dims - 1)  # the weights of a Sobel filter's one half, so that a slope of 1 gives 1
    wanted = np.sqrt(sum((ndimage.sobel(image, n, mode="nearest") / scale) ** 2 for n in range(dims)))
    got = edge_strength(torch.from_numpy(image).float()[None, None])[0, 0].numpy()
    np.testing.assert_allclose(got, wanted, atol=2e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_generator_begins_as_the_identity_and_keeps_the_shape(dims):
    image = torch.randn(2, 1, *[16] * dims)
    generator = Generator(dims)
    assert torch.equal(generator(image), image)
    assert [f.shape[1] for f in generator.encoder_features(image)] == generator.widths


def test_the_critic_learns_from_its_own_loss_and_the_painters_from_theirs():
    translator = Translator(2, TASK.classes, TASK.loss, TranslationSettings(), seed=0)
    torch.nn.init.normal_(translator.generator.last.weight, 0, 0.1)
    x, y = _batch(True), _batch(False)
    (fake, seen), view = translator.generator.translate(x.image), torch.ones(2, 1, 32, 32)
    sum(translator.critic_losses(y, fake, view).values()).backward()
    assert all(p.grad is None for p in translator.generator_parameters())
    assert all(p.grad is not None for p in translator.critic.parameters())
    sum(translator.generator_losses(x, y, fake, seen, view).values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in translator.generator_parameters())


@pytest.mark.parametrize("dims", [2, 3])
def test_a_translation_keeps_label_place_and_field_of_view_and_is_normalised(dims):
    for was, now in zip(SOURCE, translated(dims=dims, batch=2)):
        assert now.image.dtype == np.float32
        assert now.image.shape == was.image.shape
        assert now.label is was.label
        assert now.grid is was.grid
        assert now.image[was.fov].mean() == pytest.approx(0, abs=1e-3)
        assert now.image[was.fov].std() == pytest.approx(1, abs=1e-3)
        assert (now.image[~was.fov] == now.image[was.fov].min()).all()


def test_what_was_translated_is_taken_from_its_folder_and_only_for_the_same_question(tmp_path):
    first = translated(tmp_path / "made")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").iterdir()}
    again = translated(tmp_path / "made")
    assert all(np.array_equal(a.image, b.image) and b.image.dtype == np.float32 for a, b in zip(first, again))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "made").iterdir()} == written
    translated(tmp_path / "made", seed=1)
    assert json.loads((tmp_path / "made" / "translated.json").read_text())["seed"] == 1


def test_the_same_seed_translates_alike_and_leaves_the_global_random_numbers_alone():
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    first = translated()
    assert torch.equal(torch.rand(3), wanted)
    torch.manual_seed(77)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, translated()))
    assert not np.array_equal(first[0].image, translated(seed=1)[0].image)


@pytest.mark.parametrize("modality", ["CT", "US"])
def test_cut_learns_from_pictures_in_the_field_of_view_that_its_target_has(modality, tmp_path):
    method = Cut(networks.build_network(NetworkSpec(channels=[4, 8, 8]), 2, 1, 2), TASK, pool=5, steps=3, batch=2)
    made = method.prepare_source(Domains(SOURCE, TARGET, "MR", modality, None, seed=0, folder=tmp_path))
    assert (tmp_path / "translated" / "translated.json").is_file()
    assert len(made) == (5 if modality == "US" else 3)
    assert all(sample.truth.any() for sample in made)


@pytest.mark.slow
def test_translating_brings_the_contrast_of_a_structure_nearer_to_the_targets():
    made = translated(steps=100)
    was = [_contrast(normalise(s.image, s.fov), s) for s in SOURCE]  # about 2.3; the target's is about as far below 0
    assert all(_contrast(s.image, s) < 0.75 * before for s, before in zip(made, was))


def _contrast(image: np.ndarray, sample: Sample) -> float:
    """Mean of the structure less that of what surrounds it in view."""
    around = (sample.truth == 0) & sample.fov
    return float(image[sample.truth == 1].mean() - image[around].mean())


def _batch(labelled: bool) -> Batch:

    image = torch.randn(2, 1, 32, 32)
    return Batch(image, (image[:, 0] > 1).long() if labelled else None, None)
