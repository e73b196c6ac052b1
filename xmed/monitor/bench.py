"""Measures the images of a cohort with one model, as they are and disturbed on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xmed.cohort import Case, Cohort, describe_cohort
from xmed.errors import XmedError
from xmed.evaluate.perturbations import DISTURBANCES
from xmed.files.progress import Progress
from xmed.model.deployed import Model
from xmed.monitor.measure import measured
from xmed.records.drift import Measurements

DISTURBED = ("noise", "gain", "resolution")
"""What a scanner may begin to do differently; each at the middle one of its three levels."""


@dataclass(frozen=True)
class Bench:
    """A model and the cohort that it measures.

    Attributes:
        model: The model.
        cohort: The cohort.
        credible: Whether headers give true voxel sizes.
        progress: Reports each measured case.
    """

    model: Model
    cohort: Cohort
    credible: bool
    progress: Progress | None = None

    @cached_property
    def facts(self) -> dict[str, dict[str, str]]:
        """Case id → how its image was acquired, from the DICOM header."""
        return {case.case: case.facts for case in describe_cohort(self.cohort).cases}

    def measure(self, cases: Sequence[Case]) -> tuple[dict[str, Measurements], dict[str, XmedError]]:
        """Measure every case that the model can read.

        Args:
            cases: Cases of the cohort.

        Returns:
            Case id → its measurements, and case id → error of each case that cannot be read.
        """
        rows, refused = dict[str, Measurements](), dict[str, XmedError]()
        for n, case in enumerate(cases, 1):
            try:
                image = self.cohort.image(case)
                rows[case.id] = measured(self.model, image, self.facts[case.id], self.credible)
            except XmedError as problem:
                refused[case.id] = problem
            self._report("measure", n, len(cases), case.id)
        return rows, refused

    def disturbed(self, cases: Sequence[Case]) -> dict[str, dict[str, Measurements]]:
        """Measure disturbed copies of images.

        Args:
            cases: One case per patient.

        Returns:
            Disturbance → patient id → measurements of the disturbed image.
        """
        rows: dict[str, dict[str, Measurements]] = {name: {} for name in DISTURBED}
        for n, case in enumerate(cases):
            image = self.cohort.image(case)
            for name in DISTURBED:
                change, _, levels, _ = DISTURBANCES[name]
                worse, _ = change(image, image, levels[1], np.random.default_rng(n))  # there is no label to change
                rows[name][case.patient] = measured(self.model, worse, self.facts[case.id], self.credible)
            self._report("measure disturbed", n + 1, len(cases), case.id)
        return rows

    def _report(self, what: str, done: int, total: int, note: str) -> None:
        if self.progress:
            self.progress(f"{what} {self.cohort.spec.name}", done, total, note)
