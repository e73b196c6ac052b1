"""Find a scene by its name. A scene draws pictures from label maps alone, where a study has no source images to render.

A scene is one file of this folder; the folder is the registry. It has a function `draw(source, target, random) ->
(image, label)`:

- `source` is a sample whose image is the dense label map (ids as float32), and whose label holds the study's
structures.
- `target` is an unlabelled sample; the scene takes its shape and its field of view.
- `image` is float32, raw display intensities. `label` is uint8, the study's values, 0 outside the field of view. Both
have the target's shape (i lateral, j depth, k = 1 for pictures).

A file may also have `plain`, with the same signature: the same anatomy as the source's own modality would show it.
Methods that render nothing learn from that. Without it, the drawn structures are painted flat. And it may have
`anatomy(random) -> label map` (uint8, (i, j, k)), where the source's label maps are generated (see `write_label_maps`).
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
"""(source, target, random generator) → (image, label)."""
GenerateLabelMap = Callable[[np.random.Generator], np.ndarray]
"""Random generator → label map."""


def scene_names() -> list[str]:
    """List the scenes.

    Returns:
        The name of every file of this folder that draws, in alphabetical order.
    """
    files = sorted(module.name for module in pkgutil.iter_modules(xmed.rendering.scenes.__path__))
    return [name for name in files if hasattr(importlib.import_module(f"xmed.rendering.scenes.{name}"), "draw")]


def find_scene(name: str) -> DrawScene:
    """Return a scene's `draw` by its name.

    Args:
        name: Name of the scene.

    Returns:
        The function.

    Raises:
        XmedError: SPEC_INVALID for an unknown name.
    """
    draw: DrawScene = _scene_module(name).draw
    return draw


def source_picture(name: str) -> DrawScene:
    """Return the function that draws a scene's anatomy without the target's physics.

    Args:
        name: Name of the scene.

    Returns:
        The function.

    Raises:
        XmedError: SPEC_INVALID for an unknown name.
    """
    return getattr(_scene_module(name), "plain", functools.partial(_flat_picture, _scene_module(name).draw))


def label_map_generator(name: str) -> GenerateLabelMap:
    """Return the function that generates a scene's label maps.

    Args:
        name: Name of the scene.

    Returns:
        The function.

    Raises:
        XmedError: SPEC_INVALID for a scene that draws from given label maps.
    """
    if not hasattr(_scene_module(name), "anatomy"):
        raise XmedError("SPEC_INVALID", f"scene '{name}' invents no label maps", "a scene with a function `anatomy`")
    generate: GenerateLabelMap = _scene_module(name).anatomy
    return generate


def _scene_module(name: str) -> ModuleType:
    if name not in scene_names():
        raise XmedError("SPEC_INVALID", f"no scene '{name}'", f"one of {', '.join(scene_names())}")
    return importlib.import_module(f"xmed.rendering.scenes.{name}")


def _flat_picture(
    draw: DrawScene, source: Sample, target: Sample, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene with each structure in a grey of its own, and noise of a twentieth of the range."""
    _, label = draw(source, target, random)
    grey = label / max(int(label.max()), 1) + 0.05 * random.standard_normal(label.shape)
    return grey.astype(np.float32), label
