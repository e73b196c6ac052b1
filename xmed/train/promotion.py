"""Promotion: whether adapted models are estimated to be better than source-only, before a test label is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xmed import select
from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.atomic import write_atomically
from xmed.files.digest import folder_digest
from xmed.files.json_numbers import as_json
from xmed.files.progress import Progress
from xmed.model.deployed import Model
from xmed.run import Run
from xmed.select import SOURCE, VALIDATORS, Bench, Findings
from xmed.select.rank_models import MARGIN
from xmed.train.arm_data import Data
from xmed.train.arms import method_of

FINDINGS, LABELS = "findings.json", "findings.npz"
"""Beside an arm's model: what was found of it, and its label maps of the target volumes that were looked at."""
CHOICE = ("promoted", "registered", "used_target_labels")
"""What selection.json says in the end."""


def promote(
    run: Run, home: Path, arms: Sequence[str] = (SOURCE, "adapted"), progress: Progress | None = None
) -> dict[str, Any]:
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
    run.write("selection", selection)
    return selection


def reselect(run: Run, home: Path, anew: bool = True) -> list[str]:
    """Where selection.json is not what the models of a run give on the unlabelled data; empty where it is.

    anew: whether each model is looked at again; else what was found beside it is taken, and only the choice made again.
    Raises XmedError PATH_NOT_FOUND where the store no longer has the data.
    """
    if not run.has("selection"):
        return ["selection: there is no selection.json: nothing says that the model is better than source-only"]
    bench, written = _Bench(run, home), run.read("selection")

    def found(arm: str, seed: int) -> Findings:
        folder = run.arm(arm, seed)
        return (None if anew else _known(folder)) or bench.bench.findings(Model.load(folder / "model"))

    fresh = _selection(bench, (SOURCE, "adapted"), found)
    written.setdefault("registered", True)  # version 0.1.0 did not ask
    problems = [f"selection: {key} is {written.get(key)}, and {fresh[key]} when it is made again" for key in CHOICE
                if written.get(key) != fresh[key]]  # fmt: skip
    for seed, one in fresh["seeds"].items():
        problems += _unlike(seed, written.get("seeds", {}).get(seed, {}), one)
    return problems


def _unlike(seed: str, written: dict[str, Any], fresh: dict[str, Any]) -> list[str]:
    """Where the choice of one seed, or the numbers that it rests on, are others than those that were written down."""
    problems = [
        f"selection, seed {seed}: {key} is {written.get(key)}, and {fresh[key]} when it is made again"
        for key in ("better", "chosen", "adapt")
        if written.get(key) != fresh[key]
    ]
    said = {one["name"]: one["scores"] for one in written.get("candidates", ())}
    for one in fresh["candidates"]:
        before = said.get(one["name"], {})
        for name, value in one["scores"].items():
            there = before.get(name)
            if (there is None) != (value is None) or (value is not None and abs(there - value) > MARGIN):
                problems.append(
                    f"selection, seed {seed}: {name} of {one['name']} is {there}, and {value} when found again"
                )
    return problems


def _selection(
    bench: _Bench, arms: Sequence[str], found: Callable[[str, int], Findings], progress: Progress | None = None
) -> dict[str, Any]:
    """What selection.json says: per seed which arm is estimated best, and whether the adapted model may be promoted."""
    run, seeds = bench.run, dict[str, Any]()
    for n, seed in enumerate(run.study.seeds):
        blind = [arm for arm in arms if _learned_blind(run, arm, seed)]
        mine = {arm: found(arm, seed) for arm in blind}
        seeds[str(seed)] = {**select.decide(mine, bench.data.source_ml())[1], **_beside(mine, bench)}
        if progress:
            said = seeds[str(seed)]["trivial_reason"] or seeds[str(seed)]["reason"]
            progress("select", n + 1, len(run.study.seeds), said)
    first, ahead = next(iter(seeds.values())), [_adapted_is_better(one) for one in seeds.values()]
    promoted = _adapted_is_better(first) and 2 * sum(ahead) > len(ahead)
    unlearned = _unlearned(list(seeds.values()))
    few = f"the adapted model is estimated to be better than source-only with {sum(ahead)} of {len(ahead)} seeds only"
    return {
        "promoted": promoted and unlearned is None,
        "reason": unlearned or (first["reason"] if promoted or not _adapted_is_better(first) else few),
        "registered": unlearned is None,
        "rule": first["rule"],
        "used_target_labels": False,
        "seeds": seeds,
    }


def _adapted_is_better(record: dict[str, Any]) -> bool:
    """Whether the adapted arm beats source-only, whatever else it was compared with."""
    return "adapted" in record["better"]


def _beside(found: dict[str, Findings], bench: _Bench) -> dict[str, Any]:
    """Of one seed what is estimated of the trivial baselines and of the models, in Dice; and which baseline is best."""
    best = select.best(found, bench.trivial)
    models = [{"name": name, "estimate": select.estimate(one)} for name, one in found.items()]
    return {
        "estimates": [*models, *({"name": name, "estimate": dice} for name, dice in bench.trivial.items())],
        "trivial_best": best,
        "trivial_reason": select.told(best, found, bench.trivial) if best else None,
    }


def _unlearned(seeds: Sequence[dict[str, Any]]) -> str | None:
    """Why nothing is registered: a baseline is best beside the first seed's nets, or beside those of most seeds."""
    said = [one["trivial_reason"] for one in seeds if one["trivial_best"]]
    return said[0] if said and (seeds[0]["trivial_best"] or 2 * len(said) > len(seeds)) else None


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
    if not (run.arm(arm, seed) / "train.json").is_file():
        return False
    with documents.guarded(f"train.json of {arm}, seed {seed},", "DOCUMENT_INVALID", "what a training wrote"):
        return not run.trained(arm, seed)["target_labels_used"]


def _keep(folder: Path, bench: _Bench) -> Findings:
    """What is found of an arm; kept beside its model, the document last."""
    found = bench.bench.findings(Model.load(folder / "model"))
    np.savez_compressed(folder / LABELS, *found.labels)
    document = {"model_sha256": folder_digest(folder / "model"), **found.record()}
    write_atomically(folder / FINDINGS, as_json(document))
    return found


def _known(folder: Path) -> Findings | None:
    """What was found of an arm before, if it is whole, of this model and by all of today's validators."""
    if not (folder / FINDINGS).is_file():
        return None
    try:
        document = documents.read_mapping(folder / FINDINGS)
        with documents.guarded(str(folder / FINDINGS), "DOCUMENT_INVALID", "what was found of a model"):
            same = document.pop("model_sha256", None) == folder_digest(folder / "model")
            if not same or tuple(document["scores"]) != VALIDATORS:
                return None
            with np.load(folder / LABELS, allow_pickle=False) as labels:
                return Findings(**document, labels=list(labels.values()))
    except (XmedError, FileNotFoundError):  # damaged, or half of it gone: it is looked for again
        return None
