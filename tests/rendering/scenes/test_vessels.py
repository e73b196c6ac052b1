"""Vessel scenes: invented limbs hold what they say, and look as a linear probe would show them."""

import numpy as np
import pytest

from xmed import cohort
from xmed.app.plan import plan_dataset
from xmed.errors import XmedError
from xmed.io import read_nifti
from xmed.prepare import Sample
from xmed.rendering import scenes
from xmed.rendering.scenes import vessels, write_label_maps
from xmed.rendering.scenes.linear import Beam
from xmed.rendering.scenes.soft_tissue import draw_soft_tissue
from xmed.rendering.scenes.vessels import Components, bend_label_map
from xmed.spec import MapsSpec
from xmed.volume import Grid

SHAPE = (128, 128, 1)


def source(ids: np.ndarray) -> Sample:
    whole = np.ones(ids.shape, bool)
    return Sample(
        "a", ids.astype(np.float32), whole, Grid(ids.shape, np.eye(4)), (ids == vessels.VESSEL).astype(np.uint8)
    )


def target(shape=SHAPE) -> Sample:
    return Sample("b", np.zeros(shape, np.float32), np.ones(shape, bool), Grid(shape, np.eye(4)))


def lumen() -> Sample:
    """One round vessel in the middle of nothing else."""
    i, j = np.indices((128, 128))
    return source((np.hypot(i - 64, j - 50) < 14).astype(np.uint8)[:, :, None])


