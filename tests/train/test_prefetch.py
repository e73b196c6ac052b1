"""Batches that are made in the background are those that would have been made in the loop."""

import threading

import numpy as np
import pytest
import torch

from xmed.prepare import Augmentation, Sample, Sampler
from xmed.spec import GridSpec
from xmed.train.prefetch import prefetched
from xmed.volume import Grid

SPEC = GridSpec(spacing_mm=(1, 1, 1), patch=(16, 16, 8))


def sampler(seed: int = 0) -> Sampler:
    random, shape = np.random.default_rng(seed), (30, 25, 20)
    label = (random.random(shape) < 0.1).astype(np.uint8)
    sample = Sample(
        "a", random.normal(size=shape).astype(np.float32), np.ones(shape, bool), Grid(shape, np.eye(4), ""), label
    )
    return Sampler([sample], SPEC, 3, Augmentation(), seed)


def same(ours, theirs) -> bool:
    return all(torch.equal(getattr(ours, name), getattr(theirs, name)) for name in ("image", "label", "fov"))


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_batches_are_the_same_whatever_the_number_of_threads(threads):
    plain = sampler(0), sampler(1)
    with prefetched(sampler(0), sampler(1), threads=threads) as ready:
        for _ in range(6):
            for ours, theirs in zip(ready, plain):
                assert same(next(ours), next(theirs))


def test_a_state_is_that_after_the_last_batch_that_was_returned():
    plain = sampler()
    with prefetched(sampler()) as (ready,):
        for _ in range(3):
            next(ready)
            next(plain)
        state = ready.state()
    with prefetched(sampler()) as (again,):
        again.restore(state)
        assert same(next(again), next(plain))
        with pytest.raises(RuntimeError, match="before the first"):
            again.restore(state)


def test_no_thread_is_left_after_any_end():
    before = torch.get_num_threads()

    def fail_at_the_second_batch() -> None:
        with prefetched(sampler(), threads=2) as (ready,):
            next(ready)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_at_the_second_batch()
    assert torch.get_num_threads() == before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("xmed-batches")]


def test_what_fails_in_the_background_is_raised_where_the_batch_is_asked_for():
    broken = sampler()
    broken.layers = []
    with prefetched(broken) as (ready,), pytest.raises(ValueError, match=r"high|low"):
        next(ready)
