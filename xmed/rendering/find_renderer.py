"""Find the renderer of a modality.

A renderer is one file of this folder with a function `render(anatomy, random)` and a tuple `MODALITIES` of the DICOM
modalities that it draws. The folder is the registry. `randomise` draws every modality that has no physics here yet.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import numpy as np

import xmed.rendering
from xmed.rendering.labelled_anatomy import LabelledAnatomy

Renderer = Callable[[LabelledAnatomy, np.random.Generator], np.ndarray]
"""(anatomy, random generator) → image float32 (i, j, k)."""
GENERIC = "randomise"
"""File of the renderer for modalities without one of their own."""


def renderers() -> dict[str, str]:
    """Return DICOM modality → name of the file that renders it."""
    by_modality = {}
    for name in sorted(m.name for m in pkgutil.iter_modules(xmed.rendering.__path__)):
        module = importlib.import_module(f"xmed.rendering.{name}")
        by_modality.update(dict.fromkeys(getattr(module, "MODALITIES", ()), name))
    return by_modality


def renderer(modality: str) -> Renderer:
    """Return the renderer of a DICOM modality; label-conditioned randomisation where it has none."""
    render: Renderer = importlib.import_module(f"xmed.rendering.{renderers().get(modality, GENERIC)}").render
    return render
