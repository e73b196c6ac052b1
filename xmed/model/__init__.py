"""What is deployed: a network with its card, its folder, its predictions, and its export as a MONAI bundle."""

from xmed.model.deployed import Model

__all__ = ["Model"]
