"""What is learned. A method takes losses and pseudo-labels from its task, and does not depend on which task it is."""

from xmed.tasks.segmentation import Segmentation, largest_components, one_component

__all__ = ["Segmentation", "largest_components", "one_component"]
