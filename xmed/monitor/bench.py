"""Bench: where one model measures the images of one cohort, as they are and disturbed on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xmed.cohort import Case, Cohort, described
from xmed.errors import XmedError
from xmed.evaluate.perturbations import DISTURBANCES
from xmed.model.deployed import Model
from xmed.monitor.measure import Row, measured

Progress = Callable[[str, int, int, str], None]
DISTURBED = ("noise", "gain", "resolution")
"""What a scanner may begin to do differently; each at the middle one of its three levels."""


@dataclass(frozen=True)
class Bench:
    """A model and the cohort that it measures. credible: whether the spacing of its images can be believed."""

    model: Model
    cohort: Cohort
    credible: bool
    progress: Progress | None = None

    @cached_property
    def facts(self) -> dict[str, dict[str, str]]:
        return {case.case: case.facts for case in described(self.cohort).cases}

    def measure(self, cases: Sequence[Case]) -> tuple[dict[str, Row], dict[str, XmedError]]:
        """The row of every case that the model can read, and why it cannot read the others."""
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
        """disturbance -> patient -> the row of one case of theirs, made worse."""
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
