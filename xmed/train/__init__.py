"""The training loop that every method shares, and the arms of a run that go through it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
