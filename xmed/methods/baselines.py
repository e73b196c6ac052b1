"""Baselines: what needs no learning, and stands in every table beside the methods."""

BASELINES = {
    "trivial_threshold": (
        "Bright or dark voxels, by Otsu's threshold or by expected size, the largest component of them.",
        "Otsu, A threshold selection method from gray-level histograms, IEEE Trans. SMC 1979",
    ),
    "trivial_position": (
        "The mean of the source's masks, laid into the field of view; the image is not looked at.",
        "xmed; what a model without eyes reaches where every crop is centred alike",
    ),
}
"""arm -> what it does, and where it comes from."""
