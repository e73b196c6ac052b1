"""Compare predictions with reference segmentations: one row per case and structure, on the scanner's own grid."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
