"""Predict test cases of a run again, and compare the result with the label maps that the run kept.

Rows that fit the kept predictions prove nothing if the predictions are not the model's, but the reference's, for
example.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xmed.cohort import Case, load_cohort
from xmed.errors import XmedError
from xmed.evaluate.evaluate_run import LABELS, ArmEvaluator, kept_name
from xmed.evaluate.remeasure import kept
from xmed.model.deployed import Model
from xmed.model.prediction import segment
from xmed.run import Arm, Run

MAX_DIFFERENCE = 0.02
"""Largest share of the voxels of both label maps in which they may differ. On one machine they are equal in every
voxel. A GPU and a CPU, or half precision, round differently where two classes are about equally likely (LOG.md: Dice
changes in the third decimal). A forged map differs by as much as it is better.
"""
MAX_VOXELS = 3
"""Voxels that may differ whatever the share: of a structure of 50 voxels one is 2 %."""
OTHERS_SECONDS = 300.0
"""Largest time for arms that are only compared with. The registered model is always checked in every case."""


@dataclass(frozen=True)
class Repredictions:
    """Result of `repredict`.

    Attributes:
        problems: One line each.
        cases: Number of predictions that were made again.
        skipped: Number of predictions for which there was no time.
    """

    problems: list[str]
    cases: int
    skipped: int


def repredict(run: Run, home: Path, only: int | None = None) -> Repredictions:
    """Compare kept predictions with what their models predict now.

    The registered arm, `adapted` of the first seed, is predicted again in every case; the others in random order, for
    at most OTHERS_SECONDS.

    Args:
        run: The run.
        home: Home folder with the store.
        only: Check only this many random cases, of the registered arm alone.

    Returns:
        The differences, and how many predictions were made again.

    Raises:
        XmedError: PATH_NOT_FOUND where the store no longer has the test data.
    """
    target = load_cohort(run.study.target, home)
    bench, lot = ArmEvaluator.of(run, target), random.SystemRandom()
    registered = Arm.ADAPTED, run.study.seeds[0]
    first = [(registered, case) for case in bench.cases]
    others = [(arm, case) for arm in run.arms() if arm != registered for case in bench.cases]
    if only is not None:
        first, others = lot.sample(first, min(only, len(first))), []
    lot.shuffle(others)
    models: dict[tuple[str, int], Model] = {}
    problems: list[str] = []
    done, until = 0, float("inf")
    for n, ((arm, seed), case) in enumerate([*first, *others]):
        if n == len(first):
            until = time.monotonic() + OTHERS_SECONDS
        if time.monotonic() > until:
            break
        if (arm, seed) not in models:
            models[arm, seed] = Model.load(run.arm(arm, seed) / "model")
        problems += _apart(run, bench, models[arm, seed], arm, seed, case)
        done += 1
    return Repredictions(problems, done, len(first) + len(others) - done)


def _apart(run: Run, bench: ArmEvaluator, model: Model, arm: str, seed: int, case: Case) -> Iterator[str]:
    before = kept(run.arm(arm, seed) / LABELS, kept_name(case))
    where = f"{arm}, seed {seed}, {case.id}"
    try:
        now = segment(model, bench.target.image(case)).label.array
    except XmedError as problem:
        if before is not None:
            yield f"{where}: a prediction was kept, and its model refuses the case: {problem.what}"
        return
    if before is None:
        yield f"{where}: its model draws the case, and no prediction was kept"
    elif before.shape != now.shape:
        yield f"{where}: the kept prediction has another shape than its case"
    elif (differ := int((before != now).sum())) > max(
        MAX_VOXELS, MAX_DIFFERENCE * int(((before > 0) | (now > 0)).sum())
    ):
        both = int(np.maximum(before > 0, now > 0).sum())
        yield f"{where}: the kept prediction is not what its model draws: {differ} of {both} voxels differ"
