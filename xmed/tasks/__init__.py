"""Tasks: what is learned. A method asks its task for losses and pseudo-labels and never asks which task it is."""

from xmed.tasks.segmentation import Segmentation, largest_components, one_component

__all__ = ["Segmentation", "largest_components", "one_component"]