@pytest.mark.parametrize("make", [vessels.draw, vessels.plain])
@pytest.mark.parametrize("shape", [SHAPE, (64, 48, 1), (64, 64, 2)])
def test_a_limb_is_drawn_in_the_targets_shape_inside_its_field_of_view_and_by_its_seed(make, shape):
    seen = target(shape)
    seen.fov[: shape[0] // 3] = False
    given = source(vessels.anatomy(np.random.default_rng(7)))
    before = given.image.copy()
    (image, label), (again, same), (other, _) = (make(given, seen, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (image.dtype, label.dtype, image.shape, label.shape) == (np.float32, np.uint8, shape, shape)
    assert np.isfinite(image).all()
    assert not label[~seen.fov].any()
    assert np.array_equal(image, again)
    assert np.array_equal(label, same)
    assert not np.array_equal(image, other)
    assert np.array_equal(given.image, before)


def test_an_invented_limb_holds_as_many_vessels_as_the_recipe_draws_apart_from_each_other():
    counts, shares, bones = [], [], 0
    for seed in range(150):
        ids = vessels.anatomy(np.random.default_rng(seed))
        assert (ids.dtype, ids.shape) == (np.uint8, (vessels.EDGE, vessels.EDGE, 1))
        assert set(np.unique(ids)) <= {0, vessels.VESSEL, vessels.NERVE, vessels.MUSCLE, vessels.BONE}
        pieces = Components.of(ids[:, :, 0] == vessels.VESSEL)
        counts.append(0 if pieces is None else len(pieces.half))
        shares.append((ids == vessels.VESSEL).mean())
        bones += vessels.BONE in ids
    assert 0.08 < np.mean(np.array(counts) == 0) < 0.25  # none is drawn at 0.14; bone swallows a few
    assert 1.4 < np.mean(counts) < 2.2  # 1.73 are drawn
    assert 0.02 < np.mean(shares) < 0.08
    assert 0.3 < bones / 150 < 0.6


def test_a_vessel_is_darker_than_the_tissue_at_its_level_and_what_lies_behind_it_is_no_darker():
    dark, behind = [], []
    for seed in range(40):
        image, label = vessels.draw(lumen(), target(), np.random.default_rng(seed))
        image, inside = image[:, :, 0], label[:, :, 0] > 0
        if inside.sum() < 200:  # contact was lost there
            continue
        columns, rows = inside.any(1), inside.any(0)
        below = slice(int(np.flatnonzero(rows)[-1]) + 3, int(np.flatnonzero(rows)[-1]) + 15)
        dark.append(image[inside].mean() < image[~columns][:, rows].mean())
        behind.append(image[columns, below].mean() - image[~columns, below].mean())
    assert len(dark) > 25
    assert np.mean(dark) > 0.85
    assert np.mean(behind) > 0


def test_nothing_under_bone_is_called_a_vessel_and_it_lies_in_shadow():
    given = lumen()
    given.image[:, 30:36] = vessels.BONE  # the vessel is below
    for seed in range(6):
        image, label = vessels.draw(given, target(), np.random.default_rng(seed))
        assert not label.any()
        assert image[:, 60:].mean() < image[:, 12:25].mean()


def test_blood_takes_less_from_the_sound_than_tissue_does():
    beam = Beam.into((32, 64), 1.0, np.random.default_rng(0))
    beam.left[:] = 1
    through = beam.returned()
    assert (np.diff(through, axis=1) < 0).all()
    beam.loss[10:20, 20:30] -= 0.01
    assert beam.returned()[15, 50] > 1.2 * through[15, 50]
    assert beam.returned()[2, 50] == pytest.approx(through[2, 50], rel=1e-3)


def test_layers_lie_across_the_picture():
    along, across = [], []
    for seed in range(12):
        echo = np.log(draw_soft_tissue((128, 128), 1.0, np.random.default_rng(seed)).echo)
        along.append(np.abs(np.diff(echo, axis=0)).mean())
        across.append(np.abs(np.diff(echo, axis=1)).mean())
    assert np.mean(along) < 0.7 * np.mean(across)


def test_a_bent_map_keeps_its_ids_and_nearly_its_shares():
    ids = vessels.anatomy(np.random.default_rng(3))[:, :, 0]
    moved = [bend_label_map(ids, (128, 128), np.random.default_rng(seed)) for seed in range(20)]
    assert all(set(np.unique(one)) <= set(np.unique(ids)) for one in moved)
    share = np.mean([(one == vessels.VESSEL).mean() for one in moved])
    assert share == pytest.approx((ids == vessels.VESSEL).mean(), rel=0.4)


def test_each_piece_has_its_own_extent_and_every_pixel_belongs_to_the_nearest():
    mask = np.zeros((40, 60), bool)
    mask[5:9, 10:20], mask[25:35, 40:44] = True, True
    pieces = Components.of(mask)
    assert pieces is not None
    assert pieces.half.tolist() == [5, 2]
    assert pieces.middle.tolist() == [15, 42]
    assert (pieces.owner[0, 0], pieces.owner[39, 59]) == (0, 1)
    assert pieces.depth[mask].min() > pieces.depth[~mask].max() - 1
    assert Components.of(~np.ones((4, 4), bool)) is None


def test_invented_maps_are_written_once_and_are_the_same_again(tmp_path):
    spec = MapsSpec(scene="vessels", patients=3, seed=5)
    calls = []
    write_label_maps.write_label_maps(spec, tmp_path / "a", lambda *note: calls.append(note))
    write_label_maps.write_label_maps(spec, tmp_path / "b")
    assert [path.name for path in sorted((tmp_path / "a").iterdir())] == [
        f"{n}.nii.gz" for n in write_label_maps.label_map_names(spec)
    ]
    assert calls[-1] == ("draw vessels", 3, 3, "")
    one, same = (read_nifti(tmp_path / folder / "vessels5-002.nii.gz") for folder in "ab")
    assert np.array_equal(one.array, same.array)
    first = tmp_path / "a" / "vessels5-001.nii.gz"
    untouched, _ = first.write_bytes(b"mine"), write_label_maps.write_label_maps(spec, tmp_path / "a")
    assert first.read_bytes() == b"mine"
    assert untouched == 4


def test_the_dataset_of_vessel_scenes_is_made_when_it_is_not_there(tmp_path):
    spec = plan_dataset("vessel-scenes", tmp_path / "maps")  # not there yet, and no reason to refuse
    spec = spec.model_copy(update={"maps": spec.maps.model_copy(update={"patients": 6})})
    made = cohort.ingest_cases(spec, tmp_path, data_root=tmp_path / "maps", generate=write_label_maps.write_label_maps)
    assert len(made.cases) == 6
    assert made.spec.label_table.names == ["vessel", "nerve", "muscle", "bone"]
    assert {case.split for case in made.cases} <= {"train", "select"}
    given = read_nifti(tmp_path / "maps" / f"{made.cases[0].id}.nii.gz")
    assert np.array_equal(made.label(made.cases[0]).array, given.array)


def test_a_scene_that_draws_from_given_maps_invents_none():
    with pytest.raises(XmedError, match=r"error\[SPEC_INVALID\]: found scene 'heads' invents no label maps"):
        scenes.label_map_generator("heads")
    assert {"heads", "vessels"} <= set(scenes.scene_names())
    assert not {"limb", "linear", "pieces", "tissue", "write"} & set(scenes.scene_names())
