"""Trivial: what needs no learning: a threshold, and where the structure usually is. Every table shows them.

Each baseline is a family of rules, and a structure's row is that of the rule that does best on the test cases, chosen
in hindsight with their labels. That flatters the baseline, never the method it is compared with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from xmed import metrics
from xmed.cohort import Case, Cohort
from xmed.domain import samples, truth
from xmed.prepare import Sample, onto, sample, window_of
from xmed.run import TRIVIAL_ARMS
from xmed.spec import Study
from xmed.tasks import largest_components
from xmed.volume import Volume

ATLAS = 48
"""Voxels per edge of the frame in which source masks are averaged: the field of view's box, whatever its size."""


@dataclass(frozen=True)
class Baselines:
    """Every rule of the trivial arms, and of each family the one that does best on the test cases (see py)."""

    study: Study
    target: Cohort
    atlases: dict[int, tuple[np.ndarray, float]]
    best: dict[tuple[str, int], str]

    @classmethod
    def of(cls, study: Study, source: Cohort, target: Cohort, cases: Sequence[Case]) -> Baselines:
        values = range(1, len(study.structures) + 1)
        all_rules = cls(study, target, atlases(samples(source, study, ["train", "select"], labelled=True), values), {})
        scores: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for case in cases:
            volume, reference = target.image(case), truth(target, case, study).array
            for arm, value, rule, label in all_rules.of_case(case, volume):
                score = metrics.dice(label == value, reference == value, volume.spacing)
                scores[arm, value][rule].append(score or 0.0)
        best = {key: max(rules, key=lambda rule: float(np.mean(rules[rule]))) for key, rules in scores.items()}
        return replace(all_rules, best=best)

    def of_case(self, case: Case, volume: Volume) -> Iterator[tuple[str, int, str, np.ndarray]]:
        """(arm, value, rule, label map on the native grid) of the best rules, or of all where none is known yet."""
        spec = self.target.spec
        seen = sample(case.id, volume, self.study.grid, window_of(spec.modality, spec.window))
        for value, (atlas, share) in self.atlases.items():
            families = thresholds(seen, value, share), positions(seen, value, atlas, share)
            for arm, family in zip(TRIVIAL_ARMS, families):
                for rule, label in family:
                    if not self.best or self.best[arm, value] == rule:
                        home = onto(Volume(label, seen.grid.affine, volume.frame), volume, labels=True)
                        yield arm, value, rule, home.array


def thresholds(seen: Sample, value: int, share: float) -> Iterator[tuple[str, np.ndarray]]:
    """(rule, label map) of each way to find one structure by intensity: bright or dark, by Otsu or by expected size.

    share: of the field of view that the structure takes in the source.
    """
    inside = seen.image[seen.fov]
    smooth = ndimage.gaussian_filter(seen.image, 0.7)
    cuts = {"otsu": (threshold_otsu(inside),) * 2, "size": tuple(np.quantile(smooth[seen.fov], (1 - share, share)))}
    for name, (above, below) in cuts.items():
        image = seen.image if name == "otsu" else smooth
        for way, mask in (("bright", image > above), ("dark", image < below)):
            yield f"{name}, {way}, largest component", largest_components((mask & seen.fov).astype(np.uint8)) * value


def positions(seen: Sample, value: int, atlas: np.ndarray, share: float) -> Iterator[tuple[str, np.ndarray]]:
    """(rule, label map) of each way to place the mean source mask into the field of view's bounding box."""
    low, high = _box(seen.fov)
    placed = np.zeros(seen.image.shape, dtype=np.float32)
    box = tuple(slice(a, b) for a, b in zip(low, high))
    placed[box] = _resize(atlas, tuple(high - low))
    placed[~seen.fov] = 0
    cuts = {"mean mask > 0.5": 0.5, "mean mask, expected size": float(np.quantile(placed[seen.fov], 1 - share))}
    for name, cut in cuts.items():
        yield name, (placed > max(cut, 1e-6)).astype(np.uint8) * value


def atlases(source: Sequence[Sample], values: Sequence[int]) -> dict[int, tuple[np.ndarray, float]]:
    """Per value: the mean source mask in its field of view's box (ATLAS³) and the mean share of the field it takes."""
    out = {}
    for value in values:
        masks, shares = [], []
        for s in source:
            low, high = _box(s.fov)
            box = tuple(slice(a, b) for a, b in zip(low, high))
            mask = s.truth == value
            masks.append(_resize(mask[box].astype(np.float32), (ATLAS,) * 3))
            shares.append(mask.sum() / s.fov.sum())
        out[value] = (np.mean(masks, axis=0), float(np.mean(shares)))
    return out


def _box(fov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = np.argwhere(fov)
    return found.min(0), found.max(0) + 1


def _resize(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Linear resampling of a box to another number of voxels, edges on edges."""
    ratio = np.array(array.shape) / np.array(shape)
    return ndimage.affine_transform(array, ratio, (ratio - 1) / 2, shape, order=1, mode="nearest")
