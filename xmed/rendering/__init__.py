"""Renderers draw a labelled source case as the scanner of another modality would show it."""

from xmed.rendering.labelled_anatomy import LabelledAnatomy, Renderer, renderer, renderers

__all__ = ["LabelledAnatomy", "Renderer", "renderer", "renderers"]
