"""Prefetch: batches are made in the background while the training step before them runs."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from xmed.batch import Batch
from xmed.prepare import Sampler, SamplerState
from xmed.spec import GridSpec

AHEAD = 2
"""Batches that are made before they are asked for."""
MOST_THREADS = 8
"""Threads that make the patches of one batch. A batch has 2 to 12 patches."""


@dataclass
class Prefetched:
    """The batches of a sampler, made in the background, in the same order and with the same values.

    Threads suffice: the time goes into PyTorch and Blosc2, which work outside of Python's global lock. So no process
    and no shared memory can be left behind.

    Attributes:
        sampler: The sampler. Nothing else may draw from it meanwhile.
        maker: The thread that makes one batch after the other.
        patches: The threads that share the patches of a batch; None where the maker makes them alone.
        waited_s: Seconds for which the training waited for batches.
    """

    sampler: Sampler
    maker: ThreadPoolExecutor
    patches: ThreadPoolExecutor | None
    waited_s: float = 0.0
    _coming: deque[Future[tuple[Batch, SamplerState]]] = field(default_factory=deque)
    _state: SamplerState | None = None

    @property
    def spec(self) -> GridSpec:
        """Patch size, spacing and number of neighbouring slices."""
        return self.sampler.spec

    def __next__(self) -> Batch:
        """Return the next batch, and begin to make a later one."""
        while len(self._coming) <= AHEAD:
            self._coming.append(self.maker.submit(self._make))
        began = time.perf_counter()
        batch, self._state = self._coming.popleft().result()
        self.waited_s += time.perf_counter() - began
        return batch

    def _make(self) -> tuple[Batch, SamplerState]:
        batch = self.sampler.make(self.sampler.draw(), self.patches)
        return batch.pinned() if torch.cuda.is_available() else batch, self.sampler.state()

    def state(self) -> SamplerState:
        """Return the state of the random generators after the last batch that was returned, for `restore`."""
        return self._state or self.sampler.state()

    def restore(self, state: SamplerState) -> None:
        """Continue from a state that `state` returned.

        Args:
            state: The state.

        Raises:
            RuntimeError: A batch was asked for already.
        """
        if self._coming:
            raise RuntimeError("batches are being made: restore before the first one")
        self.sampler.restore(state)
        self._state = None


@contextmanager
def prefetched(*samplers: Sampler, threads: int | None = None) -> Iterator[tuple[Prefetched, ...]]:
    """Make the batches of samplers in the background for the time of a `with` block.

    Args:
        samplers: The samplers. Each has a thread of its own.
        threads: Threads that share the patches of one batch; by default as many as PyTorch may not use itself: none
            where each training has one core.
    """
    before = torch.get_num_threads()
    spare = len(os.sched_getaffinity(0)) - len(samplers) if threads is None else threads
    workers = min(MOST_THREADS, spare) if torch.cuda.is_available() or threads else 0
    pools = [_pool(1) for _ in samplers]
    shared = _pool(workers) if workers > 1 else None
    try:
        yield tuple(Prefetched(sampler, pool, shared) for sampler, pool in zip(samplers, pools))
    finally:
        for pool in [*pools, *([shared] if shared else [])]:
            pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)


def _pool(threads: int) -> ThreadPoolExecutor:
    # PyTorch's number of threads belongs to the thread that asks: a new one would take all cores. What is set here is
    # what threads begin with that start later; `prefetched` sets it back.
    return ThreadPoolExecutor(threads, "xmed-batches", initializer=torch.set_num_threads, initargs=(1,))
