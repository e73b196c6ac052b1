"""Prepare: onto the net's grid and back, intensities, patches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from xmed.errors import XmedError
from xmed.prepare import (
    Augmentation,
    Sample,
    Sampler,
    acquisition_axes,
    augmentation_for,
    enlarge,
    fit_grid,
    grid_for,
    make_sample,
    map_sample,
    normalise,
    orthogonal_grid,
    resample_to,
)
from xmed.spec import GridSpec
from xmed.volume import Grid, Volume

TURN = np.array([[0.0, 0.0, 1.0], [0.8, -0.6, 0.0], [0.6, 0.8, 0.0]])  # orthonormal, oblique, axes permuted


def oblique(shape=(20, 24, 16), spacing=(1.5, 2.0, 3.0), modality="MR") -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = TURN * spacing
    affine[:3, 3] = (12, -40, 7)
    points = Grid(shape, affine).points(np.argwhere(np.ones(shape)))
    return Volume((points @ (0.5, -1.0, 0.25)).reshape(shape).astype(np.float32), affine, "1.2.3", modality)


def test_a_linear_ramp_is_the_same_ramp_in_patient_space_on_any_grid_inside_the_volume():
    volume = oblique()
    grid = grid_for(volume, (2.5, 2.5, 2.5))
    moved = resample_to(volume, grid)
    expected = grid.points(np.argwhere(np.ones(grid.shape))) @ (0.5, -1.0, 0.25)
    deep = np.zeros(grid.shape, bool)
    deep[3:-3, 3:-3, 3:-3] = True
    np.testing.assert_allclose(moved.array[deep], expected.reshape(grid.shape)[deep], atol=0.05)


def test_the_nets_grid_covers_the_volumes_box_and_keeps_its_middle():
    volume = oblique()
    grid = grid_for(volume, (2.0, 2.0, 2.0))
    np.testing.assert_allclose(grid.corners().mean(0), volume.grid.corners().mean(0), atol=1e-9)
    extent = np.sort(np.array(grid.shape) * grid.spacing)
    np.testing.assert_allclose(extent, np.sort(np.array(volume.array.shape) * volume.spacing), atol=1.1)


def test_a_tilted_gantrys_volume_is_prepared_at_right_angles_with_everything_in_its_place():
    affine = oblique().affine.copy()
    affine[:3, 2] += 0.25 * affine[:3, 1]
    sheared = Grid((24, 20, 16), affine)
    ramp = sheared.points(np.argwhere(np.ones(sheared.shape))) @ (0.5, -1.0, 0.25)
    tilted = Volume(ramp.reshape(sheared.shape).astype(np.float32), affine, "1.2.3", "CT")
    square = orthogonal_grid(sheared)
    directions = square.affine[:3, :3] / np.array(square.spacing)
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-12)
    assert square.voxel_ml == pytest.approx(sheared.voxel_ml)
    corners = np.linalg.inv(square.affine) @ np.c_[sheared.corners(), np.ones(8)].T
    assert corners[:3].min() > -1e-6
    assert (corners[:3].max(axis=1) < np.array(square.shape) - 1 + 1e-6).all()
    points = square.points(np.argwhere(np.ones(square.shape)))
    index = (np.linalg.inv(affine) @ np.c_[points, np.ones(len(points))].T)[:3].T
    deep = ((index > 3) & (index < np.array(sheared.shape) - 4)).all(axis=1).reshape(square.shape)
    expected = (points @ (0.5, -1.0, 0.25)).reshape(square.shape)
    assert deep.sum() > 1000
    np.testing.assert_allclose(resample_to(tilted, square).array[deep], expected[deep], atol=0.05)
    assert orthogonal_grid(square) is square
    assert orthogonal_grid(oblique().grid).same(oblique().grid)
    prepared = grid_for(tilted, (2.0, 2.0, 2.0)).affine[:3, :3] / 2
    np.testing.assert_allclose(prepared.T @ prepared, np.eye(3), atol=1e-12)


def test_axes_run_to_left_posterior_superior_without_moving_a_voxel():
    grid = acquisition_axes(oblique().grid)
    assert (np.abs(grid.affine[:3, :3]).argmax(0) == (0, 1, 2)).all()
    assert (np.diag(grid.affine[:3, :3]) > 0).all()
    old = {tuple(p) for p in oblique().grid.corners().round(6)}
    assert {tuple(p) for p in grid.corners().round(6)} == old


def test_a_probes_volume_keeps_its_own_axes():
    volume = oblique(modality="US")
    directions = grid_for(volume, (1.5, 2.0, 3.0)).affine[:3, :3] / (1.5, 2.0, 3.0)
    np.testing.assert_allclose(directions, TURN, atol=1e-12)


@pytest.mark.parametrize("modality", ["US", "MR"])
def test_a_fitted_grid_covers_the_box_of_the_field_of_view_and_nothing_else(modality):
    fov = np.zeros((20, 24, 16), bool)
    fov[4:14, 3:23, 2:10] = True
    volume = replace(oblique(modality=modality), fov=fov)
    grid = fit_grid(volume, (30, 16, 8))
    assert grid.shape == (30, 16, 8)
    low, high = (np.argwhere(fov).min(0) - 0.5, np.argwhere(fov).max(0) + 0.5)
    edges = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.shape], indexing="ij")).reshape(3, 8).T
    back = np.linalg.inv(volume.affine) @ np.c_[grid.points(edges), np.ones(8)].T
    np.testing.assert_allclose(back[:3].min(1), low, atol=1e-6)
    np.testing.assert_allclose(back[:3].max(1), high, atol=1e-6)
    seen = make_sample("a", volume, GridSpec(fit=(30, 16, 8), patch=(16, 16, 1)))
    assert seen.fov.mean() > 0.99
    assert seen.grid.same(grid)


def test_pictures_of_any_size_come_to_one_size_and_what_is_drawn_there_comes_home():
    for columns, rows in ((100, 60), (61, 83)):
        array = np.random.default_rng(0).normal(100, 5, (columns, rows, 1))
        fov = np.zeros(array.shape, bool)
        fov[10:-10, 5:-8] = True
        picture = Volume(array, np.eye(4), modality="US", fov=fov)
        there = make_sample("a", picture, GridSpec(fit=(64, 48, 1), patch=(64, 48, 1)))
        assert there.image.shape == (64, 48, 1)
        left = np.zeros((64, 48, 1), np.uint8)
        left[:32] = 1
        home = resample_to(Volume(left, there.grid.affine), picture, labels=True)
        inside = np.argwhere(home.array > 0)
        np.testing.assert_allclose(inside.min(0), (10, 5, 0), atol=1)
        np.testing.assert_allclose(inside.max(0), ((columns - 1) / 2, rows - 9, 0), atol=1)


def test_a_label_map_keeps_its_ids_on_a_coarser_grid_with_axes_to_left_posterior_superior():
    ids = np.zeros((8, 12, 10), np.uint16)
    ids[:4], ids[4:, 6:] = 507, 24
    affine = np.diag([1.0, 1, 1, 1])[[0, 2, 1, 3]]  # second axis to superior, third to posterior
    seen = map_sample("a", Volume(ids, affine), GridSpec(spacing_mm=(2, 2, 2), fit=(8, 8, 1), patch=(8, 8, 1)))
    assert seen.image.shape == (4, 5, 6)
    assert set(np.unique(seen.image)) == {0, 24, 507}
    assert (seen.image[:2] == 507).all()
    assert (seen.image[2:, :, 3:] == 24).all()
    own = map_sample("a", Volume(ids, np.eye(4)), GridSpec(fit=(8, 8, 1), patch=(8, 8, 1)))
    np.testing.assert_array_equal(own.image, ids)


def test_labels_come_home_after_a_journey_over_a_finer_grid():
    volume = oblique()
    label = np.zeros(volume.array.shape, np.uint8)
    label[5:12, 6:15, 4:10], label[13:17, 16:20, 4:10] = 1, 7
    there = resample_to(volume.with_array(label), grid_for(volume, (0.75, 1.0, 1.5)), labels=True)
    home = resample_to(there, volume, labels=True)
    assert set(np.unique(there.array)) == {0, 1, 7}
    assert (home.array == label).mean() > 0.999


def test_a_mirrored_volume_is_not_mistaken_for_its_twin():
    volume = oblique()
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (volume.array.shape[0] - 1)
    affine[:3, 0] *= -1
    mirrored = Volume(volume.array[::-1], affine, "1.2.3", "MR")
    np.testing.assert_allclose(resample_to(mirrored, volume).array, volume.array, atol=1e-3)


def test_another_frame_of_reference_is_refused():
    with pytest.raises(
        XmedError, match=r"error\[FRAME_MISMATCH\]: found a volume in frame 1\.2\.3 · expected frame 9\.9"
    ):
        resample_to(oblique(), Grid((4, 4, 4), np.eye(4), "9.9"))


def test_outside_the_volume_there_is_no_field_of_view():
    volume = oblique()
    affine = np.eye(4)
    affine[:3, 3] = (5000, 0, 0)
    moved = resample_to(volume, Grid((4, 4, 4), affine))
    assert not moved.inside.any()
    assert (moved.array == volume.array.min()).all()


def test_normalised_intensities_have_zero_mean_and_unit_variance_inside_the_field_of_view_only():
    random = np.random.default_rng(0)
    array = random.normal(300, 40, (12, 12, 12))
    inside = np.zeros(array.shape, bool)
    inside[2:10, 2:10, 2:10] = True
    array[~inside] = 1e6
    out = normalise(array, inside)
    assert out.dtype == np.float32
    assert abs(out[inside].mean()) < 1e-5
    assert out[inside].std() == pytest.approx(1, abs=1e-4)
    assert (out[~inside] == out[inside].min()).all()


def test_a_window_is_absolute_and_gain_does_not_pass_it():
    array = np.linspace(-1000, 1000, 1000).reshape(10, 10, 10)
    out = normalise(array, np.ones(array.shape, bool), (-160, 240))
    assert (out[array < -160] == out.min()).all()
    assert (out[array > 240] == out.max()).all()


def ball(case="a", shape=(40, 30, 12), spacing=(1, 1, 1), labelled=True) -> Sample:
    points = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"))
    centre = np.array(shape)[:, None, None, None] / 2
    mask = ((points - centre) ** 2).sum(0) < 25
    affine = np.diag([*spacing, 1.0])
    return Sample(
        case,
        mask.astype(np.float32),
        np.ones(shape, bool),
        Grid(shape, affine),
        mask.astype(np.uint8) if labelled else None,
    )


GRID = GridSpec(spacing_mm=(1, 1, 1), patch=(32, 32, 1))
STILL = Augmentation(0, 0, 0, (False, False, False), 0, 0, 0)


def test_a_batch_has_the_shape_the_study_asks_for_and_a_target_batch_has_no_label():
    batch = next(Sampler([ball()], GRID, 5, augmentation_for("MR", ["ball"]), 0))
    assert batch.image.shape == (5, 1, 32, 32)
    assert batch.label.shape == batch.fov.shape == (5, 32, 32)
    assert next(Sampler([ball(labelled=False)], GRID, 5, STILL, 0)).label is None


def test_neighbouring_slices_become_channels():
    grid = GridSpec(spacing_mm=(1, 1, 1), patch=(32, 32, 1), context=2)
    assert next(Sampler([ball()], grid, 3, STILL, 0)).image.shape == (3, 5, 32, 32)


def test_a_patch_thicker_than_one_voxel_is_three_dimensional():
    grid = GridSpec(spacing_mm=(1, 1, 1), patch=(16, 16, 8))
    batch = next(Sampler([ball()], grid, 2, augmentation_for("US", ["ball"]), 0))
    assert batch.image.shape == (2, 1, 16, 16, 8)
    assert batch.label.shape == (2, 16, 16, 8)


@pytest.mark.parametrize("patch", [(32, 32, 1), (24, 16, 8)])
def test_label_and_image_stay_together_under_every_augmentation(patch):
    grid = GridSpec(spacing_mm=(1, 1, 1), patch=patch)
    moving = Augmentation(0.5, 0.2, 0.15, (True, True, True), 0, 0, 0)
    batch = next(Sampler([ball()], grid, 16, moving, 0, foreground=1.0))
    image, label = batch.image[:, 0] > 0.5, batch.label == 1
    assert 2 * (image & label).sum() / (image.sum() + label.sum()) > 0.97


def test_without_augmentation_a_patch_is_the_volume_itself():
    source = ball()
    image = np.random.default_rng(0).normal(size=source.image.shape).astype(np.float32)
    source = Sample("a", image, source.fov, source.grid, source.label)
    patch = next(Sampler([source], GRID, 1, STILL, 3, foreground=1.0)).image[0, 0].numpy()
    found = [
        (np.abs(image[i : i + 32, :, k] - patch[:, 1:-1]).max() < 1e-4)
        for k in range(image.shape[2])
        for i in range(image.shape[0] - 31)
    ]
    assert sum(found) == 1


def test_the_same_seed_draws_the_same_patches_and_a_restored_sampler_goes_on_where_it_was():
    one, two = (Sampler([ball()], GRID, 4, augmentation_for("MR", ["ball"]), 7) for _ in range(2))
    assert torch.equal(next(one).image, next(two).image)
    state = one.state()
    expected = next(one).image
    one.restore(state)
    assert torch.equal(next(one).image, expected)


def test_nothing_is_mirrored_where_a_structures_name_tells_left_from_right_and_sound_never_rises():
    assert augmentation_for("MR", ["kidney_left"]).flips[0] is False
    assert augmentation_for("MR", ["Right kidney"]).flips[0] is False
    assert augmentation_for("MR", ["copyright"]).flips[0] is True
    assert augmentation_for("US", ["prostate"]).flips[1] is False


def test_a_case_becomes_a_sample_on_the_studys_grid():
    volume = oblique()
    label = volume.with_array((volume.array > volume.array.mean()).astype(np.uint8))
    seen = make_sample("case", volume, GridSpec(spacing_mm=(3, 3, 3), patch=(16, 16, 1)), None, label)
    assert seen.spacing == pytest.approx((3, 3, 3))
    assert seen.label.shape == seen.image.shape == seen.fov.shape == seen.grid.shape
    assert seen.image[seen.label == 1].mean() > seen.image[seen.label == 0].mean()


@pytest.mark.parametrize(
    ("patch", "shape"), [((64, 64, 1), (32, 28, 9)), ((64, 64, 64), (32, 28, 18)), ((16, 16, 1), (16, 14, 9))]
)
def test_a_small_volume_is_enlarged_half_the_way_to_the_patch_where_it_lies(patch, shape):
    volume = oblique((16, 14, 9))
    fov = np.ones(volume.array.shape, bool)
    seen = Sample("x", volume.array, fov, volume.grid, fov.astype(np.uint8))
    larger = enlarge(seen, GridSpec(spacing_mm=(1.5, 2, 3), patch=patch))  # 64 / 16 is 4, half the way is 2
    assert larger.image.shape == shape
    assert larger.fov.shape == larger.image.shape == larger.grid.shape
    assert larger.label is None
    edges = lambda grid: grid.points(np.array([[-0.5] * 3, np.array(grid.shape) - 0.5]))  # noqa: E731
    np.testing.assert_allclose(edges(larger.grid), edges(seen.grid), atol=1e-6)
    assert larger.fov.all()
    inside = larger.grid.points(np.argwhere(larger.fov)[len(larger.fov) :]) @ (0.5, -1.0, 0.25)
    np.testing.assert_allclose(larger.image.ravel()[len(larger.fov) :], inside, atol=1.5)  # edges repeat half a voxel
