"""What is deployed: a network with its card, its folder, its predictions, and its export as a MONAI bundle."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
