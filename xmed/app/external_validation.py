"""External validation: measure a finished model on labelled data that it was not trained on; nothing is trained."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xmed import cohort, evaluate, registry
from xmed.app.adapt import (
    build_report,
    describe_environment,
    evaluate_run,
    keep_reference,
    remove_on_failure,
)
from xmed.app.default_protocol import least_protocol, own_protocol
from xmed.app.plan import as_path, plan_dataset
from xmed.app.read_dataset import ingest_dataset
from xmed.app.steps import Call, directly
from xmed.cohort import Cohort
from xmed.console.progress_display import report as progress
from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import digest, file_digest, folder_digest
from xmed.model.folder import CARD, WEIGHTS
from xmed.records.answers import ValidatedRun
from xmed.records.data_summary import CaseFlow, CohortSummary, DataSummary, Leakage
from xmed.records.model_card import ModelCard
from xmed.records.provenance import TrainingData, TrainingSides, ValidatedModel
from xmed.records.record import read_record
from xmed.records.training import CheckpointChoice, Training
from xmed.run import Arm, Run, home
from xmed.spec import DatasetSpec, Protocol, Study, load_protocol

NOT_HERE = "the data that the model was made from are not here: only a look at their names and digests could tell"
NO_FLOW = CaseFlow(found=0, readable=0, quarantined=0, train=0, select=0, test=0)


def validate(
    model: str | Path,
    spec: str | Path,
    protocol: str | Path | None = None,
    data_root: str | Path | None = None,
    call: Call = directly,
) -> ValidatedRun:
    """Validate a finished model on a labelled dataset that it was not trained on: ingest, evaluate, report.

    Args:
        model: models:/name@alias, models:/name/3, or a model folder.
        spec: A dataset: its name or YAML file.
        protocol: A YAML file that says what counts as success, in place of the model's own protocol.
        data_root: Folder of the dataset's files, in place of the spec's.
        call: Calls each step.

    Returns:
        The run, its folder, and the path of its page.

    Raises:
        XmedError: MODEL_NOT_FOUND, MODEL_INVALID, SPEC_INVALID, MODALITY_MISMATCH, and the codes of each step.
    """
    started, dataset, root, reference = datetime.now(UTC), plan_dataset(spec, data_root), as_path(data_root), str(model)
    folder = registry.fetch(reference, home())
    entry = registry.version_of(reference, home()) if reference.startswith("models:") else None
    carried = registry.report_of(reference, home()) if entry else None
    study = external_study(folder, dataset, load_protocol(Path(protocol)) if protocol else None, carried)
    run = begin(folder, reference, study, home(), str(entry.version) if entry else None)
    progress("run", 1, 1, run.id)
    with remove_on_failure(run, unless=False):
        call(ingest_dataset, spec, root)
        call(describe_external, run.folder, dataset.name)
    call(evaluate_run, run.folder, root)
    call(keep_reference, run.folder)
    call(describe_environment, run.folder, started)
    page = call(build_report, run.folder)
    return ValidatedRun(run=run.id, folder=str(run.folder), report=str(page))


def describe_external(folder: Path, target: str) -> CaseFlow | None:
    """Write data.json of a validation. Raises XmedError NO_CASES where no test case has a label."""
    evaluate.judged(cohort.load_cohort(target, home()))
    return describe(Run(folder), cohort.load_cohort(target, home()), home()).target.flow


def external_study(
    model: Path, spec: DatasetSpec, protocol: Protocol | None, report: dict[str, Any] | None = None
) -> Study:
    """Make the study of a validation: the model's own grid, network, method and protocol, with a new target.

    The protocol is the one that is given, else that of the model's report, of its run, or of its card.

    Args:
        model: The model's folder.
        spec: The new dataset.
        protocol: What counts as success, in place of the model's own protocol.
        report: The report of the model's version, where there is one.

    Raises:
        XmedError: SPEC_INVALID, where the data lacks a structure of the model or the protocol names another one;
            MODALITY_MISMATCH, MODEL_INVALID.
    """
    card = card_of(model)
    names = [structure.name for structure in card.structures]
    missing = [name for name in names if name not in spec.label_table.names]
    if missing:
        what = f"{spec.name} has no label {', '.join(missing)}"
        raise XmedError(
            "SPEC_INVALID", what, f"labels of {', '.join(names)}, which the model draws", "map them in its spec"
        )
    if spec.modality != card.modality:
        raise XmedError("MODALITY_MISMATCH", f"{spec.name} is {spec.modality}", f"{card.modality}, as the model's data")
    own, tolerance = own_protocol(card, report, names)
    chosen = protocol or own or least_protocol(names[0])
    if chosen.nsd_tolerance_mm is None and tolerance is not None and spec.spacing_credible:
        chosen = chosen.model_copy(update={"nsd_tolerance_mm": tolerance})
    if "not_below_source_only" not in chosen.accept.model_fields_set:  # a default of studies; here is no such arm
        chosen = chosen.model_copy(update={"accept": chosen.accept.model_copy(update={"not_below_source_only": False})})
    if chosen.primary.structure not in names:
        raise XmedError(
            "SPEC_INVALID", f"protocol.primary.structure {chosen.primary.structure}", f"one of {', '.join(names)}"
        )
    return Study.model_validate({
        "name": f"{card.study}-on-{spec.name}",
        "source": card.datasets.source or "unknown",
        "target": spec.name,
        "structures": names,
        "grid": card.grid,
        "network": card.network,
        "task": {"largest_component": card.largest_component},
        "method": {"name": card.method},
        "seeds": [card.seed],
        "protocol": chosen,
        "register_as": card.study,
    })  # fmt: skip


def begin(model: Path, reference: str, study: Study, home: Path, version: str | None = None) -> Run:
    """Make the run of a validation, whose one arm, `adapted`, is the finished model; its protocol is fixed and hashed.

    Args:
        model: The model's folder.
        reference: The model as the user named it.
        study: The study of the validation.
        home: The home.
        version: The version that the registry found, where the model is registered.
    """
    card, run = card_of(model), Run.create(study, home)
    seed = card.seed or 0
    folder = run.arm(Arm.ADAPTED, seed)
    shutil.copytree(model, folder / "model", ignore=lambda _, names: [n for n in names if n not in (WEIGHTS, CARD)])
    weights = file_digest(folder / "model" / WEIGHTS)
    if weights != card.weights_sha256:
        raise XmedError("MODEL_INVALID", f"{model}: weights are not those its card names", "an untouched folder")
    from xmed.model import Model  # needs torch, which whoever only schedules or describes this job does not

    training = Training(
        arm=Arm.ADAPTED,
        seed=seed,
        method=card.method,
        hyperparameters=card.hyperparameters,
        cite=card.cite,
        deployable=card.deployable,
        parameters=sum(p.numel() for p in Model.load(folder / "model").net.parameters()),
        weights_sha256=weights,
        model_sha256=folder_digest(folder / "model"),
        steps=0,
        batch=0,
        seconds=0.0,
        device="as the run that made it",
        network=documents.read_json(folder / "model" / CARD)["network"],
        target_labels_used=False,
        selection=CheckpointChoice(rule="the model as it was registered", used_target_labels=False, candidates=[]),
    )
    run.write(training, arm=training.arm, seed=training.seed)
    called = {"model": public_name(reference), **_registered_name(reference, version)}
    run.write(ValidatedModel.model_validate({**called, "weights_sha256": weights, **_origin(card)}))
    return run


def describe(run: Run, target: Cohort, home: Path) -> DataSummary:
    """Write data.json: the new data, and of the training data whatever is still here to be compared with."""
    training = run.read(ValidatedModel).training
    source, before = _stored_cohort(training.source, home), _stored_cohort(training.target, home)
    document = DataSummary(
        source=cohort.describe_cohort(source) if source else _absent_cohort(run, training.source),
        target=cohort.describe_cohort(target),
        leakage=_leakage(source, before, target),
    )
    run.write(document)
    return document


def card_of(model: Path) -> ModelCard:
    """Read a model's card (model.json).

    Args:
        model: The model's folder.

    Returns:
        The card.

    Raises:
        XmedError: MODEL_NOT_FOUND, MODEL_INVALID.
    """
    path = model / CARD
    if not path.is_file():
        raise XmedError("MODEL_NOT_FOUND", f"no {CARD} in {model}", "a model folder that xmed wrote")
    card = read_record(ModelCard, path, "MODEL_INVALID")
    for key in ("study", "seed", "method"):
        if getattr(card, key) is None:
            raise XmedError("MODEL_INVALID", f"{path} lacks '{key}'", "a model folder that xmed wrote")
    return card


def public_name(reference: str) -> str:
    """The name of a model to show: of a folder only its last part, since the paths of this machine are private."""
    return reference if reference.startswith("models:/") else Path(reference).name


def _registered_name(reference: str, version: str | None) -> dict[str, str | None]:
    """The name and version of a registered model; of a folder there are none."""
    if not reference.startswith("models:/"):
        return {}
    name, _, last = reference.removeprefix("models:/").replace("@", "/@").partition("/")
    return {"name": name, "version": version or (last if last.isdigit() else None)}


def _origin(card: ModelCard) -> dict[str, Any]:
    training = TrainingSides(
        source=TrainingData(name=card.datasets.source, fingerprint=card.data.source),
        target=TrainingData(name=card.datasets.target, fingerprint=card.data.target),
    )
    return {
        "study": card.study,
        "run": card.run,
        "protocol_sha256": card.protocol_sha256,
        "training": training,
    }


def _stored_cohort(data: TrainingData, home: Path) -> Cohort | None:
    """The very data that the model was made from, if they are still ingested here, unchanged."""
    if not data.name:
        return None
    try:
        stored = cohort.load_cohort(data.name, home)
    except XmedError:
        return None
    return stored if stored.fingerprint == data.fingerprint else None


def _leakage(source: Cohort | None, before: Cohort | None, target: Cohort) -> Leakage:
    """As of a study, where the training data are here: then their train and select cases are what was learned.

    source, before: what the model was trained on, where it is here.
    """
    leakage = cohort.find_leakage([dataset for dataset in (source, before) if dataset], target)
    if source is not None and before is not None:
        return leakage
    # Half of the comparison proves nothing: what it finds stands, what it does not find is not known.
    checks = [
        check.model_copy(update={"n_shared": check.n_shared or None, "reason": None if check.n_shared else NOT_HERE})
        for check in leakage.checks
    ]
    return leakage.model_copy(update={"checks": checks})


def _absent_cohort(run: Run, training: TrainingData) -> CohortSummary:
    return CohortSummary(
        name=training.name or "not known here",
        modality="unknown",
        licence=None,
        source=None,
        fingerprint=training.fingerprint or digest(None),
        structures=run.study.structures,
        spacing_credible=True,
        cases=[],
        quarantined=[],
        flow=NO_FLOW,
    )
