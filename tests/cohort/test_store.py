"""Store: an entry is there whole or not at all, and gives back what was put in."""

import errno
import os

import numpy as np
import pytest

from xmed.cohort.store import Store
from xmed.cohort.stored_entry import narrowest_type
from xmed.errors import XmedError
from xmed.volume import Volume

KEY = "ab" * 32


def volume(dtype="int16", **more):
    array = np.arange(60, dtype=dtype).reshape(3, 4, 5)
    affine = np.array([[0.0, 2, 0, 5], [1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    return Volume(array, affine, **more)


def test_what_is_put_comes_back_with_its_place(home):
    fov = np.arange(60).reshape(3, 4, 5) % 7 > 2
    given = volume(frame="1.2.3", modality="US", fov=fov)
    Store(home).put(KEY, given)
    found = Store(home).get(KEY)
    np.testing.assert_array_equal(found.array, given.array)
    np.testing.assert_array_equal(found.affine, given.affine)
    np.testing.assert_array_equal(found.fov, fov)
    assert (found.array.dtype, found.frame, found.modality) == (np.int16, "1.2.3", "US")


def test_a_volume_is_mapped_and_cannot_be_written_to(home):
    Store(home).put(KEY, volume())
    with pytest.raises(ValueError, match="read-only"):
        Store(home).get(KEY).array[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("bool", "uint8"),
        ("uint8", "uint8"),
        (">i2", "int16"),
        ("int64", "int32"),
        ("uint32", "int32"),
        ("float64", "float32"),
        ("float16", "float32"),
    ],
)
def test_voxels_keep_their_values_in_a_type_no_wider_than_needed(given, kept):
    array = np.array([[[0, 1], [1, 0]]]).astype(given)
    assert narrowest_type(array).dtype == np.dtype(kept)
    np.testing.assert_array_equal(narrowest_type(array), array)


def test_integers_that_no_int32_holds_become_float32():
    assert narrowest_type(np.array([2**40])).dtype == np.float32


def test_a_second_put_changes_nothing(home):
    Store(home).put(KEY, volume())
    before = (Store(home).folder(KEY) / "image.npy").stat().st_ino
    Store(home).put(KEY, volume())
    assert (Store(home).folder(KEY) / "image.npy").stat().st_ino == before
    assert not list(Store(home).volumes.glob(".part-*"))


@pytest.mark.parametrize("name", ["image.npy", "fov.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_entry_is_noticed_and_replaced(home, name, damage):
    given = volume(fov=np.ones((3, 4, 5), bool))
    Store(home).put(KEY, given)
    path = Store(home).folder(KEY) / name
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[:-9] if damage == "cut" else whole[:-3] + bytes([whole[-3] ^ 64]) + whole[-2:])
    assert not Store(home).intact(KEY)
    Store(home).put(KEY, given)
    assert Store(home).intact(KEY)


def test_an_entry_that_is_gone_says_so(home):
    with pytest.raises(
        XmedError, match=r"error\[PATH_NOT_FOUND\]: found store entry abababababab… is gone or damaged .* ingest again"
    ):
        Store(home).get(KEY)


def test_a_write_that_fails_leaves_no_part(home, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(XmedError, match=r"error\[DISK_FULL\]"):
        Store(home).put(KEY, volume())
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_home_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "home").write_text("a file stands where the folder should be")
    with pytest.raises(XmedError, match=r"error\[NOT_WRITABLE\]"):
        Store(tmp_path / "home").put(KEY, volume())


def test_sweeping_removes_only_what_killed_writers_left(home):
    Store(home).put(KEY, volume())
    old, young = Store(home).volumes / ".part-old", Store(home).volumes / ".part-young"
    old.mkdir()
    young.mkdir()
    os.utime(old, (0, 0))
    Store(home).sweep()
    assert (old.exists(), young.exists(), Store(home).intact(KEY)) == (False, True, True)
