"""Random appearance conditioned on labels, for every modality without physics here.

After Billot et al., SynthSeg, Medical Image Analysis 2023: every class draws its own intensities. No dense label map
exists, so the unlabelled rest is divided into classes by source intensity.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from xmed.rendering.labelled_anatomy import LabelledAnatomy, log_uniform


def render(anatomy: LabelledAnatomy, random: np.random.Generator) -> np.ndarray:
    """Draw random intensities for every class of tissue.

    Args:
        anatomy: Labelled anatomy.
        random: Random generator.

    Returns:
        Intensities without unit, float32 (i, j, k).
    """
    smooth = anatomy.smooth(anatomy.image, 1.0)
    edges = np.quantile(smooth, np.sort(random.uniform(0.05, 0.95, int(random.integers(2, 7)))))
    tissue = np.searchsorted(edges, smooth)
    image = random.uniform(0, 1, len(edges) + 1)[tissue]
    image = image + random.uniform(0, 0.15, len(edges) + 1)[tissue] * anatomy.noise(random, log_uniform(random, 3, 20))
    image += random.uniform(-0.3, 0.3) * anatomy.image
    for value in np.unique(anatomy.label[anatomy.label > 0]):
        level = random.uniform(0, 1) + random.uniform(0, 0.2) * anatomy.noise(random, log_uniform(random, 5, 30))
        image += anatomy.smooth(anatomy.label == value, 1.0) * (level - image)
    image *= np.exp(random.uniform(0, 0.4) * anatomy.noise(random, 80.0))
    image = ndimage.gaussian_filter(image, anatomy.voxels(log_uniform(random, 0.5, 4)), truncate=3)
    noise = random.uniform(0, 0.12) * random.standard_normal(anatomy.shape)
    intensities: np.ndarray = (image + noise).astype(np.float32)
    return intensities
