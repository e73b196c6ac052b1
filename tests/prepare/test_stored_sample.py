"""A sample on the disk gives the same arrays and patches as in memory."""

import numpy as np
import pytest
import torch

from xmed.prepare import Augmentation, Sample, Sampler
from xmed.prepare.stored_sample import StoredSample, is_complete, store_sample, write_sample
from xmed.spec import GridSpec
from xmed.volume import Grid


def sample(shape=(70, 65, 20), labelled=True, seed=0) -> Sample:
    random = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    label[10:20, 10:30, : shape[2] // 2 + 1] = 1
    label[40:50, 5:9, :1] = 3
    fov = random.random(shape) < 0.9
    grid = Grid(shape, np.diag([1.0, 1.5, 2.0, 1.0]), "1.2.3")
    return Sample(
        "a case", random.normal(size=shape).astype(np.float32), fov, grid, label if labelled else None, {1: True}
    )


@pytest.mark.parametrize("shape", [(70, 65, 20), (33, 17, 1)])
@pytest.mark.parametrize("labelled", [True, False])
def test_arrays_come_back(tmp_path, shape, labelled):
    given = sample(shape, labelled)
    stored = store_sample(given, tmp_path / "a")
    assert (stored.case, stored.fluid, stored.spacing) == (given.case, given.fluid, given.spacing)
    assert stored.grid.same(given.grid)
    assert stored.grid.frame == "1.2.3"
    assert stored.darkest == given.darkest
    for ours, theirs in zip((stored.image, stored.fov, stored.label), (given.image, given.fov, given.label)):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)
    if not labelled:
        with pytest.raises(ValueError, match="no label"):
            _ = stored.reference


@pytest.mark.parametrize("patch", [(16, 16, 8), (16, 16, 1)])
def test_patches_are_those_of_memory(tmp_path, patch):
    given = [sample(seed=0), sample((40, 41, 9), seed=1)]
    stored = [store_sample(each, tmp_path / str(n)) for n, each in enumerate(given)]
    spec = GridSpec(spacing_mm=(1, 1.5, 2), patch=patch)
    in_memory, on_disk = (Sampler(s, spec, 5, Augmentation(), seed=3) for s in (given, stored))
    for _ in range(4):
        ours, theirs = next(on_disk), next(in_memory)
        assert torch.equal(ours.image, theirs.image)
        assert torch.equal(ours.label, theirs.label)
        assert torch.equal(ours.fov, theirs.fov)


def test_a_sample_without_a_field_of_view_is_drawn_from(tmp_path):
    given = sample((20, 20, 20), labelled=False)
    empty = Sample("b", given.image, np.zeros_like(given.fov), given.grid)
    stored = store_sample(empty, tmp_path / "b")
    batch = next(Sampler([stored], GridSpec(spacing_mm=(1, 1, 1), patch=(8, 8, 8)), 2, Augmentation(), seed=0))
    assert not batch.fov.any()


def test_a_changed_or_unfinished_folder_is_not_complete(tmp_path):
    folder = tmp_path / "a"
    write_sample(sample(), folder)
    assert is_complete(folder)
    image = folder / "image.b2nd"
    whole = image.read_bytes()
    image.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert not is_complete(folder)
    image.write_bytes(whole)
    assert is_complete(folder)
    (folder / "sample.json").write_text("{")
    assert not is_complete(folder)
    (folder / "sample.json").unlink()
    assert not is_complete(folder)


def test_the_folder_names_no_case(tmp_path):
    write_sample(sample(), tmp_path / "a")
    assert b"a case" not in b"".join(path.read_bytes() for path in (tmp_path / "a").iterdir())


def test_storing_again_replaces(tmp_path):
    store_sample(sample(seed=1), tmp_path / "a")
    again = store_sample(sample(seed=2, labelled=False), tmp_path / "a")
    assert again.label is None
    assert isinstance(again, StoredSample)
    assert not (tmp_path / "a" / "label.b2nd").exists()
    assert np.array_equal(again.image, sample(seed=2).image)
