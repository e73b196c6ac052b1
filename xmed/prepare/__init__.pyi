from .augmentation import Augmentation as Augmentation, augmentation_for as augmentation_for
from .geometry import (
    acquisition_axes as acquisition_axes,
    fit_grid as fit_grid,
    grid_for as grid_for,
    onto as onto,
    orthogonal_grid as orthogonal_grid,
    resample_to as resample_to,
)
from .intensity import normalise as normalise, window_of as window_of
from .patches import Batches as Batches, Sampler as Sampler, SamplerState as SamplerState
from .sample import Sample as Sample, enlarge as enlarge, make_sample as make_sample, map_sample as map_sample
