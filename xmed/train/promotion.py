"""Decide, before any test label is read, whether adapted models are estimated to be better than source-only."""

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
from xmed.select import SOURCE, VALIDATORS, CandidateInputs, Findings
from xmed.select.rank_models import MARGIN
from xmed.train.arm_data import Data
from xmed.train.arms import method_of

FINDINGS, LABELS = "findings.json", "findings.npz"
"""Files beside an arm's model: its measures, and its label maps of the target volumes that were looked at."""
CHOICE = ("promoted", "registered", "used_target_labels")
"""The result of selection.json."""


def promote(
    run: Run, home: Path, arms: Sequence[str] = (SOURCE, "adapted"), progress: Progress | None = None
) -> dict[str, Any]:
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
    bench = _PromotionInputs(run, home)

    def found(arm: str, seed: int) -> Findings:
        folder = run.arm(arm, seed)
        return _stored_findings(folder) or _measure_and_store(folder, bench)

    selection = _selection(bench, arms, found, progress)
    run.write("selection", selection)
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
    if not run.has("selection"):
        return ["selection: there is no selection.json: nothing says that the model is better than source-only"]
    bench, written = _PromotionInputs(run, home), run.read("selection")

    def found(arm: str, seed: int) -> Findings:
        folder = run.arm(arm, seed)
        return (None if anew else _stored_findings(folder)) or bench.bench.findings(Model.load(folder / "model"))

    fresh = _selection(bench, (SOURCE, "adapted"), found)
    written.setdefault("registered", True)  # version 0.1.0 did not ask
    problems = [f"selection: {key} is {written.get(key)}, and {fresh[key]} when it is made again" for key in CHOICE
                if written.get(key) != fresh[key]]  # fmt: skip
    for seed, one in fresh["seeds"].items():
        problems += _differences(seed, written.get("seeds", {}).get(seed, {}), one)
    return problems


def _differences(seed: str, written: dict[str, Any], fresh: dict[str, Any]) -> list[str]:
    """Return where the choice of one seed, or the numbers it rests on, differ from what is written."""
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
    bench: _PromotionInputs,
    arms: Sequence[str],
    found: Callable[[str, int], Findings],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the content of selection.json."""
    run, seeds = bench.run, dict[str, Any]()
    for n, seed in enumerate(run.study.seeds):
        blind = [arm for arm in arms if _used_no_target_labels(run, arm, seed)]
        mine = {arm: found(arm, seed) for arm in blind}
        seeds[str(seed)] = {**select.rank_models(mine, bench.data.source_ml())[1], **_estimates(mine, bench)}
        if progress:
            said = seeds[str(seed)]["trivial_reason"] or seeds[str(seed)]["reason"]
            progress("select", n + 1, len(run.study.seeds), said)
    first, ahead = next(iter(seeds.values())), [_adapted_is_better(one) for one in seeds.values()]
    promoted = _adapted_is_better(first) and 2 * sum(ahead) > len(ahead)
    unlearned = _baseline_is_best(list(seeds.values()))
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
    """Return whether the adapted arm is better than source-only, whatever else it was compared with."""
    return "adapted" in record["better"]


def _estimates(found: dict[str, Findings], bench: _PromotionInputs) -> dict[str, Any]:
    """Return the estimated Dice of the models and trivial baselines of one seed, and which baseline is best, if any."""
    best = select.best_baseline(found, bench.trivial)
    models = [{"name": name, "estimate": select.estimate(one)} for name, one in found.items()]
    return {
        "estimates": [*models, *({"name": name, "estimate": dice} for name, dice in bench.trivial.items())],
        "trivial_best": best,
        "trivial_reason": select.reason_for_baseline(best, found, bench.trivial) if best else None,
    }


def _baseline_is_best(seeds: Sequence[dict[str, Any]]) -> str | None:
    """Return why nothing is registered: a baseline beats the models of the first seed, or of most seeds. Else None."""
    said = [one["trivial_reason"] for one in seeds if one["trivial_best"]]
    return said[0] if said and (seeds[0]["trivial_best"] or 2 * len(said) > len(seeds)) else None


@dataclass(frozen=True)
class _PromotionInputs:
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
    def bench(self) -> CandidateInputs:
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
    if not (run.arm(arm, seed) / "train.json").is_file():
        return False
    with documents.guarded(f"train.json of {arm}, seed {seed},", "DOCUMENT_INVALID", "what a training wrote"):
        return not run.trained(arm, seed)["target_labels_used"]


def _measure_and_store(folder: Path, bench: _PromotionInputs) -> Findings:
    """Measure an arm, and store the result beside its model, the document last."""
    found = bench.bench.findings(Model.load(folder / "model"))
    np.savez_compressed(folder / LABELS, *found.labels)
    document = {"model_sha256": folder_digest(folder / "model"), **found.record()}
    write_atomically(folder / FINDINGS, as_json(document))
    return found


def _stored_findings(folder: Path) -> Findings | None:
    """Return the stored measures of an arm, if they are complete, of this model and of all current validators."""
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
