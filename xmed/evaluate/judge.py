"""Judge: every arm of a run against the target's test labels, case by case, structure by structure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xmed import __version__, metrics
from xmed.atomic import write_atomically
from xmed.cohort import Case, Cohort, load
from xmed.domain import truth
from xmed.errors import XmedError
from xmed.evaluate.trivial import Baselines
from xmed.model import WEIGHTS, Model, sha256
from xmed.predict import predict
from xmed.prepare import onto, upright, window_of
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.run import Run, digest
from xmed.spec import Study
from xmed.volume import Volume

Progress = Callable[[str, int, int, str], None]
Row = dict[str, Any]
LABELS = "labels.npz"
"""Beside a judged arm's model: its label map of every test case, on the native grid, by the case's number."""


def evaluate(run: Run, home: Path, progress: Progress | None = None) -> list[Row]:
    """Write rows.json, metrics.json and pictures/ of a run whose arms are trained; return the rows.

    This is where target test labels are read for the first time, after the protocol was hashed. Every metric is taken
    on the native grid. A case that cannot be predicted stands in the rows with status `error`; none is left out.
    An arm that was judged already, with these weights on these cases, is not judged again.
    """
    study = run.study
    source, target = load(study.source, home), load(study.target, home)
    cases, cells = judged(target), run.arms()
    coarsest = max(max(target.image(case).spacing) for case in cases)
    bench = _Bench(run, study, target, cases, study.protocol.nsd_tolerance_mm or coarsest)
    baselines = Baselines.of(study, source, target, cases)
    rows: list[Row] = []
    for n, (arm, seed) in enumerate(cells):
        rows += bench.judge(arm, seed)
        if progress:
            progress("evaluate", n + 1, len(cells) + 1, f"{arm} seed {seed}")
    rows += bench.finish(baselines)
    if progress:
        progress("evaluate", len(cells) + 1, len(cells) + 1, "trivial baselines")
    run.write("rows", rows)
    credible = target.spec.spacing_credible
    conventions = {"conventions": metrics.CONVENTIONS, "nsd_tolerance_mm": bench.tolerance_mm}
    run.write("metrics", {**conventions, "spacing_credible": credible})
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


@dataclass(frozen=True)
class _Bench:
    """Where the arms of one run are judged, one after the other, on the same cases."""

    run: Run
    study: Study
    target: Cohort
    cases: list[Case]
    tolerance_mm: float

    def truth(self, case: Case) -> _Truth:
        reference, credible = truth(self.target, case, self.study), self.target.spec.spacing_credible
        return _Truth(case, reference, self.study.structures, self.tolerance_mm, credible)

    def judge(self, arm: str, seed: int) -> list[Row]:
        """The rows of one arm and seed, kept with its label maps beside its model: judged.json goes last."""
        folder = self.run.arm(arm, seed)
        asked = [sha256(folder / "model" / WEIGHTS), self.target.fingerprint, self.tolerance_mm, self.study.structures]
        of = digest([*asked, self.target.spec.spacing_credible, __version__])
        kept = folder / "judged.json"
        if kept.is_file():
            before = json.loads(kept.read_text(encoding="utf-8"))
            if before["of"] == of:
                return before["rows"]
        model, rows, drawn = Model.load(folder / "model"), [], {}
        for n, case in enumerate(self.cases):
            label, reason = _predicted(model, self.target.image(case))
            against = self.truth(case)
            rows += [against.row(arm, seed, value, label, reason) for value in against.values]
            if label is not None:
                drawn[f"case{n}"] = label
        np.savez_compressed(folder / LABELS, **drawn)  # type: ignore[arg-type]
        write_atomically(kept, json.dumps({"of": of, "rows": rows}, allow_nan=False) + "\n")
        return rows

    def finish(self, baselines: Baselines) -> list[Row]:
        """The rows of the trivial arms, and a picture of every case with what each arm's first seed says of it."""
        rows: list[Row] = []
        for n, case in enumerate(self.cases):
            volume, against, drawn = self.target.image(case), self.truth(case), dict[str, np.ndarray]()
            for arm, seed in self.run.arms():
                with np.load(self.run.arm(arm, seed) / LABELS, allow_pickle=False) as file:
                    if arm not in drawn and f"case{n}" in file:
                        drawn[arm] = file[f"case{n}"]
            for arm, value, rule, label in baselines.of_case(case, volume):
                rows.append({**against.row(arm, None, value, label), "rule": rule})
            _picture(self.run, against, volume, drawn, self.target, self.study)
        return rows


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
        place = upright(self.reference.grid)  # distances are measured between voxels at right angles
        masks = (self.reference.with_array(mask.astype(np.uint8)) for mask in (guess, known))
        drawn, true = (onto(mask, place, labels=True).array > 0 for mask in masks)
        numbers = metrics.measure(drawn, true, place.spacing, self.tolerance_mm, spacing_credible=self.credible)
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
