"""The cache of prepared volumes: found again, within its limit, and clear when there is no room."""

import os
import time

import numpy as np
import pytest

from xmed.errors import XmedError
from xmed.prepare import Sample, sample_cache
from xmed.prepare.sample_cache import SampleCache, held_within, limit_from_environment
from xmed.prepare.stored_sample import StoredSample, store_sample
from xmed.volume import Grid


def sample(seed: int) -> Sample:
    shape = (40, 40, 10)
    image = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return Sample(f"case {seed}", image, np.ones(shape, bool), Grid(shape, np.eye(4), ""))


def test_what_was_kept_is_found_by_its_inputs(tmp_path):
    cache = SampleCache(tmp_path)
    assert cache.find({"image": "a"}, "x") is None
    kept = cache.keep(sample(1), {"image": "a"})
    found = SampleCache(tmp_path).find({"image": "a"}, "x")
    assert np.array_equal(found.image, kept.image)
    assert found.case == "x"
    assert cache.find({"image": "b"}, "x") is None


def test_other_code_finds_nothing(tmp_path, monkeypatch):
    SampleCache(tmp_path).keep(sample(1), "a")
    monkeypatch.setattr(sample_cache, "code_digest", lambda: "other")
    assert SampleCache(tmp_path).find("a", "x") is None


def test_a_damaged_entry_is_not_found_and_is_replaced(tmp_path):
    cache = SampleCache(tmp_path)
    cache.keep(sample(1), "a")
    (cache.path("a") / "fov.b2nd").write_bytes(b"")
    assert cache.find("a", "x") is None
    cache.keep(sample(1), "a")
    assert np.array_equal(cache.find("a", "x").image, sample(1).image)


def test_the_least_recently_used_entries_go_first(tmp_path):
    cache = SampleCache(tmp_path)
    for name in "abc":
        cache.keep(sample(ord(name)), name)
    day = 24 * 3600
    for name, age in (("a", 2 * day), ("b", 3 * day), ("c", 0)):
        os.utime(cache.path(name), (time.time() - age,) * 2)
    SampleCache(tmp_path, limit_gb=cache.size() / 1e9).keep(sample(4), "d")
    assert [cache.find(name, "x") is not None for name in "abcd"] == [True, False, True, True]


def test_entries_in_use_stay_and_the_error_says_what_to_do(tmp_path):
    cache = SampleCache(tmp_path)
    cache.keep(sample(1), "a")
    with pytest.raises(XmedError, match="XMED_CACHE_GB") as error:
        SampleCache(tmp_path, limit_gb=cache.size() / 1e9).keep(sample(2), "b")
    assert error.value.code == "DISK_FULL"
    assert cache.find("a", "x") is not None
    assert not list(cache.folder.glob(".part*"))


@pytest.mark.parametrize("stated", ["0", "-1", "much", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(monkeypatch, stated):
    monkeypatch.setenv("XMED_CACHE_GB", stated)
    with pytest.raises(XmedError, match="XMED_CACHE_GB"):
        limit_from_environment()


def test_samples_beyond_the_limit_lie_on_the_disk_in_order(tmp_path):
    one = 5 * 40 * 40 * 10
    store = lambda n, s: store_sample(s, tmp_path / str(n))  # noqa: E731
    few = held_within((sample(n) for n in range(3)), store, limit=3 * one)
    assert not any(isinstance(each, StoredSample) for each in few)
    many = held_within((sample(n) for n in range(8)), store, limit=3 * one)
    assert [isinstance(each, StoredSample) for each in many] == [True] * 8
    assert [each.case for each in many] == [f"case {n}" for n in range(8)]
    assert all(np.array_equal(each.image, sample(n).image) for n, each in enumerate(many))
