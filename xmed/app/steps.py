"""How a job calls its steps: directly, or through Prefect, which records each step and may try it again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_outward: set[str] = set()


class Call(Protocol):
    """Calls one step of a job, and returns what it returns."""

    def __call__(self, step: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...


def directly(step: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a step in this process, once."""
    return step(*args, **kwargs)


class StepTimes:
    """Calls steps as another `Call` does, and keeps how long each of them took.

    Attributes:
        seconds: Name of a step → seconds of all its calls.
    """

    def __init__(self, call: Call) -> None:
        self.call, self.seconds = call, dict[str, float]()

    def __call__(self, step: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a step."""
        began = time.monotonic()
        try:
            return self.call(step, *args, **kwargs)
        finally:
            name = step.__name__
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    def log(self) -> None:
        """Log where the time went, the longest first; `--debug` shows it."""
        whole = sum(self.seconds.values())
        longest_first = sorted(self.seconds.items(), key=lambda item: -item[1])
        parts = [f"{name} {seconds:.1f} s ({seconds / whole:.0%})" for name, seconds in longest_first]
        logging.getLogger(__name__).info("where the time went: %s", ", ".join(parts))


def outward(step: Callable[P, R]) -> Callable[P, R]:
    """Mark a step that needs other machines (an archive, a tracking server), so that it may be tried again later.

    All other steps are tried once: they would give the same result again.
    """
    _outward.add(f"{step.__module__}.{step.__qualname__}")
    return step


def is_outward(step: Callable[..., object]) -> bool:
    """Tell whether a step needs other machines.

    Args:
        step: The step.

    Returns:
        Whether `outward` marked it.
    """
    return f"{step.__module__}.{step.__qualname__}" in _outward
