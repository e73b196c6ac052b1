"""Comparison: how several methods did on one study: how good each is, and how certain that is."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
