"""Deidentify: writes copies of images without identity, built from permitted attributes, with keyed pseudonyms."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
