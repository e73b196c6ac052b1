"""Rendering: labelled anatomy as an image that another modality would show.

A renderer is one file with one function `render(anatomy, random)` and the DICOM modalities it speaks for; the folder is
the registry, as for methods. `randomise` speaks for every modality that has no physics of its own here yet.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import numpy as np

from xmed.rendering.labelled_anatomy import Anatomy

Renderer = Callable[[Anatomy, np.random.Generator], np.ndarray]
GENERIC = "randomise"


def renderers() -> dict[str, str]:
    """DICOM modality → name of the file that renders it."""
    found = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        loaded = importlib.import_module(f"xmed.rendering.{module}")
        found.update(dict.fromkeys(getattr(loaded, "MODALITIES", ()), module))
    return found


def renderer(modality: str) -> Renderer:
    """The physics of a DICOM modality, or label-conditioned randomisation where there is none."""
    return importlib.import_module(f"xmed.rendering.{renderers().get(modality, GENERIC)}").render


__all__ = ["Anatomy", "Renderer", "renderer", "renderers"]
