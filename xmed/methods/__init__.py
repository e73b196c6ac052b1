"""Adaptation methods by name. Listing them and reading their facts does not load torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
