"""Scenes: pictures drawn from label maps alone; whatever draws them keeps to the field of view and to its seed."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from xmed import report, train
from xmed.cohort import ingest_cases, load_cohort, summarise_cohorts
from xmed.errors import XmedError
from xmed.evaluate import evaluate
from xmed.io import write_nifti
from xmed.prepare import Sample
from xmed.prepare.study_samples import load_samples
from xmed.records.record import content
from xmed.rendering import scenes
from xmed.rendering.scenes import heads
from xmed.rendering.scenes.section import random_section
from xmed.rendering.scenes.sector import Sector
from xmed.rendering.synthesise import pictures_as_source, render_as_target, renderings_as_target
from xmed.run import Run
from xmed.spec import DatasetSpec, Study
from xmed.volume import Grid, Volume


def brain() -> Sample:
    """A label map: cortex (3) around white matter (2) around ventricles (4), longer from front to back than across."""
    shape = (60, 80, 60)
    i, j, k = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    radius = np.sqrt((i / 22) ** 2 + (j / 30) ** 2 + (k / 24) ** 2)
    ids = np.select([radius < 0.25, radius < 0.8, radius < 1], [4, 2, 3], 0).astype(np.float32)
    grid = Grid(shape, np.diag([2.0, 2, 2, 1]))
    return Sample("map", ids, np.ones(shape, bool), grid, (ids > 0).astype(np.uint8))


def picture(seen: np.ndarray | None = None) -> Sample:
    """An unlabelled target picture of 64 columns and 48 rows, in a scale of its own."""
    shape = (64, 48, 1)
    fov = np.ones(shape, bool) if seen is None else seen
    return Sample("picture", np.zeros(shape, np.float32), fov, Grid(shape, np.diag([5.0, 7, 1, 1])))


def fan() -> np.ndarray:
    i, j = np.indices((64, 48))
    return (np.abs(np.arctan2(i - 31.5, j + 20)) < 0.45)[:, :, None]


@pytest.mark.parametrize("which", ["draw", "plain"])
def test_a_head_is_drawn_in_the_targets_shape_inside_its_field_of_view_and_by_its_seed(which):
    target, make = picture(fan()), getattr(heads, which)
    image, label = make(brain(), target, np.random.default_rng(1))
    again, same = make(brain(), target, np.random.default_rng(1))
    other, _ = make(brain(), target, np.random.default_rng(2))
    assert (image.dtype, label.dtype, image.shape, label.shape) == (np.float32, np.uint8, *[target.image.shape] * 2)
    assert np.isfinite(image).all()
    assert not label[~target.fov].any()
    assert np.array_equal(image, again)
    assert np.array_equal(label, same)
    assert not np.array_equal(image, other)


def test_heads_are_one_piece_ellipses_of_the_sizes_that_the_recipe_draws():
    shares, fits = [], []
    for seed in range(25):
        mask = random_section(brain(), np.ones((128, 88), bool), np.random.default_rng(seed)).mask
        points = np.argwhere(mask)
        axes = 2 * np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))
        fits.append(len(points) / (np.pi * axes.prod()))  # 1 for a whole ellipse
        shares.append(mask.mean())
    assert 0.9 < np.median(fits) < 1.02
    assert 0.05 < np.median(shares) < 0.5
    assert max(shares) < 0.85


def test_most_of_a_head_lies_in_the_field_of_view():
    fov = fan()[:, :, 0]
    inside = [
        (head.mask & fov).sum() / head.mask.sum()
        for head in (random_section(brain(), fov, np.random.default_rng(seed)) for seed in range(20))
    ]
    assert np.median(inside) > 0.9


def test_the_skull_echoes_above_what_lies_within():
    ratios = []
    for seed in range(20):
        image, label = heads.draw(brain(), picture(), np.random.default_rng(seed))
        head = random_section(
            brain(), np.ones((64, 48), bool), np.random.default_rng(seed)
        )  # the same draws come first
        assert np.array_equal(head.mask, label[:, :, 0] > 0)
        rim, deep = head.mask & (head.depth < 2), head.mask & (head.depth > 5)
        ratios.append(image[:, :, 0][rim].mean() / max(image[:, :, 0][deep].mean(), 1e-3))
    assert np.median(ratios) > 1.2


def test_an_attenuating_block_casts_its_shadow_along_the_beam_and_nowhere_else():
    sector = Sector((64, 48), (31.5, -40.0), 0.5)
    attenuation = np.zeros((64, 48), np.float32)
    attenuation[28:36, 10:14] = 1.0
    left = min((sector.along(attenuation, np.random.default_rng(seed)) for seed in range(8)), key=lambda a: -a.sum())
    assert left[31, 30] < 0.5 * left[31, 5]  # below the block, on its beam
    assert left[5, 30] == pytest.approx(1, abs=1e-3)
    assert left[31, 5] == pytest.approx(1, abs=1e-3)


def test_a_drawn_case_lies_on_the_targets_grid_and_a_tomographic_one_on_its_own():
    target, source = picture(fan()), brain()
    seen = render_as_target(source, target, "US", None, np.random.default_rng(0), "heads")
    assert seen.grid is target.grid
    assert seen.image[seen.fov].std() == pytest.approx(1, abs=1e-3)
    posed = render_as_target(source, target, "US", None, np.random.default_rng(0))
    assert posed.grid is target.grid
    assert posed.image.shape == posed.grid.shape == posed.truth.shape
    volume = replace(source, label=None)
    assert render_as_target(source, volume, "PT", None, np.random.default_rng(0)).grid is source.grid


def test_label_maps_are_drawn_in_turn_and_a_scene_without_plain_pictures_paints_its_structures(monkeypatch):
    targets, random = [picture(), picture(fan())], np.random.default_rng(0)
    sources = [replace(brain(), case=name) for name in "ab"]
    assert [s.case for s in renderings_as_target(3, sources, targets, "US", None, random, "heads")] == ["a", "b", "a"]
    monkeypatch.delattr(heads, "plain")
    (painted,) = pictures_as_source(1, sources, targets[:1], "heads", random)
    assert painted.image[painted.truth == 1].mean() > painted.image[painted.truth == 0].mean() + 1


def test_the_folder_lists_what_draws_and_an_unknown_scene_is_answered_with_it():
    assert "heads" in scenes.scene_names()
    assert not {"section", "sector", "womb"} & set(scenes.scene_names())
    with pytest.raises(XmedError, match=r"error\[SPEC_INVALID\]: found no scene 'feet' · expected one of .*heads"):
        scenes.find_scene("feet")


def test_a_scene_is_added_by_its_file_alone(tmp_path, monkeypatch):
    (tmp_path / "stripes.py").write_text("def draw(source, target, random):\n    return target.image, target.fov * 1\n")
    monkeypatch.setattr(scenes, "__path__", [*scenes.__path__, str(tmp_path)])
    assert "stripes" in scenes.scene_names()
    assert scenes.find_scene("stripes").__module__ == "xmed.rendering.scenes.stripes"


@pytest.fixture
def study(tmp_path) -> tuple[Run, object]:
    """Two label maps and twelve pictures of discs in a fan, of two sizes; outlines drawn by hand; ingested."""
    home, random = tmp_path / "home", np.random.default_rng(0)
    maps, pictures = tmp_path / "maps", tmp_path / "pictures"
    maps.mkdir()
    pictures.mkdir()
    for case in "ab":
        write_nifti(Volume(brain().image.astype(np.uint8), np.diag([2.0, 2, 2, 1])), maps / f"{case}.nii.gz")
    for n in range(12):
        i, j = np.indices((100, 70) if n % 2 else (140, 90))
        middle = (len(i) / 2, i.shape[1] / 2)
        radius = np.hypot((i - middle[0]) / random.uniform(22, 30), (j - middle[1]) / random.uniform(18, 22))
        seen = np.abs(np.arctan2(i - middle[0], j + 40)) < 0.6
        grey = 60 + 120 * (np.abs(radius - 0.95) < 0.06) + random.normal(0, 12, i.shape)
        Image.fromarray((np.clip(grey, 1, 255) * seen).astype(np.uint8).T).save(pictures / f"{n:02d}.png")
        line = (radius < 1) & (radius > 0.9)
        Image.fromarray((255 * line).astype(np.uint8).T).save(pictures / f"{n:02d}_label.png")
    cases = [f"{n:02d}" for n in range(12)]
    dataset = {"labels": {2: {"name": "head"}, 3: {"name": "head"}, 4: {"name": "head"}}}
    source = {
        **dataset, "name": "maps", "modality": "MR", "root": str(maps), "layout": {"label": "{case}.nii.gz"},
        "splits": {"train": ["a"], "select": ["b"]}, "scene": "heads",
    }  # fmt: skip
    target = {
        "name": "pictures", "modality": "US", "root": str(pictures), "labels": {255: {"name": "head"}},
        "layout": {"image": "{case}.png", "label": "{case}_label.png", "label_outline": True},
        "spacing_credible": False, "splits": {"train": cases[:6], "test": cases[6:]},
    }  # fmt: skip
    cohorts = [ingest_cases(DatasetSpec.model_validate(spec), home) for spec in (source, target)]
    asked = {
        "name": "maps-to-pictures", "source": "maps", "target": "pictures", "structures": ["head"],
        "grid": {"spacing_mm": [4, 4, 4], "fit": [32, 24, 1], "patch": [32, 24, 1]},
        "network": {"channels": [4, 8, 8]}, "method": {"name": "bridge", "pool": 12},
        "budget": {"steps": 6, "batch": 4}, "protocol": {"primary": {"structure": "head"}}, "register_as": "heads",
    }  # fmt: skip
    run = Run.create(Study.model_validate(asked), home)
    run.write(summarise_cohorts(*cohorts))
    return run, home


def test_label_maps_come_with_their_ids_and_pictures_on_one_size(study):
    run, home = study
    (source,) = load_samples(load_cohort("maps", home), run.study, ["train"], labelled=True)
    assert source.spacing == (4, 4, 4)
    assert set(np.unique(source.image)) == {0, 2, 3, 4}
    np.testing.assert_array_equal(source.truth, source.image > 0)
    target = load_samples(load_cohort("pictures", home), run.study, ["train"], labelled=True)
    assert {one.image.shape for one in target} == {(32, 24, 1)}
    assert all(0.1 < one.truth.mean() < 0.6 for one in target)  # the outlines were filled


@pytest.mark.slow
def test_label_maps_alone_are_adapted_to_pictures_judged_at_home_and_reported(study):
    run, home = study
    train.fit_all(run, home, workers=1)
    assert run.arms() == [("source_only", 0), ("adapted", 0), ("target_supervised", 0)]
    rows = [content(row) for row in evaluate(run, home)]
    for arm in ("source_only", "adapted", "target_supervised", "trivial_threshold", "trivial_position"):
        found = [row for row in rows if row["arm"] == arm]
        assert len(found) == 6
        assert all(0 <= row["dice"] <= 1 and row["hd95_mm"] is None for row in found)
    kept = np.load(run.pictures / "06.npz")
    assert kept["truth"].shape == kept["adapted"].shape == (140, 90, 1)
    run.write("environment", {})
    run.write("errors", [])
    page = report.write_report(run).read_text(encoding="utf-8")
    assert "resampled to 32 × 24 × 1 voxels" in page
