"""Arm data: what one arm of a study learns from, and what its model must know of its input and its output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xmed import methods
from xmed.cohort import Cohort, load_cohort
from xmed.errors import XmedError
from xmed.prepare import Augmentation, Sample, augmentation_for, window_of
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.prepare.study_samples import load_samples
from xmed.rendering.synthesise import imitations, likenesses
from xmed.spec import GridSpec, MethodSpec, Study

SCENES_MEASURED, LIKENESSES = 40, 300


@dataclass(frozen=True)
class Data:
    """What one arm learns from. labelled: of the source, or of the target where the method is the ceiling."""

    study: Study
    source: Cohort
    target: Cohort
    labelled_from: Cohort
    labelled: list[Sample]
    unlabelled: list[Sample]
    few: list[Sample]

    @classmethod
    def of(cls, study: Study, spec: MethodSpec, home: Path) -> Data:
        source, target = load_cohort(study.source, home), load_cohort(study.target, home)
        kind = "none" if spec.name in methods.COMPOSITIONS else methods.find(spec.name).target_labels
        labelled_from = target if kind == "all" else source
        few = load_samples(target, study, ["train"], labelled=True) if kind == "few" else []
        labelled = load_samples(labelled_from, study, ["train"], labelled=True)
        return cls(
            study, source, target, labelled_from, labelled, load_samples(target, study, ["train"], labelled=False), few
        )

    @property
    def grid(self) -> GridSpec:
        return self.study.grid

    @property
    def batch(self) -> int:
        return self.study.budget.batch

    @property
    def window(self) -> tuple[float, float] | None:
        return window_of(self.target.spec.modality, self.target.spec.window)

    @property
    def held_out(self) -> list[Sample]:
        """Labelled source cases that no training saw."""
        if not self.source.split("select") or self.labelled_from is self.target:
            return []
        return load_samples(self.source, self.study, ["select"], labelled=True)

    @property
    def judges(self) -> list[Sample]:
        """Labelled source cases that finished models are compared on: held out where there are any."""
        return self.held_out or self.labelled

    @property
    def seen_by_model(self) -> dict[str, Any]:
        """What a Model must know of its input and of its output."""
        return {
            "grid": self.grid,
            "modality": self.target.spec.modality,
            "window": self.window,
            "structures": self.target.spec.label_table.select(self.study.structures),
            "largest_component": self.study.task.largest_component,
        }

    def augmentation(self, cohort: Cohort) -> Augmentation:
        return augmentation_for(cohort.spec.modality, self.study.structures)

    @property
    def scene(self) -> str | None:
        """What draws the labelled cases, where they are label maps of the source."""
        return None if self.labelled_from is self.target else self.source.spec.scene

    @property
    def posed(self) -> bool:
        """Whether it is invented where structures lie in a target's field of view: by a scene, or for a probe."""
        modalities = {self.source.spec.modality, self.target.spec.modality}
        return self.scene is not None or not PROBE_MODALITIES.isdisjoint(modalities)

    @property
    def images(self) -> bool:
        """Whether the labelled cases have images."""
        return self.labelled_from.spec.layout.image is not None

    def likenesses(self, seed: int) -> list[Sample]:
        """Plain pictures of a source that is label maps alone. Raises XmedError METHOD_NEEDS where nothing draws it."""
        if self.scene is None:
            what = f"{self.source.spec.name}, label maps without images"
            raise XmedError("METHOD_NEEDS", what, "source images, or `scene` in its spec", "see xmed/appearance/scenes")
        return likenesses(LIKENESSES, self.labelled, self.unlabelled, self.scene, np.random.default_rng([seed, 17]))

    def source_ml(self) -> list[list[float]]:
        """Per structure, the volumes (ml) that the labelled cases have; in a scene, those that it draws."""
        known, values = self.labelled, range(1, len(self.study.structures) + 1)
        if self.scene is not None:
            asked = self.target.spec.modality, self.window, np.random.default_rng(0), self.scene
            known = imitations(SCENES_MEASURED, self.labelled, self.unlabelled, *asked)
        return [[float((s.truth == v).sum()) * s.grid.voxel_ml for s in known] for v in values]
