"""Scenes: pictures drawn from label maps alone, where a study has no source images to render.

A scene is one file with a function `draw(source, target, random) -> (image, label)`. source: a Sample whose image is
the dense label map, ids as float32, and whose label holds the study's structures. target: an unlabelled Sample, of
which a scene takes the shape and the field of view. image: float32, raw display intensities; label: uint8, the study's
values, 0 outside the field of view; both of the target's shape (i lateral, j depth, k = 1 for pictures).
A file may also have `plain`, of the same signature: the same anatomy as the source's own modality would show it. That
is what a method learns from that renders nothing; without it, the drawn structures are painted flat. And it may have
`anatomy(random) -> label map` (uint8, (i, j, k)), where the source's label maps are its own invention (see write).
The folder is the registry, as for methods and renderers.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType

import numpy as np

import xmed.rendering.scenes
from xmed.errors import XmedError
from xmed.prepare import Sample

DrawScene = Callable[[Sample, Sample, np.random.Generator], tuple[np.ndarray, np.ndarray]]
GenerateLabelMap = Callable[[np.random.Generator], np.ndarray]


def scene_names() -> list[str]:
    """Every file of this folder that draws."""
    found = sorted(module.name for module in pkgutil.iter_modules(xmed.rendering.scenes.__path__))
    return [name for name in found if hasattr(importlib.import_module(f"xmed.rendering.scenes.{name}"), "draw")]


def find_scene(name: str) -> DrawScene:
    """A scene's `draw` by the name of its file. Raises XmedError SPEC_INVALID for an unknown one."""
    return _scene_module(name).draw


def source_picture(name: str) -> DrawScene:
    """A scene's anatomy without the target's physics. Raises XmedError SPEC_INVALID for an unknown one."""
    return getattr(_scene_module(name), "plain", functools.partial(_flat_picture, _scene_module(name).draw))


def label_map_generator(name: str) -> GenerateLabelMap:
    """What invents a scene's label maps. Raises XmedError SPEC_INVALID for a scene that draws from given ones."""
    if not hasattr(_scene_module(name), "anatomy"):
        raise XmedError("SPEC_INVALID", f"scene '{name}' invents no label maps", "a scene with a function `anatomy`")
    return _scene_module(name).anatomy


def _scene_module(name: str) -> ModuleType:
    if name not in scene_names():
        raise XmedError("SPEC_INVALID", f"no scene '{name}'", f"one of {', '.join(scene_names())}")
    return importlib.import_module(f"xmed.rendering.scenes.{name}")


def _flat_picture(
    draw: DrawScene, source: Sample, target: Sample, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What a scene draws, each structure in a grey of its own over a noise of a twentieth of the range."""
    _, label = draw(source, target, random)
    grey = label / max(int(label.max()), 1) + 0.05 * random.standard_normal(label.shape)
    return grey.astype(np.float32), label
