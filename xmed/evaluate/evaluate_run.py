"""Evaluate run: every arm of a run against the target's test labels, case by case, structure by structure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from xmed import __version__, metrics
from xmed.cohort import Case, Cohort, load
from xmed.errors import XmedError
from xmed.evaluate.perturbations import disturbed
from xmed.evaluate.reference import Truth, measures
from xmed.evaluate.trivial_baselines import Baselines
from xmed.files import documents
from xmed.files.digest import array_digest, digest, folder_digest
from xmed.model.deployed import Model
from xmed.model.prediction import Prediction, segment
from xmed.prepare import window_of
from xmed.prepare.domain import truth
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.records.evaluation import CaseRow, CaseRows, ImageDescription, JudgedArm, MetricConventions, TestImages
from xmed.run import Arm, Run
from xmed.spec import Study
from xmed.volume import Volume

Progress = Callable[[str, int, int, str], None]
LABELS = "labels.npz"
"""Beside a judged arm's model: its label map of every test case, on the native grid (see kept_name)."""


def evaluate(run: Run, home: Path, progress: Progress | None = None) -> list[CaseRow]:
    """Write rows, metrics, reference, robustness (.json) and pictures/ of a trained run; return the rows.

    This is where target test labels are read for the first time, after the protocol was hashed. Every metric is taken
    on the native grid. A case that cannot be predicted stands in the rows with status `error`; none is left out.
    An arm that was judged already, this model on these cases by this code, is not judged again.
    """
    study = run.study
    target, cells = load(study.target, home), run.arms()
    cases, bench = judged(target), Bench.of(run, target)
    rows: list[CaseRow] = []
    disturb = study.robustness and (Arm.ADAPTED, study.seeds[0]) in cells
    steps = len(cells) + 1 + disturb
    for n, (arm, seed) in enumerate(cells):
        rows += bench.judge(arm, seed)
        if progress:
            progress("evaluate", n + 1, steps, f"{arm} seed {seed}")
    source = known_source(study, home)
    rows += bench.finish(Baselines.of(study, source, target, cases) if source else None)
    if progress:
        progress("evaluate", len(cells) + 1, steps, "trivial baselines" if source else "no source, no baselines")
    run.write(CaseRows(rows))
    conventions: dict[str, JsonValue] = {name: {**facts} for name, facts in metrics.CONVENTIONS.items()}
    credible = target.spec.spacing_credible
    run.write(
        MetricConventions(conventions=conventions, nsd_tolerance_mm=bench.tolerance_mm, spacing_credible=credible)
    )
    run.write(TestImages({case.id: described(target.image(case)) for case in cases}))
    if disturb:
        disturbed(run, target, cases, study.seeds[0])
        if progress:
            progress("evaluate", steps, steps, "disturbed volumes")
    return rows


def known_source(study: Study, home: Path) -> Cohort | None:
    """The source that the trivial baselines learn from; None for a model whose training data are not here."""
    try:
        source = load(study.source, home)
    except XmedError as problem:
        if problem.code != "PATH_NOT_FOUND":
            raise
        return None
    return source if set(study.structures) <= set(source.spec.label_table.names) else None


def described(volume: Volume) -> ImageDescription:
    """What an image looks like in a few numbers, for the monitoring of images to come: of voxels in view, as read."""
    seen = np.asarray(volume.array[volume.inside], dtype=np.float64)
    p05, p50, p95 = np.percentile(seen, (5, 50, 95))
    return ImageDescription(
        mean=float(seen.mean()), sd=float(seen.std()), p05=float(p05), p50=float(p50), p95=float(p95),
        in_view=float(seen.size / volume.array.size),
    )  # fmt: skip


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
class Bench:
    """Where the arms of one run are judged, one after the other, on the same cases."""

    run: Run
    study: Study
    target: Cohort
    cases: list[Case]
    tolerance_mm: float

    @classmethod
    def of(cls, run: Run, target: Cohort) -> Bench:
        study, cases = run.study, judged(target)
        coarsest = max(max(target.image(case).spacing) for case in cases)
        return cls(run, study, target, cases, study.protocol.nsd_tolerance_mm or coarsest)

    def truth(self, case: Case) -> Truth:
        reference, credible = truth(self.target, case, self.study), self.target.spec.spacing_credible
        return Truth(case, reference, self.study.structures, self.tolerance_mm, credible)

    def judge(self, arm: str, seed: int) -> list[CaseRow]:
        """The rows of one arm and seed, kept with its label maps beside its model: judged.json goes last."""
        folder = self.run.arm(arm, seed)
        asked = [
            folder_digest(folder / "model"),
            self.target.fingerprint,
            self.tolerance_mm,
            self.study.structures,
            self.target.spec.spacing_credible,
        ]
        of = digest([*asked, measures(), __version__])
        if self.run.has(JudgedArm, arm, seed) and (before := self.run.read(JudgedArm, arm, seed)).of == of:
            return before.rows
        model, rows, drawn = Model.load(folder / "model"), list[CaseRow](), dict[str, np.ndarray]()
        for case in self.cases:
            made, reason = _predicted(model, self.target.image(case))
            label = None if made is None else made.label.array
            against = self.truth(case)
            sha = None if label is None else array_digest(label)
            for value in against.values:
                row = {**against.row(arm, seed, value, label, reason), "prediction_sha256": sha}
                # Of the other arms nobody asks how sure they are, and a probability map costs as much as a label map.
                certainty = against.certainty(value, made) if made and arm == Arm.ADAPTED else {}
                rows.append(CaseRow.model_validate(row | certainty))
            if label is not None:
                drawn[kept_name(case)] = label
        np.savez_compressed(folder / LABELS, **drawn)  # type: ignore[arg-type]
        self.run.write(JudgedArm(of=of, rows=rows), arm=arm, seed=seed, indent=None)
        return rows

    def finish(self, baselines: Baselines | None) -> list[CaseRow]:
        """The rows of the trivial arms, and a picture of every case with what each arm's first seed says of it."""
        rows: list[CaseRow] = []
        for case in self.cases:
            volume, against, drawn = self.target.image(case), self.truth(case), dict[str, np.ndarray]()
            for arm, seed in self.run.arms():
                with (
                    documents.guarded(f"{LABELS} of {arm}, seed {seed},", "DOCUMENT_INVALID", "the arm's label maps"),
                    np.load(self.run.arm(arm, seed) / LABELS, allow_pickle=False) as file,
                ):
                    if arm not in drawn and kept_name(case) in file:
                        drawn[arm] = file[kept_name(case)]
            for arm, value, rule, label in baselines.of_case(case, volume) if baselines else ():
                rows.append(CaseRow.model_validate({**against.row(arm, None, value, label), "rule": rule}))
            _picture(self.run, against, volume, drawn, self.target, self.study)
        return rows


def kept_name(case: Case) -> str:
    """Under which name labels.npz keeps a case's label map."""
    return f"case.{case.id}"


def _predicted(model: Model, volume: Volume) -> tuple[Prediction | None, str]:
    try:
        return segment(model, volume), ""
    except XmedError as problem:
        return None, str(problem)


def _picture(
    run: Run, against: Truth, volume: Volume, drawn: dict[str, np.ndarray], target: Cohort, study: Study
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
