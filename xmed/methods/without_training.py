"""What stands beside the methods without a training of its own: trivial baselines, and compositions of trained arms."""

from __future__ import annotations

from dataclasses import dataclass

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
"""Arm → (what it does, citation) of the baselines that learn nothing."""


@dataclass(frozen=True)
class Composition:
    """A model that is made of the finished trainings of several methods.

    Attributes:
        does: One line for `xmed methods`.
        cite: Citation.
        of: Names of the methods it is made of, unless a study names others under `of`.
        first: Names of methods that must be trained too, whatever `of` says.
    """

    does: str
    cite: str
    of: tuple[str, ...]
    first: tuple[str, ...] = ()


COMPOSITIONS = {
    "auto": Composition(
        "The one of several methods that the label-free validators rank first; source-only when none is better.",
        "xmed; validators after Musgrave et al., arXiv:2208.07360; Valindria et al., TMI 2017, arXiv:1702.03407",
        ("bridge", "gin", "mean_teacher"),
        first=("source_only",),
    ),
    "ensemble": Composition(
        "Mean of the probabilities of several methods' networks.",
        "Lakshminarayanan et al., Simple and scalable predictive uncertainty, NeurIPS 2017, arXiv:1612.01474",
        ("bridge", "gin"),
    ),
}
"""Name of a composition → what it is made of."""
