"""Trivial baselines: what needs no learning: a threshold, and where the structure usually is. Every table shows them.

Each baseline is a family of rules, and a structure's row is that of the rule that does best on the test cases, chosen
in hindsight with their labels. That flatters the baseline, never the method it is compared with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xmed import metrics
from xmed.cohort import Case, Cohort
from xmed.prepare import Sample, make_sample, resample_to, window_of
from xmed.prepare.study_samples import load_samples, reference_labels
from xmed.rendering.synthesise import imitations
from xmed.run import TRIVIAL_ARMS
from xmed.spec import Study
from xmed.tasks.location_prior import MeanMask
from xmed.tasks.trivial_masks import positions, thresholds
from xmed.volume import Volume

SCENES = 100
"""Drawn scenes that stand for the source where it is label maps alone."""


@dataclass(frozen=True)
class Baselines:
    """Every rule of the trivial arms, and of each family the one that does best on the test cases (see py)."""

    study: Study
    target: Cohort
    usual: dict[int, MeanMask]
    best: dict[tuple[str, int], str]

    @classmethod
    def of(cls, study: Study, source: Cohort, target: Cohort, cases: Sequence[Case]) -> Baselines:
        values = range(1, len(study.structures) + 1)
        all_rules = cls(study, target, usual(known(study, source, target), values), {})
        scores: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for case in cases:
            volume, reference = target.image(case), reference_labels(target, case, study).array
            for arm, value, rule, label in all_rules.of_case(case, volume):
                score = metrics.dice(label == value, reference == value, volume.spacing)
                scores[arm, value][rule].append(score or 0.0)
        best = {key: max(rules, key=lambda rule: float(np.mean(rules[rule]))) for key, rules in scores.items()}
        return replace(all_rules, best=best)

    def of_case(self, case: Case, volume: Volume) -> Iterator[tuple[str, int, str, np.ndarray]]:
        """(arm, value, rule, label map on the native grid) of the best rules, or of all where none is known yet."""
        spec = self.target.spec
        seen = make_sample(case.id, volume, self.study.grid, window_of(spec.modality, spec.window))
        for value, usually in self.usual.items():
            families = thresholds(seen, value, usually.share), positions(seen, value, usually)
            for arm, family in zip(TRIVIAL_ARMS, families):
                for rule, label in family:
                    if not self.best or self.best[arm, value] == rule:
                        home = resample_to(Volume(label, seen.grid.affine, volume.frame), volume, labels=True)
                        yield arm, value, rule, home.array


def known(study: Study, source: Cohort, target: Cohort) -> list[Sample]:
    """Labelled source cases; where they are label maps that a scene draws from, SCENES of what it draws."""
    labelled = load_samples(source, study, ["train", "select"], labelled=True)
    if source.spec.scene is None:
        return labelled
    window = window_of(target.spec.modality, target.spec.window)
    unlabelled = load_samples(target, study, ["train"], labelled=False)
    random = np.random.default_rng(0)
    return imitations(SCENES, labelled, unlabelled, target.spec.modality, window, random, source.spec.scene)


def usual(source: Sequence[Sample], values: Sequence[int]) -> dict[int, MeanMask]:
    """Per value, where and how large it is in labelled cases."""
    return {v: MeanMask.of([s.truth == v for s in source], [s.fov for s in source]) for v in values}
