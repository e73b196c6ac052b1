"""Evaluate every arm of a run against the target's test labels, case by case, structure by structure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from xmed import __version__, metrics
from xmed.cohort import Case, Cohort, load_cohort
from xmed.errors import XmedError
from xmed.evaluate.perturbations import evaluate_perturbed
from xmed.evaluate.reference import ReferenceCase, measurement_digest
from xmed.evaluate.trivial_baselines import Baselines
from xmed.files import documents
from xmed.files.digest import array_digest, digest, folder_digest
from xmed.files.progress import Progress, Steps
from xmed.model.deployed import Model
from xmed.model.prediction import Prediction, segment
from xmed.prepare import window_of
from xmed.prepare.geometry import PROBE_MODALITIES
from xmed.prepare.study_samples import reference_labels
from xmed.records.evaluation import CaseRow, CaseRows, ImageDescription, JudgedArm, MetricConventions, TestImages
from xmed.run import Arm, Run
from xmed.spec import Study
from xmed.volume import Volume

LABELS = "labels.npz"
"""File beside an evaluated arm's model: its label map of every test case on the native grid (see `kept_name`)."""


def evaluate(run: Run, home: Path, progress: Progress | None = None) -> list[CaseRow]:
    """Write rows, metrics, reference, robustness (.json) and pictures/ of a trained run.

    Here the target's test labels are read for the first time, after the protocol was hashed. Every metric is computed
    on the native grid. A case that cannot be predicted has rows with status `error`; no case is left out. An arm is not
    evaluated again for the same model, cases and code.

    Args:
        run: The run, with trained arms.
        home: Home folder with the store.
        progress: Called with (what, done, total, note).

    Returns:
        The rows.

    Raises:
        XmedError: NO_CASES where the target has no labelled test case.
    """
    study = run.study
    target, cells = load_cohort(study.target, home), run.arms()
    cases, bench = judged(target), ArmEvaluator.of(run, target)
    rows: list[CaseRow] = []
    disturb = study.robustness and (Arm.ADAPTED, study.seeds[0]) in cells
    steps = Steps(progress, "evaluate", len(cells) * len(cases) + 1)
    for arm, seed in cells:
        rows += bench.judge(arm, seed, steps)
    source = known_source(study, home)
    rows += bench.finish(Baselines.of(study, source, target, cases) if source else None)
    steps.add("trivial baselines" if source else "no source, no baselines")
    run.write(CaseRows(rows))
    conventions: dict[str, JsonValue] = {name: {**facts} for name, facts in metrics.CONVENTIONS.items()}
    credible = target.spec.spacing_credible
    run.write(
        MetricConventions(conventions=conventions, nsd_tolerance_mm=bench.tolerance_mm, spacing_credible=credible)
    )
    run.write(TestImages({case.id: intensity_summary(target.image(case)) for case in cases}))
    if disturb:
        evaluate_perturbed(run, target, cases, study.seeds[0], progress)
    return rows


def known_source(study: Study, home: Path) -> Cohort | None:
    """Return the source from which the trivial baselines are made; None where its data are not in the store."""
    try:
        source = load_cohort(study.source, home)
    except XmedError as problem:
        if problem.code != "PATH_NOT_FOUND":
            raise
        return None
    return source if set(study.structures) <= set(source.spec.label_table.names) else None


def intensity_summary(volume: Volume) -> ImageDescription:
    """Summarise the intensities of an image, for the monitoring of later images.

    Args:
        volume: The image.

    Returns:
        Mean, standard deviation and percentiles of the voxels in the field of view, and their share of the image.
    """
    seen = np.asarray(volume.array[volume.inside], dtype=np.float64)
    p05, p50, p95 = np.percentile(seen, (5, 50, 95))
    return ImageDescription(
        mean=float(seen.mean()), sd=float(seen.std()), p05=float(p05), p50=float(p50), p95=float(p95),
        in_view=float(seen.size / volume.array.size),
    )  # fmt: skip


