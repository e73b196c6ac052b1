"""Decide, before any test label is read, whether adapted models are estimated to be better than source-only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from xmed import select
from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import folder_digest
from xmed.files.progress import Progress, Steps
from xmed.model.deployed import Model
from xmed.records.record import Number, content, read_record, write
from xmed.records.selection import DiceEstimate, ModelFindings, SeedSelection, Selection
from xmed.records.training import Training
from xmed.run import Arm, Run
from xmed.select import SOURCE, VALIDATORS, CandidateInputs, Findings
from xmed.select.rank_models import MARGIN
from xmed.train.arm_data import Data
from xmed.train.arms import method_of

LABELS = "findings.npz"
"""File beside an arm's model and its findings.json: label maps of the target volumes that were looked at."""
CHOICE = ("promoted", "registered", "used_target_labels")
"""The result of selection.json."""


def promote(
    run: Run, home: Path, arms: Sequence[str] = (SOURCE, Arm.ADAPTED), progress: Progress | None = None
) -> Selection:
    """Choose per seed the arm that is estimated best without target labels, and write selection.json.

    `promoted` says whether the model that would be registered, the adapted one of the first seed, may become a
    candidate: it must be estimated to be better than source-only of its seed, and so must the adapted models of most
    seeds. `registered` says whether it is registered at all: not where a trivial baseline is estimated to be better
    than every model of the first seed, or of most seeds. Arms that used target labels are left out. The measures of an
    arm are stored beside its model and not computed again.

    Args:
        run: The run, with trained arms.
        home: Home folder with the store.
        arms: Arms to compare.
        progress: Called with (what, done, total, note).

    Returns:
        The content of selection.json.
    """
    inputs = _DecisionInputs(run, home)

    def findings_of(arm: str, seed: int) -> Findings:
        folder = run.arm(arm, seed)
        stored = _stored_findings(folder)
        return stored if stored and stored.quick else _measure_and_store(folder, inputs)  # all of them alike

    selection = _selection(inputs, arms, findings_of, progress)
    run.write(selection)
    return selection


def reselect(run: Run, home: Path, anew: bool = True) -> list[str]:
    """Make the selection of a run again and compare it with selection.json.

    Args:
        run: The run.
        home: Home folder with the store.
        anew: Measure each model again; else use the measures stored beside it, and only make the choice again.

    Returns:
        One line per difference; empty where there is none.

    Raises:
        XmedError: PATH_NOT_FOUND where the store no longer has the data.
    """
    if not run.has(Selection):
        return ["selection: there is no selection.json: nothing says that the model is better than source-only"]
    inputs, written = _DecisionInputs(run, home), run.read(Selection)

    def findings_of(arm: str, seed: int) -> Findings:
        folder = run.arm(arm, seed)
        stored = _stored_findings(folder)
        if stored and not anew:
            return stored
        return inputs.candidate_inputs.findings(Model.load(folder / "model"), written.quick)

    fresh = _selection(inputs, (SOURCE, Arm.ADAPTED), findings_of)
    problems = [f"selection: {key} is {before}, and {now} when it is made again" for key in CHOICE
                if (before := getattr(written, key)) != (now := getattr(fresh, key))]  # fmt: skip
    for seed, choice in fresh.seeds.items():
        problems += _differences(seed, written.seeds.get(seed), choice)
    return problems


def _differences(seed: str, written: SeedSelection | None, fresh: SeedSelection) -> list[str]:
    """Return where the choice of one seed, or the numbers it rests on, differ from what is written."""
    problems = [
        f"selection, seed {seed}: {key} is {before}, and {now} when it is made again"
        for key in ("better", "chosen", "adapt")
        if (before := getattr(written, key, None)) != (now := getattr(fresh, key))
    ]
    written_scores = {model.name: model.scores for model in written.candidates} if written else {}
    for model in fresh.candidates:
        before = written_scores.get(model.name, {})
        for name, value in model.scores.items():
            if _differ(before.get(name), value):
                problems.append(
                    f"selection, seed {seed}: {name} of {model.name} is {before.get(name)}, "
                    f"and {value} when measured again"
                )
    return problems


def _differ(before: Number | None, now: Number | None) -> bool:
    return abs(before - now) > MARGIN if before is not None and now is not None else before is not now


