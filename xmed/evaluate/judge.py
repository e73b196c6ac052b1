"""Judge: every arm of a run against the target's test labels, case by case, structure by structure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xmed import metrics
from xmed.cohort import Case, Cohort, load
from xmed.domain import truth
from xmed.errors import XmedError
from xmed.evaluate.trivial import Baselines
from xmed.model import Model
from xmed.predict import predict
from xmed.prepare import window_of
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.run import Run
from xmed.spec import Study
from xmed.volume import Volume

Progress = Callable[[str, int, int, str], None]
Row = dict[str, Any]


def evaluate(run: Run, home: Path, progress: Progress | None = None) -> list[Row]:
    """Write rows.json, metrics.json and pictures/ of a run whose arms are trained; return the rows.

    This is where target test labels are read for the first time, after the protocol was hashed. Every metric is taken
    on the native grid. A case that cannot be predicted stands in the rows with status `error`; none is left out.
    """
    study = run.study
    source, target = load(study.source, home), load(study.target, home)
    cases = judged(target)
    models = {(arm, seed): Model.load(run.arm(arm, seed) / "model") for arm, seed in run.arms()}
    baselines = Baselines.of(study, source, target, cases)
    coarsest = max(max(target.image(case).spacing) for case in cases)
    tolerance, credible = study.protocol.nsd_tolerance_mm or coarsest, target.spec.spacing_credible
    rows: list[Row] = []
    for n, case in enumerate(cases):
        volume = target.image(case)
        against = _Truth(case, truth(target, case, study), study.structures, tolerance, credible)
        drawn: dict[str, np.ndarray] = {}
        for (arm, seed), model in models.items():
            label, reason = _predicted(model, volume)
            rows += [against.row(arm, seed, value, label, reason) for value in against.values]
            if label is not None:
                drawn.setdefault(arm, label)
        for arm, value, rule, label in baselines.of_case(case, volume):
            rows.append({**against.row(arm, None, value, label), "rule": rule})
        _picture(run, against, volume, drawn, target, study)
        if progress:
            progress("evaluate", n + 1, len(cases), case.id)
    run.write("rows", rows)
    conventions = {"conventions": metrics.CONVENTIONS, "nsd_tolerance_mm": tolerance, "spacing_credible": credible}
    run.write("metrics", conventions)
    return rows


def judged(target: Cohort) -> list[Case]:
    """The labelled test cases of a target. Raises XmedError NO_CASES, which is better known before training."""
    cases = [case for case in target.split("test") if case.label]
    if not cases:
        raise XmedError(
            "NO_CASES",
            f"{target.spec.name} has no labelled test case",
            "at least one to validate on",
            "label a few cases",
        )
    return cases


def _predicted(model: Model, volume: Volume) -> tuple[np.ndarray | None, str]:
    try:
        return predict(model, volume).array, ""
    except XmedError as problem:
        return None, str(problem)


@dataclass(frozen=True)
class _Truth:
    """What one case's predictions are held against."""

    case: Case
    reference: Volume
    structures: list[str]
    tolerance_mm: float
    credible: bool

    @property
    def values(self) -> range:
        return range(1, len(self.structures) + 1)

    def row(self, arm: str, seed: int | None, value: int, label: np.ndarray | None, reason: str = "") -> Row:
        """One line of rows.json. No label map at all is an error, and counts as a miss."""
        known = self.reference.array == value
        guess = np.zeros_like(known) if label is None else label == value
        numbers = metrics.measure(
            guess, known, self.reference.spacing, self.tolerance_mm, spacing_credible=self.credible
        )
        status = "empty_prediction" if known.any() and not guess.any() else "ok"
        return {
            "arm": arm,
            "seed": seed,
            "case": self.case.id,
            "patient": self.case.patient,
            "structure": self.structures[value - 1],
            **numbers,
            **({"status": status} if label is not None else {"status": "error", "reason": reason}),
        }


def _picture(
    run: Run, against: _Truth, volume: Volume, drawn: dict[str, np.ndarray], target: Cohort, study: Study
) -> None:
    """What the report draws of a case: image on [0, 1], truth, and every arm's first seed, on the native grid."""
    seen = volume.array[volume.inside]
    low, high = window_of(target.spec.modality, target.spec.window) or np.percentile(seen, (0.5, 99.5))
    image = np.clip((volume.array - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float16)
    # A probe's axes are not the patient's: without an affine the report names no left, anterior or superior.
    place = {} if target.spec.modality in PROBE_MODALITIES else {"affine": volume.affine}
    run.pictures.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        run.pictures / f"{against.case.id}.npz",
        image=image,
        truth=against.reference.array.astype(np.uint8),
        spacing=np.array(volume.spacing),
        names=np.array(study.structures),
        **{**place, **drawn},  # type: ignore[arg-type]
    )
