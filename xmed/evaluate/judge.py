"""Judge: every arm of a run against the target's test labels, case by case, structure by structure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xmed import metrics
from xmed.cohort import Case, Cohort, load
from xmed.domain import samples, truth
from xmed.errors import XmedError
from xmed.evaluate import trivial
from xmed.model import Model
from xmed.predict import predict
from xmed.prepare import onto, sample, window_of
from xmed.run import TRIVIAL_ARMS, Run
from xmed.spec import Study
from xmed.volume import Volume

Progress = Callable[[str, int, int, str], None]
Row = dict[str, Any]
Guess = tuple[str, int | None, str, np.ndarray | None]
"""(arm, seed, rule or reason, label map on the native grid or None where prediction failed)"""


def evaluate(run: Run, home: Path, progress: Progress | None = None) -> list[Row]:
    """Write rows.json, metrics.json and pictures/ of a run whose arms are trained; return the rows.

    This is where target test labels are read for the first time, after the protocol was hashed. Every metric is taken
    on the native grid. A case that cannot be predicted stands in the rows with status `error`; none is left out.
    """
    study = run.study
    source, target = load(study.source, home), load(study.target, home)
    cases = [case for case in target.split("test") if case.label]
    if not cases:
        raise XmedError("NO_CASES", f"{target.spec.name} has no labelled test case", "at least one")
    models = {(arm, seed): Model.load(run.arm(arm, seed) / "model") for arm, seed in run.arms()}
    atlases = trivial.atlases(
        samples(source, study, ["train", "select"], labelled=True), range(1, len(study.structures) + 1)
    )
    coarsest = max(max(target.image(case).spacing) for case in cases)
    tolerance, credible = study.protocol.nsd_tolerance_mm or coarsest, target.spec.spacing_credible
    rows: list[Row] = []
    for n, case in enumerate(cases):
        volume, reference = target.image(case), truth(target, case, study)
        yardstick = _Yardstick(case, reference, study.structures, tolerance, credible)
        guesses = [*_predictions(models, volume), *_baselines(atlases, target, case, volume, study)]
        for arm, seed, rule, label in guesses:
            rows += yardstick.rows(arm, seed, rule, label)
        _picture(run, case, volume, reference, guesses, target, study)
        if progress:
            progress("evaluate", n + 1, len(cases), case.id)
    rows = _best_rules(rows)
    run.write("rows", rows)
    conventions = {"conventions": metrics.CONVENTIONS, "nsd_tolerance_mm": tolerance, "spacing_credible": credible}
    run.write("metrics", conventions)
    return rows


def _predictions(models: dict[tuple[str, int], Model], volume: Volume) -> Iterator[Guess]:
    for (arm, seed), model in models.items():
        try:
            yield arm, seed, "", predict(model, volume).array
        except XmedError as problem:
            yield arm, seed, str(problem), None


def _baselines(
    atlases: dict[int, tuple[np.ndarray, float]], target: Cohort, case: Case, volume: Volume, study: Study
) -> Iterator[Guess]:
    """Each rule's label map holds one structure alone; rows for the other structures are not made from it."""
    seen = sample(case.id, volume, study.grid, window_of(target.spec.modality, target.spec.window))
    for value, (atlas, share) in atlases.items():
        threshold, position = trivial.thresholds(seen, value, share), trivial.positions(seen, value, atlas, share)
        for arm, found in zip(TRIVIAL_ARMS, (threshold, position)):
            for rule, label in found:
                home = onto(Volume(label, seen.grid.affine, volume.frame), volume, labels=True)
                yield arm, None, f"{value}: {rule}", home.array


@dataclass(frozen=True)
class _Yardstick:
    """What one case's predictions are held against."""

    case: Case
    reference: Volume
    structures: list[str]
    tolerance_mm: float
    credible: bool

    def rows(self, arm: str, seed: int | None, rule: str, label: np.ndarray | None) -> Iterator[Row]:
        for value, name in enumerate(self.structures, start=1):
            if arm in TRIVIAL_ARMS and not rule.startswith(f"{value}: "):
                continue
            row: Row = {"arm": arm, "seed": seed, "case": self.case.id, "patient": self.case.patient, "structure": name}
            if arm in TRIVIAL_ARMS:
                row["rule"] = rule.partition(": ")[2]
            known = self.reference.array == value
            guess = np.zeros_like(known) if label is None else label == value
            status = "empty_prediction" if known.any() and not guess.any() else "ok"
            measured = metrics.measure(
                guess, known, self.reference.spacing, self.tolerance_mm, spacing_credible=self.credible
            )
            failed = {"status": "error", "reason": rule} if label is None else {"status": status}  # an error is a miss
            yield {**row, **measured, **failed}


def _best_rules(rows: list[Row]) -> list[Row]:
    """Of each trivial arm and structure only the rule with the best mean Dice: see trivial.py on that hindsight."""
    scores: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["arm"] in TRIVIAL_ARMS:
            scores[row["arm"], row["structure"]][row["rule"]].append(row["dice"] or 0.0)
    best = {key: max(rules, key=lambda rule: float(np.mean(rules[rule]))) for key, rules in scores.items()}
    return [row for row in rows if row["arm"] not in TRIVIAL_ARMS or row["rule"] == best[row["arm"], row["structure"]]]


def _picture(
    run: Run, case: Case, volume: Volume, reference: Volume, guesses: list[Guess], target: Cohort, study: Study
) -> None:
    """What the report draws of a case: image on [0, 1], truth, and every arm's first seed, on the native grid."""
    seen = volume.array[volume.inside]
    low, high = window_of(target.spec.modality, target.spec.window) or np.percentile(seen, (0.5, 99.5))
    image = np.clip((volume.array - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float16)
    labels: dict[str, np.ndarray] = {}
    for arm, _, _, label in guesses:
        if arm not in TRIVIAL_ARMS and label is not None:
            labels.setdefault(arm, label.astype(np.uint8))
    run.pictures.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        run.pictures / f"{case.id}.npz",
        image=image,
        truth=reference.array.astype(np.uint8),
        spacing=np.array(volume.spacing),
        affine=volume.affine,
        names=np.array(study.structures),
        **labels,  # type: ignore[arg-type]
    )
