"""What one arm of a study learns from, and what its model must know of its input and its output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from xmed.rendering.synthesise import pictures_as_source, renderings_as_target
from xmed.spec import GridSpec, MethodSpec, Study

SCENES_MEASURED, LIKENESSES = 40, 300
"""Number of drawn cases whose volumes are measured, and number of plain pictures that are drawn, where a scene draws
the source.
"""


@dataclass(frozen=True)
class Data:
    """What one arm learns from.

    Attributes:
        study: The study.
        source: Cohort of the source.
        target: Cohort of the target.
        labelled_from: Cohort of `labelled`: the source, or the target where the method is the supervised upper bound.
        labelled: Labelled training samples.
        unlabelled: Training samples of the target without labels.
        few: Labelled training samples of the target, for methods that use a few; else empty.
    """

    study: Study
    source: Cohort
    target: Cohort
    labelled_from: Cohort
    labelled: list[Sample]
    unlabelled: list[Sample]
    few: list[Sample]

    @classmethod
    def of(cls, study: Study, spec: MethodSpec, home: Path) -> Data:
        """Load the data of one arm from the store below `home`."""
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
        """Return the study's grid."""
        return self.study.grid

    @property
    def batch(self) -> int:
        """Return the number of patches in a batch."""
        return self.study.budget.batch

    @property
    def window(self) -> tuple[float, float] | None:
        """Return the range to which raw intensities of the target are clipped, or None."""
        return window_of(self.target.spec.modality, self.target.spec.window)

    @property
    def held_out(self) -> list[Sample]:
        """Return labelled source cases that no training saw."""
        if not self.source.split("select") or self.labelled_from is self.target:
            return []
        return load_samples(self.source, self.study, ["select"], labelled=True)

    @property
    def judges(self) -> list[Sample]:
        """Return labelled source cases on which finished models are compared: held out where there are any."""
        return self.held_out or self.labelled

    @property
    def seen_by_model(self) -> dict[str, Any]:
        """Return the arguments of `Model` that describe its input and its output."""
        return {
            "grid": self.grid,
            "modality": self.target.spec.modality,
            "window": self.window,
            "structures": self.target.spec.label_table.select(self.study.structures),
            "largest_component": self.study.task.largest_component,
            "mirrors": self.study.mirroring,
        }

    def augmentation(self, cohort: Cohort) -> Augmentation:
        """Return the augmentation of a cohort's modality."""
        return augmentation_for(cohort.spec.modality, self.study.structures)

    @property
    def scene(self) -> str | None:
        """Return the name of the scene that draws the labelled cases, where they are label maps of the source."""
        return None if self.labelled_from is self.target else self.source.spec.scene

    @property
    def posed(self) -> bool:
        """Return whether positions of structures in the field of view are invented: by a scene, or for a probe."""
        modalities = {self.source.spec.modality, self.target.spec.modality}
        return self.scene is not None or not PROBE_MODALITIES.isdisjoint(modalities)

    @property
    def images(self) -> bool:
        """Return whether the labelled cases have images."""
        return self.labelled_from.spec.layout.image is not None

    def likenesses(self, seed: int) -> Iterator[Sample]:
        """Draw plain pictures of a source that is label maps alone.

        Args:
            seed: Determines the pictures.

        Returns:
            The pictures, drawn when they are asked for.

        Raises:
            XmedError: METHOD_NEEDS where no scene draws the source.
        """
        if self.scene is None:
            what = f"{self.source.spec.name}, label maps without images"
            raise XmedError("METHOD_NEEDS", what, "source images, or `scene` in its spec", "see xmed/rendering/scenes")
        return pictures_as_source(
            LIKENESSES, self.labelled, self.unlabelled, self.scene, np.random.default_rng([seed, 17])
        )

    def source_ml(self) -> list[list[float]]:
        """Return for each structure its volumes in ml in the labelled cases, or in those that a scene draws."""
        cases: Iterable[Sample] = self.labelled
        values = range(1, len(self.study.structures) + 1)
        if self.scene is not None:
            look = self.target.spec.modality, self.window, np.random.default_rng(0), self.scene
            cases = renderings_as_target(SCENES_MEASURED, self.labelled, self.unlabelled, *look)
        return [[float((s.reference == v).sum()) * s.grid.voxel_ml for s in cases] for v in values]
