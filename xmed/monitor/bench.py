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
from xmed.monitor.measure import Row, measured

DISTURBED = ("noise", "gain", "resolution")
"""What a scanner may begin to do differently; each at the middle one of its three levels."""


@dataclass(frozen=True)
class Bench:
    """A model and the cohort that it measures; `credible`: whether the spacing of the images can be trusted."""

    model: Model
    cohort: Cohort
    credible: bool
    progress: Progress | None = None

    @cached_property
    def facts(self) -> dict[str, dict[str, str]]:
        return {case.case: case.facts for case in describe_cohort(self.cohort).cases}

    def measure(self, cases: Sequence[Case]) -> tuple[dict[str, Row], dict[str, XmedError]]:
        """Measure every case that the model can read; returns rows by case, and the error of each other case."""
        rows, refused = dict[str, Row](), dict[str, XmedError]()
        for n, case in enumerate(cases, 1):
            try:
                image = self.cohort.image(case)
                rows[case.id] = measured(self.model, image, self.facts[case.id], self.credible)
            except XmedError as problem:
                refused[case.id] = problem
            self._say("measure", n, len(cases), case.id)
        return rows, refused

    def disturbed(self, cases: Sequence[Case]) -> dict[str, dict[str, Row]]:
        """Measure one disturbed case per patient; returns disturbance → patient → row."""
        rows: dict[str, dict[str, Row]] = {name: {} for name in DISTURBED}
        for n, case in enumerate(cases):
            image = self.cohort.image(case)
            for name in DISTURBED:
                change, _, levels, _ = DISTURBANCES[name]
                worse, _ = change(image, image, levels[1], np.random.default_rng(n))  # there is no label to change
                rows[name][case.patient] = measured(self.model, worse, self.facts[case.id], self.credible)
            self._say("measure disturbed", n + 1, len(cases), case.id)
        return rows

    def _say(self, what: str, done: int, total: int, note: str) -> None:
        if self.progress:
            self.progress(f"{what} {self.cohort.spec.name}", done, total, note)
