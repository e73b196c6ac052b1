"""Renderers draw a labelled source case as the scanner of another modality would show it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
