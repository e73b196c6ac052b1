"""Scenes: pictures drawn from label maps alone, where a study has no source images to render.

A scene is one file with a function `draw(source, target, random) -> (image, label)`. source: a Sample whose image is
the dense label map, ids as float32, and whose label holds the study's structures. target: an unlabelled Sample, of
which a scene takes the shape and the field of view. image: float32, raw display intensities; label: uint8, the study's
values, 0 outside the field of view; both of the target's shape (i lateral, j depth, k = 1 for pictures).
The folder is the registry, as for methods and renderers.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import numpy as np

from xmed.errors import XmedError
from xmed.prepare import Sample

Draw = Callable[[Sample, Sample, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def scenes() -> list[str]:
    """Every file of this folder that draws."""
    found = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [name for name in found if hasattr(importlib.import_module(f"{__name__}.{name}"), "draw")]


def scene(name: str) -> Draw:
    """A scene's `draw` by the name of its file. Raises XmedError SPEC_INVALID for an unknown one."""
    if name not in scenes():
        raise XmedError("SPEC_INVALID", f"no scene '{name}'", f"one of {', '.join(scenes())}")
    return importlib.import_module(f"{__name__}.{name}").draw


__all__ = ["Draw", "scene", "scenes"]
