"""Prepare: a Volume onto the net's grid, its intensities normalised, its patches drawn and augmented in batches."""

from xmed.prepare.geometry import acquisition_axes, fitted, grid_for, onto, upright
from xmed.prepare.intensity import normalise, window_of
from xmed.prepare.patches import Augmentation, Sampler, augmentation_for
from xmed.prepare.sample import Sample, enlarged, map_sample, sample

__all__ = [
    "Augmentation",
    "Sample",
    "Sampler",
    "acquisition_axes",
    "augmentation_for",
    "enlarged",
    "fitted",
    "grid_for",
    "map_sample",
    "normalise",
    "onto",
    "sample",
    "upright",
    "window_of",
]
