"""Renderers draw a labelled source case as the scanner of another modality would show it."""

from xmed.rendering.find_renderer import Renderer, renderer, renderers
from xmed.rendering.labelled_anatomy import LabelledAnatomy

__all__ = ["LabelledAnatomy", "Renderer", "renderer", "renderers"]