def judged(target: Cohort) -> list[Case]:
    """List the labelled test cases of a target. Call it before a training, which is in vain without them.

    Args:
        target: Cohort of the target.

    Returns:
        The cases, one or more.

    Raises:
        XmedError: NO_CASES where there is none.
    """
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
class ArmEvaluator:
    """Evaluates the arms of one run, one after the other, on the same cases.

    Attributes:
        run: The run.
        study: Its study.
        target: Cohort of the target.
        cases: The labelled test cases.
        tolerance_mm: Tolerance of the normalised surface Dice.
    """

    run: Run
    study: Study
    target: Cohort
    cases: list[Case]
    tolerance_mm: float

    @classmethod
    def of(cls, run: Run, target: Cohort) -> ArmEvaluator:
        """Prepare a run. The tolerance is the protocol's, by default the longest voxel edge among the cases."""
        study, cases = run.study, judged(target)
        coarsest = max(max(target.image(case).spacing) for case in cases)
        return cls(run, study, target, cases, study.protocol.nsd_tolerance_mm or coarsest)

    def reference(self, case: Case) -> ReferenceCase:
        """Read the reference segmentation of a case.

        Args:
            case: A labelled test case.

        Returns:
            The reference, to measure predictions against.
        """
        reference, credible = reference_labels(self.target, case, self.study), self.target.spec.spacing_credible
        return ReferenceCase(case, reference, self.study.structures, self.tolerance_mm, credible)

    def judge(self, arm: str, seed: int, steps: Steps) -> list[CaseRow]:
        """Measure one arm and seed; store the rows and label maps beside its model, judged.json last.

        Args:
            arm: Name of the arm.
            seed: Its seed.
            steps: Counts every case.

        Returns:
            A row per case and structure.
        """
        folder = self.run.arm(arm, seed)
        measured_from = [
            folder_digest(folder / "model"),
            self.target.fingerprint,
            self.tolerance_mm,
            self.study.structures,
            self.target.spec.spacing_credible,
        ]
        of = digest([*measured_from, measurement_digest(), __version__])
        if self.run.has(JudgedArm, arm, seed) and (before := self.run.read(JudgedArm, arm, seed)).of == of:
            steps.add(f"{arm} seed {seed}", len(self.cases))
            return before.rows
        model, rows, drawn = Model.load(folder / "model"), list[CaseRow](), dict[str, np.ndarray]()
        for case in self.cases:
            prediction, reason = _predicted(model, self.target.image(case))
            label = None if prediction is None else prediction.label.array
            against = self.reference(case)
            sha = None if label is None else array_digest(label)
            for value in against.values:
                row = {**against.row(arm, seed, value, label, reason), "prediction_sha256": sha}
                # Only the adapted arm needs its confidence; a probability map costs as much time as a label map.
                certainty = against.certainty(value, prediction) if prediction and arm == Arm.ADAPTED else {}
                rows.append(CaseRow.model_validate(row | certainty))
            if label is not None:
                drawn[kept_name(case)] = label
            steps.add(f"{arm} seed {seed}")
        np.savez_compressed(folder / LABELS, **drawn)  # type: ignore[arg-type]  # the stub takes any keyword for the flag allow_pickle
        self.run.write(JudgedArm(of=of, rows=rows), arm=arm, seed=seed, indent=None)
        return rows

    def finish(self, baselines: Baselines | None) -> list[CaseRow]:
        """Measure the trivial arms, and write a picture of every case with each arm's first seed.

        Args:
            baselines: The rules; None where the source is not in the store.

        Returns:
            The rows of the trivial arms.
        """
        rows: list[CaseRow] = []
        for case in self.cases:
            volume, against, drawn = self.target.image(case), self.reference(case), dict[str, np.ndarray]()
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
    """Return the name of a case's label map in labels.npz."""
    return f"case.{case.id}"


def _predicted(model: Model, volume: Volume) -> tuple[Prediction | None, str]:
    try:
        return segment(model, volume), ""
    except XmedError as problem:
        return None, str(problem)


def _picture(
    run: Run, against: ReferenceCase, volume: Volume, drawn: dict[str, np.ndarray], target: Cohort, study: Study
) -> None:
    """Write what the report shows of a case: image in [0, 1], reference, every arm's first seed, on the native grid."""
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
        **{**place, **drawn},  # type: ignore[arg-type]  # the stub takes any keyword for the flag allow_pickle
    )
