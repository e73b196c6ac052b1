"""Train one arm of a run: source-only, adapted, supervised upper bound, any method, or several composed to one."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xmed import __version__, methods, networks, select
from xmed.errors import XmedError
from xmed.files.digest import file_digest, folder_digest
from xmed.files.progress import Progress, Steps
from xmed.home import Home
from xmed.methods import Domains
from xmed.model.deployed import Model
from xmed.model.folder import WEIGHTS
from xmed.model.volume_enlargement import learn_scale
from xmed.networks import Ensemble
from xmed.networks.distributed import ALONE, Ranks, process_group
from xmed.networks.precision import choose_precision
from xmed.networks.random_numbers import RandomNumbers
from xmed.prepare import Sampler
from xmed.records.model_card import ModelOrigin, SidePair
from xmed.records.provenance import FixedProtocol
from xmed.records.record import content, write
from xmed.records.training import Candidate, CheckpointChoice, ScaleTest, Training
from xmed.run import Arm, Run
from xmed.spec import MethodSpec, Study
from xmed.tasks import Segmentation
from xmed.tasks.location_prior import LabelledCases
from xmed.train import checkpoint
from xmed.train.arm_data import Data
from xmed.train.checkpoint import Trained
from xmed.train.loop import steps_of, train
from xmed.train.prefetch import prefetched

FOREGROUND_SHARE = 0.7
"""Share of the source patches that contain foreground."""
MADE_SAMPLES = "samples"
"""Folder of an arm for samples that its method made and that do not fit into memory; deleted when it is trained."""
PLACES_LEARNED_FROM = 24
"""Number of unlabelled volumes from which typical positions are learned; more do not improve the estimate."""
COPIED_FROM_ORIGIN = ("arm", "seed", "method", "hyperparameters", "cite", "deployable")
"""Fields of model.json that train.json has as well, in its order."""


def ensemble(models: Sequence[Model]) -> Model:
    """Return the model whose probabilities are the mean of several models' probabilities.

    Args:
        models: Models of the same grid, network and intensity window.

    Raises:
        XmedError: METHOD_NEEDS where they differ.
    """
    first = models[0]
    for other in models[1:]:
        if (other.grid, other.network, other.window) != (first.grid, first.network, first.window):
            what = f"{other.origin.method} and {first.origin.method} with different networks"
            raise XmedError("METHOD_NEEDS", f"an ensemble of {what}", "methods that share the study's network")
    spec = first.network.model_copy(update={"members": first.network.members * len(models)})
    nets_of = [
        net for model in models for net in (model.net.members if isinstance(model.net, Ensemble) else [model.net])
    ]
    return replace(first, net=Ensemble(nets_of).eval(), network=spec, enlarges=False)


def training_seconds(run: Run, arms: Sequence[str], seed: int) -> float:
    """Return the seconds of training that went into the given arms."""
    return sum(float(run.read(Training, arm, seed).seconds) for arm in arms)


def method_of(study: Study, arm: str) -> MethodSpec:
    """Return the method that an arm trains: the study's own for `adapted`, else the method of the arm's name.

    Args:
        study: The study.
        arm: Name of the arm.

    Returns:
        The method with its hyper-parameters.
    """
    return study.method if arm in (Arm.ADAPTED, study.method.name) else MethodSpec(name=arm)


def fit(run: Run, arm: str, seed: int, home: Path, progress: Progress | None = None, ranks: Ranks = ALONE) -> Path:
    """Train one arm with one seed into `run.arm(arm, seed)`: model/, losses.csv, train.json.

    A finished arm is left alone, an interrupted one continues from its checkpoint. The same seed gives the same weights
    on the same machine. Arms that this one starts from, or is made of (see `methods.needs`), must be trained already.

    Args:
        run: The run.
        arm: Name of the arm.
        seed: Seed of the training.
        home: Home folder with the store.
        progress: Called with (what, done, total, note).
        ranks: The processes that train the arm together (see `distributed_launch`). The first one writes.

    Returns:
        The arm's folder.

    Raises:
        XmedError: NO_CASES, TRAINING_DIVERGED, METHOD_NEEDS.
    """
    folder, spec = run.arm(arm, seed), method_of(run.study, arm)
    if run.has(Training, arm, seed):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    data = Data.of(run.study, spec, home)
    if spec.name in methods.COMPOSITIONS:
        return _compose(run, arm, seed, spec, data)
    device = networks.default_device()
    method, source = _prepare(run, spec, seed, data, folder, device, ranks)
    target = Sampler(data.unlabelled, data.grid, data.batch, data.augmentation(data.target), seed + 1)
    report = functools.partial(progress, f"train {arm} seed {seed}") if progress else None
    for sampler in (source, target):
        sampler.share(ranks.rank, ranks.count)
    if ranks.rank:  # what a method draws at random in its losses is another for every share
        method.random = RandomNumbers(int(np.random.SeedSequence([seed, ranks.rank]).generate_state(1)[0]))
    network = method.network(run.study.network)
    precision = choose_precision(network, data.grid, 1 + len(run.study.structures), device, "training", Home(home))
    with process_group(ranks, device), prefetched(source, target) as (labelled, unlabelled):
        budget, bfloat16 = run.study.budget, precision.is_bfloat16
        trained = train(method, labelled, unlabelled, budget, device, folder, report, ranks, bfloat16)
    if ranks.rank:
        return folder
    origin = _origin(run, arm, seed, spec, data)
    model = Model(method.deployed().eval(), network=network, origin=origin, **data.seen_by_model)
    model, selection = _choose_candidate(trained, model, data, seed, progress)
    model, scale = _finalise(model, data, method.enlarge)
    mirroring = None
    if arm == Arm.ADAPTED:
        mirroring = select.measure_mirroring(model, data.unlabelled, data.held_out, seed, data.scene, progress)
    record = {
        "steps": steps_of(method, run.study.budget),
        "batch": data.batch,
        "seconds": round(trained.seconds, 1),
        "seconds_waiting": round(sum(each.waited_s for each in (labelled, unlabelled)), 1),
        "device": str(device),
        "devices": ranks.count,
        "precision": precision,
        "network": network.model_dump(mode="json"),
        "target_labels_used": method.target_labels != "none",
        "selection": selection,
        "scale": scale,
        "mirroring": mirroring,
    }
    return _finish(folder, model, record)


def _prepare(
    run: Run, spec: MethodSpec, seed: int, data: Data, folder: Path, device: torch.device, ranks: Ranks
) -> tuple[methods.Method, Sampler]:
    """Build the method with its first weights and the sampler of its source batches."""
    kind, structures = methods.find(spec.name), tuple(run.study.structures)
    task = Segmentation(structures, run.study.task.largest_component, sum_over_batch=ranks.sum)
    net = networks.build_network(
        kind.network(run.study.network), data.grid.spatial_dims, data.grid.channels, task.classes, seed
    )
    if kind.schedule.start:
        start = Model.load(run.arm(kind.schedule.start, seed) / "model", torch.device("cpu"))
        networks.load_tensors(net, networks.named_tensors(start.net))
    method = kind.build(ranks.synchronise_batchnorm(net, device), task, spec.hyperparameters, seed)
    modality, samples = data.target.spec.modality, folder / f"{MADE_SAMPLES}-{ranks.rank}"
    shutil.rmtree(samples, ignore_errors=True)  # of a training that was interrupted: they are made again
    domains = Domains(
        data.labelled, data.unlabelled, data.source.spec.modality, modality, data.window, seed, data.few,
        None if ranks.rank else folder, data.scene, images=data.images or not kind.renders, pool=samples,
    )  # fmt: skip
    if not (kind.renders or data.images):
        domains = replace(domains, source=domains.hold(data.likenesses(seed)))
    pool = method.prepare_source(domains)
    # Samples that the method made look like target samples, so they are augmented as the target is.
    augmentation = data.augmentation(data.labelled_from if pool is data.labelled else data.target)
    return method, Sampler(pool, data.grid, data.batch, augmentation, seed, FOREGROUND_SHARE)


def _compose(run: Run, arm: str, seed: int, spec: MethodSpec, data: Data) -> Path:
    """Build the ensemble of finished arms, or take the one of them that is chosen without target labels."""
    names = methods.needs(spec)
    models = {name: Model.load(run.arm(name, seed) / "model") for name in names}
    if spec.name == "ensemble":
        model, _ = _finalise(ensemble(list(models.values())), data)
        made_of = CheckpointChoice(rule="all members", members=names)
    else:
        chosen, choice = select.select_model(models, data.unlabelled, data.judges, data.source_ml(), seed, data.scene)
        model, made_of = models[chosen], CheckpointChoice.model_validate(content(choice))
    model = replace(model, origin=_origin(run, arm, seed, spec, data, made_of))
    record = {
        "steps": 0,
        "batch": data.batch,
        "seconds": round(training_seconds(run, names, seed), 1),
        "device": str(model.device),
        "network": model.network.model_dump(mode="json"),
        "target_labels_used": any(methods.find(name).target_labels != "none" for name in names),
        "selection": CheckpointChoice.model_validate({"used_target_labels": False, **content(made_of)}),
    }
    return _finish(run.arm(arm, seed), model, record)


def _finish(folder: Path, model: Model, record: dict[str, Any]) -> Path:
    """Save the model. train.json is written last, so an arm that has one is finished."""
    model.save(folder / "model")
    document = Training(
        **{key: getattr(model.origin, key) for key in COPIED_FROM_ORIGIN},
        parameters=sum(p.numel() for p in model.net.parameters()),
        weights_sha256=file_digest(folder / "model" / WEIGHTS),
        model_sha256=folder_digest(folder / "model"),
        **record,
    )
    write(document, folder / Training.FILE)
    checkpoint.delete_checkpoints(folder)
    for samples in folder.glob(f"{MADE_SAMPLES}-*"):
        shutil.rmtree(samples, ignore_errors=True)
    return folder


def _choose_candidate(
    trained: Trained, model: Model, data: Data, seed: int, progress: Progress | None
) -> tuple[Model, CheckpointChoice]:
    """Load the candidate that the label-free checks choose into `model`, and return the record of that choice."""
    steps = sorted(trained.candidates)
    chosen, verdicts = 0, [select.Verdict(within_limits=True, guards={})]
    if len(steps) > 1:
        evidence, held_out = [], data.held_out
        volumes = select.volumes_to_measure(data.unlabelled, held_out)
        counted = Steps(progress, f"choose {model.origin.arm} seed {seed}", len(steps) * volumes)
        for step in steps:
            networks.load_tensors(model.net, trained.candidates[step])
            count = functools.partial(counted.add, f"weights of step {step}")
            evidence.append(select.measure_candidate(model, data.unlabelled, held_out, seed, data.scene, count))
        chosen, verdicts = select.select_checkpoint(evidence, data.source_ml())
    networks.load_tensors(model.net, trained.candidates[steps[chosen]])
    rule = select.RULE if len(steps) > 1 else "the last step"
    candidates = [
        Candidate.model_validate({"step": step, "kept": verdict.within_limits, "guards": verdict.guards})
        for step, verdict in zip(steps, verdicts)
    ]
    return model, CheckpointChoice(rule=rule, used_target_labels=False, candidates=candidates, chosen=steps[chosen])


def _finalise(model: Model, data: Data, enlarge: bool = False) -> tuple[Model, ScaleTest | None]:
    """Let the model learn typical positions in the unlabelled target, where it keeps one component of each structure.

    With `enlarge` it also learns whether to enlarge small volumes; the evidence is returned (see `learn_scale`).
    """
    seen = data.unlabelled[:PLACES_LEARNED_FROM]
    if model.largest_component:
        model = model.learn_places(seen)
    if not enlarge or data.posed:
        return model, None
    return learn_scale(model, LabelledCases([*data.labelled, *data.held_out]), seen)


def _origin(
    run: Run, arm: str, seed: int, spec: MethodSpec, data: Data, made_of: CheckpointChoice | None = None
) -> ModelOrigin:
    """Return what a model's folder says of the model's origin."""
    composed = methods.COMPOSITIONS.get(spec.name)
    kind, protocol = composed or methods.find(spec.name), run.read(FixedProtocol)
    facts = {
        "xmed": __version__,
        "study": run.study.name,
        "run": run.id,
        "arm": arm,
        "seed": seed,
        "method": spec.name,
        "hyperparameters": {**methods.hyperparameters(spec.name), **spec.hyperparameters},
        "cite": kind.cite,
        "deployable": data.labelled_from is not data.target,
        "protocol_sha256": protocol.sha256,
        "protocol": protocol.protocol,
        "data": SidePair(source=data.source.fingerprint, target=data.target.fingerprint),
        "datasets": SidePair(source=data.source.spec.name, target=data.target.spec.name),
    }
    return ModelOrigin.model_validate(facts if made_of is None else {**facts, "made_of": made_of})
