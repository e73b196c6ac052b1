"""Promotion: whether adapted models are estimated to be better than source-only, before a test label is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from xmed import select
from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import folder_digest
from xmed.model.deployed import Model
from xmed.records.record import Number, content, read, write
from xmed.records.selection import DiceEstimate, ModelFindings, SeedSelection, Selection
from xmed.records.training import Training
from xmed.run import Arm, Run
from xmed.select import SOURCE, VALIDATORS, Bench, Findings
from xmed.select.rank_models import MARGIN
from xmed.train.arm_data import Data
from xmed.train.arms import method_of
from xmed.train.loop import Progress

LABELS = "findings.npz"
"""Beside an arm's model and findings.json: its label maps of the target volumes that were looked at."""
CHOICE = ("promoted", "registered", "used_target_labels")
"""What selection.json says in the end."""


def promote(
    run: Run, home: Path, arms: Sequence[str] = (SOURCE, Arm.ADAPTED), progress: Progress | None = None
) -> Selection:
    """Write selection.json: per seed which arm is estimated best without target labels; return it.

    `promoted` says whether the net that would be registered, the adapted one of the first seed, may become a candidate:
    where it, and the adapted nets of most seeds, are estimated to be better than source-only of their seed.
    `registered` says whether it is registered at all: not where a trivial baseline is estimated to be better than every
    net of the first seed, or of most.
    Arms that saw target labels are left out. What was found of an arm is kept beside its model, and not looked for
    again.
    """
    bench = _Bench(run, home)

    def found(arm: str, seed: int) -> Findings:
        folder = run.arm(arm, seed)
        return _known(folder) or _keep(folder, bench)

    selection = _selection(bench, arms, found, progress)
    run.write(selection)
    return selection


def reselect(run: Run, home: Path, anew: bool = True) -> list[str]:
    """Where selection.json is not what the models of a run give on the unlabelled data; empty where it is.

    anew: whether each model is looked at again; else what was found beside it is taken, and only the choice made again.
    Raises XmedError PATH_NOT_FOUND where the store no longer has the data.
    """
    if not run.has(Selection):
        return ["selection: there is no selection.json: nothing says that the model is better than source-only"]
    bench, written = _Bench(run, home), run.read(Selection)

    def found(arm: str, seed: int) -> Findings:
        folder = run.arm(arm, seed)
        return (None if anew else _known(folder)) or bench.bench.findings(Model.load(folder / "model"))

    fresh = _selection(bench, (SOURCE, Arm.ADAPTED), found)
    problems = [f"selection: {key} is {before}, and {now} when it is made again" for key in CHOICE
                if (before := getattr(written, key)) != (now := getattr(fresh, key))]  # fmt: skip
    for seed, choice in fresh.seeds.items():
        problems += _unlike(seed, written.seeds.get(seed), choice)
    return problems


def _unlike(seed: str, written: SeedSelection | None, fresh: SeedSelection) -> list[str]:
    """Where the choice of one seed, or the numbers that it rests on, are others than those that were written down."""
    problems = [
        f"selection, seed {seed}: {key} is {before}, and {now} when it is made again"
        for key in ("better", "chosen", "adapt")
        if (before := getattr(written, key, None)) != (now := getattr(fresh, key))
    ]
    known = {model.name: model.scores for model in written.candidates} if written else {}
    for model in fresh.candidates:
        before = known.get(model.name, {})
        for name, value in model.scores.items():
            if _differ(before.get(name), value):
                problems.append(
                    f"selection, seed {seed}: {name} of {model.name} is {before.get(name)}, "
                    f"and {value} when found again"
                )
    return problems


def _differ(before: Number | None, now: Number | None) -> bool:
    return abs(before - now) > MARGIN if before is not None and now is not None else before is not now


