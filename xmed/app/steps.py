"""How a job calls its steps: directly, or through Prefect, which records each step and may try it again."""

from __future__ import annotations

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
