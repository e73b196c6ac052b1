"""Baselines that need no learning: a threshold, and where the structure usually is. They stand in every table.

Each baseline is a family of rules. The row of a structure is that of the rule that does best on the test cases, chosen
in hindsight with their labels. This favours the baseline, never the method that is compared with it.
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
from xmed.rendering.synthesise import renderings_as_target
from xmed.run import TRIVIAL_ARMS
from xmed.spec import Study
from xmed.tasks.location_prior import MeanMask
from xmed.tasks.trivial_masks import position_masks, threshold_masks
from xmed.volume import Volume

SCENES = 100
"""Number of drawn cases that stand for the source where it is label maps alone."""


@dataclass(frozen=True)
class Baselines:
    """The rules of the trivial arms.

    Attributes:
        study: The study.
        target: Cohort of the target.
        usual: Label value → where the structure lies in labelled source cases.
        best: (arm, label value) → the rule that does best on the test cases; empty before it is chosen.
    """

    study: Study
    target: Cohort
    usual: dict[int, MeanMask]
    best: dict[tuple[str, int], str]

    @classmethod
    def of(cls, study: Study, source: Cohort, target: Cohort, cases: Sequence[Case]) -> Baselines:
        """Choose the best rules on the given test cases."""
        values = range(1, len(study.structures) + 1)
        all_rules = cls(study, target, mean_masks(labelled_source_cases(study, source, target), values), {})
        scores: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for case in cases:
            volume, reference = target.image(case), reference_labels(target, case, study).array
            for arm, value, rule, label in all_rules.of_case(case, volume):
                score = metrics.dice(label == value, reference == value, volume.spacing)
                scores[arm, value][rule].append(score or 0.0)
        best = {key: max(rules, key=lambda rule: float(np.mean(rules[rule]))) for key, rules in scores.items()}
        return replace(all_rules, best=best)

    def of_case(self, case: Case, volume: Volume) -> Iterator[tuple[str, int, str, np.ndarray]]:
        """Yield (arm, value, rule, native label map) of the best rules, or of all rules before they are chosen."""
        spec = self.target.spec
        seen = make_sample(case.id, volume, self.study.grid, window_of(spec.modality, spec.window))
        for value, usually in self.usual.items():
            families = threshold_masks(seen, value, usually.share), position_masks(seen, value, usually)
            for arm, family in zip(TRIVIAL_ARMS, families):
                for rule, label in family:
                    if not self.best or self.best[arm, value] == rule:
                        home = resample_to(Volume(label, seen.grid.affine, volume.frame), volume, labels=True)
                        yield arm, value, rule, home.array


def labelled_source_cases(study: Study, source: Cohort, target: Cohort) -> list[Sample]:
    """Return labelled source cases; where they are label maps, SCENES cases drawn from them."""
    labelled = load_samples(source, study, ["train", "select"], labelled=True)
    if source.spec.scene is None:
        return labelled
    window = window_of(target.spec.modality, target.spec.window)
    unlabelled = load_samples(target, study, ["train"], labelled=False)
    random = np.random.default_rng(0)
    look = target.spec.modality, window, random, source.spec.scene
    return list(renderings_as_target(SCENES, labelled, unlabelled, *look))


def mean_masks(source: Sequence[Sample], values: Sequence[int]) -> dict[int, MeanMask]:
    """Return for each label value where and how large the structure is in labelled cases."""
    return {v: MeanMask.of((s.reference == v for s in source), (s.fov for s in source)) for v in values}
