"""Arms: source-only, adapted and target-supervised trainings of a study, each a folder of its run."""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from queue import Empty
from typing import Any

import torch

from xmed import __version__, methods, nets, select
from xmed.cohort import Cohort, load
from xmed.domain import samples
from xmed.methods.method import Domains
from xmed.model import WEIGHTS, Model, sha256
from xmed.prepare import Sample, Sampler, augmentation_for, window_of
from xmed.run import TRAINED_ARMS, Run, write_atomically
from xmed.spec import MethodSpec, Study
from xmed.tasks import Segmentation
from xmed.train.loop import Progress, Trained, train

FOREGROUND_SHARE = 0.7


def method_of(study: Study, arm: str) -> MethodSpec:
    """The method that an arm trains: the study's own for `adapted`, else the method of the arm's name."""
    return study.method if arm == "adapted" else MethodSpec(name=arm)


def fit(run: Run, arm: str, seed: int, home: Path, progress: Progress | None = None) -> Path:
    """Train one arm with one seed into `run.arm(arm, seed)`: model/, losses.csv, train.json.

    A finished arm is left alone, an interrupted one goes on from its checkpoint. The same seed gives the same weights
    on the same machine. Raises XmedError NO_CASES, TRAINING_DIVERGED.
    """
    folder = run.arm(arm, seed)
    if (folder / "train.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    study, spec = run.study, method_of(run.study, arm)
    source, target = load(study.source, home), load(study.target, home)
    supervised = methods.find(spec.name).uses_target_labels
    labelled_from = target if supervised else source
    labelled = samples(labelled_from, study, ["train"], labelled=True)
    unlabelled = samples(target, study, ["train"], labelled=False)
    window = window_of(target.spec.modality, target.spec.window)
    torch.manual_seed(seed)
    method = _assemble(study, spec, seed)
    pool = method.survey(Domains(labelled, unlabelled, source.spec.modality, target.spec.modality, window, seed))
    # What a survey made is in the manner of the target, and may be turned and mirrored only as the target may.
    modality = labelled_from.spec.modality if pool is labelled else target.spec.modality
    batch, grid = study.budget.batch, study.grid
    drawn = Sampler(pool, grid, batch, augmentation_for(modality, study.structures), seed, FOREGROUND_SHARE)
    other = Sampler(unlabelled, grid, batch, augmentation_for(target.spec.modality, study.structures), seed + 1)
    report = functools.partial(progress, f"train {arm} seed {seed}") if progress else None
    device = nets.device()
    trained = train(method, drawn, other, study.budget, device, folder, report)
    held_out = samples(source, study, ["select"], labelled=True) if source.split("select") and not supervised else []
    card = _card(run, arm, seed, spec, {"source": source, "target": target})
    fixed = {
        "grid": grid, "network": study.network, "modality": target.spec.modality, "window": window, "card": card,
        "structures": target.spec.label_table.select(study.structures),
        "largest_component": study.task.largest_component,
    }  # fmt: skip
    model, selection = _pick(trained, fixed, method.deployed(), unlabelled, labelled, held_out, seed)
    model.save(folder / "model")
    record = {
        **{key: card[key] for key in ("arm", "seed", "method", "hyperparameters", "deployable")},
        "cite": method.cite,
        "steps": study.budget.steps,
        "batch": batch,
        "seconds": round(trained.seconds, 1),
        "parameters": sum(p.numel() for p in model.net.parameters()),
        "device": str(device),
        "network": study.network.model_dump(mode="json"),
        "target_labels_used": supervised,
        "selection": selection,
        "weights_sha256": sha256(folder / "model" / WEIGHTS),
    }
    write_atomically(folder / "train.json", json.dumps(record, indent=1) + "\n")
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return folder


def fit_all(run: Run, home: Path, workers: int | None = None, progress: Progress | None = None) -> list[Path]:
    """Every arm and seed of the run's study, most expensive first; no ceiling where the target has no training labels.

    On a CPU each is trained in a process of its own with one thread, as many at once as there are cores: faster than
    one training on all cores, and the result does not depend on how many there are. On a GPU one follows the other.
    """
    order = sorted(TRAINED_ARMS, key=lambda arm: arm != "adapted")
    if not any(case.label for case in load(run.study.target, home).split("train")):
        order.remove("target_supervised")
    jobs = [(arm, seed) for arm in order for seed in run.study.seeds]
    if nets.device().type == "cuda":
        return [fit(run, arm, seed, home, progress) for arm, seed in jobs]
    workers = min(workers or len(os.sched_getaffinity(0)), len(jobs))
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        queue, others = manager.Queue(), set(multiprocessing.active_children())
        with ProcessPoolExecutor(workers, context, initializer=_one_thread) as pool:
            futures = [pool.submit(fit, run, arm, seed, home, _Relay(queue)) for arm, seed in jobs]
            try:
                _follow(futures, queue, progress)
            except BaseException:
                for future in futures:
                    future.cancel()
                for worker in set(multiprocessing.active_children()) - others:
                    worker.terminate()  # the other arms would train on for minutes; their checkpoints stay
                raise
        return [future.result() for future in futures]


def _follow(futures: Sequence[Future[Path]], queue: Any, progress: Progress | None) -> None:
    """Pass on progress until every arm is done; raise at once what an arm raised."""
    pending = list(futures)
    while pending:
        with contextlib.suppress(Empty):
            note = queue.get(timeout=0.5)
            if progress:
                progress(*note)
        for future in [future for future in pending if future.done()]:
            future.result()
            pending.remove(future)


def _one_thread() -> None:
    torch.set_num_threads(1)


class _Relay:
    """Progress from a worker process: at most about two notes a second go through the queue."""

    def __init__(self, queue: Any) -> None:
        self.queue, self.last = queue, 0.0

    def __call__(self, what: str, done: int, total: int, note: str) -> None:
        if done == total or time.monotonic() - self.last > 0.5:
            self.queue.put((what, done, total, note))
            self.last = time.monotonic()


def _assemble(study: Study, spec: MethodSpec, seed: int) -> methods.Method:
    task = Segmentation(tuple(study.structures), study.task.largest_component)
    net = nets.build(study.network, study.grid.spatial_dims, study.grid.channels, task.classes, seed)
    return methods.find(spec.name)(net, task, **spec.hyperparameters)


def _pick(
    trained: Trained, fixed: dict[str, Any], net: torch.nn.Module, target: Sequence[Sample], source: Sequence[Sample],
    held_out: Sequence[Sample], seed: int,
) -> tuple[Model, dict[str, Any]]:  # fmt: skip
    """The candidate that the label-free guards choose, loaded into `net`, and the record of that choice."""
    steps = sorted(trained.candidates)
    model = Model(net.eval(), **fixed)
    chosen, verdicts = 0, [{"kept": True, "guards": {}}]
    if len(steps) > 1:
        evidence = []
        for step in steps:
            nets.fill(net, trained.candidates[step])
            evidence.append(select.judge(model, target, held_out, seed))
        known = [[float((s.truth == v).sum()) * s.grid.voxel_ml for s in source] for v in model.structures.values]
        chosen, verdicts = select.choose(evidence, known)
    nets.fill(net, trained.candidates[steps[chosen]])
    rule = select.RULE if len(steps) > 1 else "the last step"
    candidates = [{"step": step, **verdict} for step, verdict in zip(steps, verdicts)]
    return model, {"rule": rule, "used_target_labels": False, "candidates": candidates, "chosen": steps[chosen]}


def _card(run: Run, arm: str, seed: int, spec: MethodSpec, cohorts: dict[str, Cohort]) -> dict[str, Any]:
    """What a model's folder says of where it comes from."""
    return {
        "xmed": __version__,
        "study": run.study.name,
        "run": run.id,
        "arm": arm,
        "seed": seed,
        "method": spec.name,
        "hyperparameters": {**methods.hyperparameters(spec.name), **spec.hyperparameters},
        "deployable": not methods.find(spec.name).uses_target_labels,
        "protocol_sha256": run.read("protocol")["sha256"],
        "data": {name: cohort.fingerprint for name, cohort in cohorts.items()},
    }
