"""Appearance: renderings obey the physics they claim, and know nothing of the target's labels."""

from dataclasses import replace

import numpy as np
import pytest

from xmed import rendering
from xmed.prepare import Sample
from xmed.rendering import LabelledAnatomy, renderer, renderers
from xmed.rendering.emission import _detect
from xmed.rendering.field_of_view_pose import beam_direction, pose_anatomy
from xmed.rendering.labelled_anatomy import log_uniform
from xmed.volume import Grid

MODALITIES = ["PT", "CT", "US", "MR", "XA"]


def anatomy(shape=(40, 48, 20), spacing=(3.0, 3.0, 3.27)) -> LabelledAnatomy:
    points = np.stack(np.meshgrid(*[np.arange(n) * mm for n, mm in zip(shape, spacing)], indexing="ij"))
    centre = (np.array(shape) * spacing / 2)[:, None, None, None]
    radius = np.sqrt((((points - centre) / (1, 1.2, 1)[0]) ** 2).sum(0))
    random = np.random.default_rng(0)
    image = np.clip((radius < 55) * (0.5 + 0.1 * random.standard_normal(shape)), 0, 1).astype(np.float32)
    return LabelledAnatomy(image, (radius < 16).astype(np.uint8), np.ones(shape, bool), spacing)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_rendering_is_finite_varied_and_fully_determined_by_its_seed(modality):
    render = renderer(modality)
    one, same, other = (render(anatomy(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one.shape == anatomy().shape
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    assert one.std() > 0
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_rendering_leaves_its_anatomy_alone(modality):
    given = anatomy()
    image, label = given.image.copy(), given.label.copy()
    renderer(modality)(given, np.random.default_rng(0))
    assert np.array_equal(given.image, image)
    assert np.array_equal(given.label, label)


def test_every_modality_has_one_renderer_and_the_rest_share_the_generic_one():
    assert renderers() == {
        "PT": "emission",
        "NM": "emission",
        "CT": "attenuation",
        "US": "acoustic",
        "IVUS": "acoustic",
        "MR": "magnetic",
    }
    assert renderer("XA").__module__ == renderer("MG").__module__ == "xmed.rendering.randomise"


def test_a_renderer_is_added_by_its_file_alone(tmp_path, monkeypatch):
    (tmp_path / "endoscopic.py").write_text(
        'MODALITIES = ("ES",)\n\n\ndef render(anatomy, random):\n    return anatomy.image + random.uniform(0, 1)\n'
    )
    monkeypatch.setattr(rendering, "__path__", [*rendering.__path__, str(tmp_path)])
    assert renderers()["ES"] == "endoscopic"
    image = renderer("ES")(anatomy(), np.random.default_rng(0))
    assert np.array_equal(image, anatomy().image + np.random.default_rng(0).uniform(0, 1))


def test_most_lesions_are_hotter_than_what_surrounds_them_in_emission():
    given, hot = anatomy(), 0
    inside, around = given.label == 1, (given.label == 0) & (given.image > 0.2)
    for seed in range(30):
        image = renderer("PT")(given, np.random.default_rng(seed))
        assert image.min() >= 0
        hot += image[inside].mean() > image[around].mean()
    assert hot >= 22


def test_counts_make_noise_grow_with_activity():
    flat = LabelledAnatomy(
        np.ones((48, 48, 24), np.float32), np.zeros((48, 48, 24), np.uint8), np.ones((48, 48, 24), bool), (3, 3, 3)
    )
    low = _detect(flat, np.random.default_rng(5), np.full(flat.shape, 1.0, np.float32), 1.0)
    high = _detect(flat, np.random.default_rng(5), np.full(flat.shape, 4.0, np.float32), 1.0)
    assert high.std() / low.std() == pytest.approx(2.0, rel=0.1)  # √4: Poisson


def test_air_stays_air_and_tissue_stays_tissue_in_attenuation():
    given = anatomy()
    for seed in range(8):
        hu = renderer("CT")(given, np.random.default_rng(seed))
        assert np.median(hu[:2]) < -900
        assert -200 < np.median(hu[given.label == 1]) < 300


def test_the_noise_of_a_magnitude_image_is_rician():
    empty = LabelledAnatomy(
        np.zeros((40, 40, 20), np.float32), np.zeros((40, 40, 20), np.uint8), np.ones((40, 40, 20), bool), (2, 2, 2)
    )
    for seed in range(5):
        air = renderer("MR")(empty, np.random.default_rng(seed))
        # without signal a Rician is a Rayleigh distribution, whose mean over sd is √(π / (4 − π))
        assert air.mean() / air.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.02)


def test_a_structure_is_brighter_in_one_sequence_and_darker_in_another():
    given = anatomy()
    inside, around = given.label == 1, (given.label == 0) & (given.image > 0.2)
    seen = [renderer("MR")(given, np.random.default_rng(seed)) for seed in range(30)]
    brighter = sum(image[inside].mean() > image[around].mean() for image in seen)
    assert 6 <= brighter <= 24


def test_sound_enters_where_the_field_of_view_is_narrow_along_whichever_axis():
    cone = np.zeros((40, 40, 10), bool)
    for depth in range(40):
        cone[20 - depth // 3 - 3 : 20 + depth // 3 + 3, depth] = True
    assert beam_direction(cone) == (1, 1)
    assert beam_direction(cone[:, ::-1]) == (1, -1)
    assert beam_direction(cone.transpose(1, 0, 2)) == (0, 1)
    assert beam_direction(np.ones((8, 8, 8), bool)) == (1, 1)


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("voxels", [1, 3])
def test_a_structure_of_a_voxel_or_two_renders_as_well(modality, voxels):
    given = anatomy()
    label = np.zeros_like(given.label)
    label[20, 20, 10 : 10 + voxels] = 1
    for seed in range(12):
        image = renderer(modality)(replace(given, label=label), np.random.default_rng(seed))
        assert np.isfinite(image).all()


def test_what_lies_behind_a_strong_absorber_is_darker_than_beside_it():
    from xmed.rendering import acoustic

    shape = (64, 40, 8)
    given = LabelledAnatomy(np.full(shape, 0.5, np.float32), np.zeros(shape, np.uint8), np.ones(shape, bool), (1, 1, 1))
    echo, attenuation = np.ones(shape, np.float32), np.full(shape, 0.001, np.float32)
    attenuation[10:16, 10:20] = 0.5
    original = acoustic._medium
    acoustic._medium = lambda *_: (echo, attenuation)
    try:
        seen = acoustic._scan(given, np.random.default_rng(1))
    finally:
        acoustic._medium = original
    assert seen[25:, 12:18].mean() < 0.7 * seen[25:, 26:].mean()


def test_a_probe_sees_the_labelled_structure_inside_the_targets_field_of_view():
    random = np.random.default_rng(0)
    given = anatomy()
    source = Sample("s", given.image, given.fov, Grid(given.shape, np.diag([*given.spacing, 1])), given.label)
    fov = np.zeros((50, 60, 30), bool)
    fov[5:45, 5:55, 3:27] = True
    target = Sample("t", fov.astype(np.float32), fov, Grid(fov.shape, np.diag([2.0, 2, 2, 1])))
    for _ in range(10):
        placed = pose_anatomy(source, target, "US", random)
        assert placed.shape == fov.shape
        assert (placed.label > 0).sum() * 8 > 0.3 * (source.label > 0).sum() * 3 * 3 * 3.27
        assert not placed.label[~fov].any()


def test_tomography_keeps_the_sources_own_grid():
    given = anatomy()
    source = Sample("s", given.image, given.fov, Grid(given.shape, np.diag([*given.spacing, 1])), given.label)
    placed = pose_anatomy(source, source, "PT", np.random.default_rng(0))
    assert placed.label is source.label
    assert placed.image.min() == 0
    assert placed.image.max() == 1


def heard(fluid: float = 0.05, tissue: float = 0.5) -> Sample:
    """An ultrasound sector (i, j, k) with a black cyst (1) and a grey gland (2) below it."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in (40, 40, 24)), indexing="ij")
    fov = np.abs(i - 20) < 4 + 0.45 * j
    label = np.zeros(fov.shape, np.uint8)
    label[(i - 20) ** 2 + (j - 16) ** 2 + (k - 12) ** 2 < 36] = 1
    label[(i - 20) ** 2 + (j - 29) ** 2 + (k - 12) ** 2 < 36] = 2
    speckle = np.random.default_rng(0).rayleigh(0.8, fov.shape)
    image = np.where(label == 1, fluid, tissue) * speckle * fov
    return Sample("heard", image.astype(np.float32), fov, Grid(fov.shape, np.diag([2.5, 2.5, 2.5, 1])), label)


def tomograph() -> Sample:
    grid = Grid((48, 44, 20), np.diag([2.5, 2.5, 3, 1]))
    return Sample("tomograph", np.ones(grid.shape, np.float32), np.ones(grid.shape, bool), grid)


def test_a_tomograph_sees_more_than_the_sector_that_the_source_was():
    placed = pose_anatomy(heard(), tomograph(), "MR", np.random.default_rng(0))
    assert placed.shape == placed.fov.shape == tomograph().fov.shape
    assert placed.fov.all()
    assert set(np.unique(placed.label)) == {0, 1, 2}
    far = placed.smooth(placed.label > 0, 10.0) < 1e-3
    assert placed.image[far].std() > 0.02, "beyond the sector there is tissue, not one grey"


def test_fluid_is_what_sound_finds_black():
    for seed in range(3):
        placed = pose_anatomy(heard(), tomograph(), "MR", np.random.default_rng(seed))
        assert placed.fluid[1] > 0.8
        assert placed.fluid[2] < 0.2


@pytest.mark.parametrize(("source", "modality"), [(heard(), "MR"), (tomograph(), "US"), (tomograph(), "MR")])
def test_what_a_code_says_of_fluid_goes_before_what_an_image_looks_like(source, modality):
    label = heard().truth if source.label is None else source.truth
    shown = replace(tomograph(), image=np.ones(label.shape, np.float32), fov=np.ones(label.shape, bool), label=label)
    given = replace(source if source.label is not None else shown, fluid={1: False, 2: True})
    through = heard() if modality == "US" else tomograph()
    placed = pose_anatomy(given, through, modality, np.random.default_rng(0))
    assert placed.fluid[1] < 0.1
    assert placed.fluid[2] > 0.9


def test_sound_hears_less_from_what_is_known_to_be_fluid_than_from_the_same_structure_known_to_be_tissue():
    given = anatomy()
    even = replace(given, image=np.where(given.label == 1, 0.5, given.image).astype(np.float32))  # as uniform as water
    deep, near = even.smooth(even.label == 1, 3.0) > 0.9, even.around(even.label == 1)

    def echo(fluid: float, seed: int) -> float:
        image = renderer("US")(replace(even, fluid={1: fluid}), np.random.default_rng(seed))
        return float(np.median(image[deep]) - np.median(image[near]))

    fluid, tissue = ([echo(known, seed) for seed in range(24)] for known in (1.0, 0.0))
    assert np.mean(fluid) < np.mean(tissue) - 0.15
    assert sum(one < -0.05 for one in fluid) >= 18
    assert sum(one > 0 for one in tissue) >= 4


def test_fluid_is_uniform_in_magnetic_resonance_and_brighter_or_darker_than_tissue():
    bright = dark = 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        placed = replace(pose_anatomy(heard(), tomograph(), "MR", random), fluid={1: 1.0, 2: 0.0})
        signal = renderer("MR")(placed, random)
        deep = placed.smooth(placed.label == 1, 3.0) > 0.9
        level = np.median(signal[deep])
        bright += level > np.percentile(signal[placed.label == 0], 90)
        dark += level < np.percentile(signal[placed.label == 0], 40)
    assert bright >= 4
    assert dark >= 2


def test_a_log_uniform_draw_is_uniform_in_its_logarithm():
    random = np.random.default_rng(0)
    draws = np.log([log_uniform(random, 0.1, 10) for _ in range(4000)])
    assert draws.min() >= np.log(0.1)
    assert draws.max() <= np.log(10)
    assert abs(draws.mean()) < 0.08