def _selection(
    inputs: _DecisionInputs,
    arms: Sequence[str],
    findings_of: Callable[[str, int], Findings],
    progress: Progress | None = None,
) -> Selection:
    """Return the content of selection.json."""
    run, seeds, quick = inputs.run, dict[str, SeedSelection](), list[bool]()
    steps = Steps(progress, "select", (len(arms) + 1) * len(run.study.seeds))
    for seed in run.study.seeds:
        findings = dict[str, Findings]()
        for arm in arms:
            if _used_no_target_labels(run, arm, seed):
                findings[arm] = findings_of(arm, seed)
            steps.add(f"{arm} seed {seed}")
        quick += [measured.quick for measured in findings.values()]
        choice = select.rank_models(findings, inputs.data.source_ml())[1]
        seeds[str(seed)] = record = _with_estimates(content(choice), findings, inputs)
        steps.add(record.trivial_reason or record.reason)
    first, ahead = next(iter(seeds.values())), [_adapted_is_better(choice_of_seed) for choice_of_seed in seeds.values()]
    promoted = _adapted_is_better(first) and 2 * sum(ahead) > len(ahead)
    unlearned = _baseline_is_best(list(seeds.values()))
    few = f"the adapted model is estimated to be better than source-only with {sum(ahead)} of {len(ahead)} seeds only"
    return Selection(
        promoted=promoted and unlearned is None,
        reason=unlearned or (first.reason if promoted or not _adapted_is_better(first) else few),
        registered=unlearned is None,
        rule=first.rule,
        used_target_labels=False,
        quick=all(quick),
        seeds=seeds,
    )


def _adapted_is_better(record: SeedSelection) -> bool:
    """Return whether the adapted arm is better than source-only, whatever else it was compared with."""
    return Arm.ADAPTED in record.better


def _with_estimates(
    choice: Mapping[str, JsonValue], findings: dict[str, Findings], inputs: _DecisionInputs
) -> SeedSelection:
    """Add to the choice of one seed the estimated Dice of its models and trivial baselines, and the best baseline."""
    best = select.best_baseline(findings, inputs.trivial)
    dice = {name: select.estimate(measured) for name, measured in findings.items()} | inputs.trivial
    facts = {
        **choice,
        "estimates": [DiceEstimate(name=name, estimate=value) for name, value in dice.items()],
        "trivial_best": best,
        "trivial_reason": select.reason_for_baseline(best, findings, inputs.trivial) if best else None,
    }
    return SeedSelection.model_validate(facts)


def _baseline_is_best(seeds: Sequence[SeedSelection]) -> str | None:
    """Return why nothing is registered: a baseline beats the models of the first seed, or of most seeds. Else None."""
    reasons = [seed.trivial_reason for seed in seeds if seed.trivial_best]
    return reasons[0] if reasons and (seeds[0].trivial_best or 2 * len(reasons) > len(seeds)) else None


@dataclass(frozen=True)
class _DecisionInputs:
    """What the arms of a run are measured on, made when it is needed first."""

    run: Run
    home: Path

    @cached_property
    def data(self) -> Data:
        return Data.of(self.run.study, method_of(self.run.study, SOURCE), self.home)

    @cached_property
    def model(self) -> Model:
        return Model.load(self.run.arm(SOURCE, self.run.study.seeds[0]) / "model")

    @cached_property
    def candidate_inputs(self) -> CandidateInputs:
        return CandidateInputs.of(
            self.model, self.data.unlabelled, self.data.judges, self.run.study.seeds[0], self.data.scene
        )

    @cached_property
    def trivial(self) -> dict[str, float]:
        """Return the estimated Dice of the trivial baselines, the same for every seed."""
        labelled = [*self.data.labelled, *self.data.held_out]
        return select.estimate_baselines(
            self.model, self.data.unlabelled, labelled, self.run.study.seeds[0], self.data.scene
        )


def _used_no_target_labels(run: Run, arm: str, seed: int) -> bool:
    """Return whether an arm was trained, and without target labels."""
    return run.has(Training, arm, seed) and not run.read(Training, arm, seed).target_labels_used


def _measure_and_store(folder: Path, inputs: _DecisionInputs) -> Findings:
    """Measure an arm, and store the result beside its model, the document last."""
    findings = inputs.candidate_inputs.findings(Model.load(folder / "model"))
    np.savez_compressed(folder / LABELS, *findings.labels)
    write(findings.record(folder_digest(folder / "model")), folder / ModelFindings.FILE)
    return findings


def _stored_findings(folder: Path) -> Findings | None:
    """Return the stored measures of an arm, if they are complete, of this model and of all current validators."""
    if not (folder / ModelFindings.FILE).is_file():
        return None
    try:
        stored = read_record(ModelFindings, folder / ModelFindings.FILE)
        if stored.model_sha256 != folder_digest(folder / "model") or tuple(stored.scores) != VALIDATORS:
            return None
        with (
            documents.guarded(str(folder / LABELS), "DOCUMENT_INVALID", "label maps as numpy writes them"),
            np.load(folder / LABELS, allow_pickle=False) as labels,
        ):
            return Findings.of(stored, list(labels.values()))
    except (XmedError, FileNotFoundError):  # damaged, or a part is missing: measure again
        return None
