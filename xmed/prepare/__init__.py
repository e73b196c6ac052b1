"""Prepare: resamples a Volume onto the network's grid, normalises its intensities, draws and augments patches."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
