"""Monitor: whether incoming images still resemble those that a model was validated on (drift)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