def _selection(
    bench: _Bench, arms: Sequence[str], found: Callable[[str, int], Findings], progress: Progress | None = None
) -> Selection:
    """What selection.json says: per seed which arm is estimated best, and whether the adapted model may be promoted."""
    run, seeds = bench.run, dict[str, SeedSelection]()
    for n, seed in enumerate(run.study.seeds):
        blind = [arm for arm in arms if _learned_blind(run, arm, seed)]
        mine = {arm: found(arm, seed) for arm in blind}
        choice = select.decide(mine, bench.data.source_ml())[1]
        seeds[str(seed)] = record = _beside_trivial(content(choice), mine, bench)
        if progress:
            progress("select", n + 1, len(run.study.seeds), record.trivial_reason or record.reason)
    first, ahead = next(iter(seeds.values())), [_adapted_is_better(one) for one in seeds.values()]
    promoted = _adapted_is_better(first) and 2 * sum(ahead) > len(ahead)
    unlearned = _unlearned(list(seeds.values()))
    few = f"the adapted model is estimated to be better than source-only with {sum(ahead)} of {len(ahead)} seeds only"
    return Selection(
        promoted=promoted and unlearned is None,
        reason=unlearned or (first.reason if promoted or not _adapted_is_better(first) else few),
        registered=unlearned is None,
        rule=first.rule,
        used_target_labels=False,
        seeds=seeds,
    )


def _adapted_is_better(record: SeedSelection) -> bool:
    """Whether the adapted arm beats source-only, whatever else it was compared with."""
    return Arm.ADAPTED in record.better


def _beside_trivial(choice: Mapping[str, JsonValue], found: dict[str, Findings], bench: _Bench) -> SeedSelection:
    """The choice of one seed, with what is estimated of the models and of the trivial baselines, in Dice."""
    best = select.best(found, bench.trivial)
    dice = {name: select.estimate(one) for name, one in found.items()} | bench.trivial
    facts = {
        **choice,
        "estimates": [DiceEstimate(name=name, estimate=value) for name, value in dice.items()],
        "trivial_best": best,
        "trivial_reason": select.told(best, found, bench.trivial) if best else None,
    }
    return SeedSelection.model_validate(facts)


def _unlearned(seeds: Sequence[SeedSelection]) -> str | None:
    """Why nothing is registered: a baseline is best beside the first seed's nets, or beside those of most seeds."""
    reasons = [seed.trivial_reason for seed in seeds if seed.trivial_best]
    return reasons[0] if reasons and (seeds[0].trivial_best or 2 * len(reasons) > len(seeds)) else None


@dataclass(frozen=True)
class _Bench:
    """What the arms of a run are shown, made when the first of them needs it."""

    run: Run
    home: Path

    @cached_property
    def data(self) -> Data:
        return Data.of(self.run.study, method_of(self.run.study, SOURCE), self.home)

    @cached_property
    def model(self) -> Model:
        return Model.load(self.run.arm(SOURCE, self.run.study.seeds[0]) / "model")

    @cached_property
    def bench(self) -> Bench:
        return Bench.of(self.model, self.data.unlabelled, self.data.judges, self.run.study.seeds[0], self.data.scene)

    @cached_property
    def trivial(self) -> dict[str, float]:
        """Estimated Dice of the trivial baselines, the same beside every seed."""
        labelled = [*self.data.labelled, *self.data.held_out]
        return select.trivial(self.model, self.data.unlabelled, labelled, self.run.study.seeds[0], self.data.scene)


def _learned_blind(run: Run, arm: str, seed: int) -> bool:
    """Whether this arm was trained, and without a single target label."""
    return run.has(Training, arm, seed) and not run.read(Training, arm, seed).target_labels_used


def _keep(folder: Path, bench: _Bench) -> Findings:
    """What is found of an arm; kept beside its model, the document last."""
    found = bench.bench.findings(Model.load(folder / "model"))
    np.savez_compressed(folder / LABELS, *found.labels)
    write(found.record(folder_digest(folder / "model")), folder / ModelFindings.FILE)
    return found


def _known(folder: Path) -> Findings | None:
    """What was found of an arm before, if it is whole, of this model and by all of today's validators."""
    if not (folder / ModelFindings.FILE).is_file():
        return None
    try:
        kept = read(ModelFindings, folder / ModelFindings.FILE)
        if kept.model_sha256 != folder_digest(folder / "model") or tuple(kept.scores) != VALIDATORS:
            return None
        numbers = {field.name: getattr(kept, field.name) for field in fields(Findings) if field.name != "labels"}
        with (
            documents.guarded(str(folder / LABELS), "DOCUMENT_INVALID", "label maps as numpy writes them"),
            np.load(folder / LABELS, allow_pickle=False) as labels,
        ):
            return Findings(**numbers, labels=list(labels.values()))
    except (XmedError, FileNotFoundError):  # damaged, or half of it gone: it is looked for again
        return None
