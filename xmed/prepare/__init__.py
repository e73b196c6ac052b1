"""Prepare: resamples a Volume onto the network's grid, normalises its intensities, draws and augments patches."""

from xmed.prepare.augmentation import Augmentation, augmentation_for
from xmed.prepare.geometry import acquisition_axes, fit_grid, grid_for, onto, orthogonal_grid, resample_to
from xmed.prepare.intensity import normalise, window_of
from xmed.prepare.patches import Batches, Sampler, SamplerState
from xmed.prepare.sample import Sample, enlarge, make_sample, map_sample

__all__ = [
    "Augmentation", "Batches", "Sample", "Sampler", "SamplerState", "acquisition_axes", "augmentation_for", "enlarge",
    "fit_grid", "grid_for", "make_sample", "map_sample", "normalise", "onto", "orthogonal_grid", "resample_to",
    "window_of",
]  # fmt: skip
