"""Check new, unlabelled data for drift: measure it, apply the alarm rule, write a page, log."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from xmed import cohort, monitor, registry
from xmed.app.external_validation import card_of, public_name
from xmed.app.plan import as_path, plan_dataset
from xmed.app.read_dataset import write_generated
from xmed.app.steps import Call, directly, outward
from xmed.console.progress_display import report
from xmed.errors import XmedError
from xmed.files.digest import digest
from xmed.home import Home
from xmed.records.answers import DriftPage
from xmed.records.drift import CheckedInput, CheckedModel, RefusedCase, ValidationReference
from xmed.records.model_card import ModelCard
from xmed.run import Run, home
from xmed.spec import DatasetSpec, spec_names

INCOMING = ".incoming"
"""After a dataset's name: its images as they come in, without labels; the dataset itself stays as it was ingested."""


def drift(model: str | Path, data: str | Path, data_root: str | Path | None = None, call: Call = directly) -> DriftPage:
    """Check whether new, unlabelled data are still what a model was validated on: ingest, measure, report, log.

    Args:
        model: models:/name@alias, models:/name/3, or a model folder.
        data: A dataset (name or YAML file), or a folder in which every file or DICOM folder is one case.
        data_root: Folder of the dataset's files, in place of the spec's.
        call: Calls each step.

    Returns:
        The folder with drift.json, and the path of the page.

    Raises:
        XmedError: REFERENCE_MISSING, MODEL_NOT_FOUND, and the codes of `incoming` and of each step.
    """
    named = str(model)
    folder = registry.fetch(named, home())
    spec = incoming(data, card_of(folder), data_root)
    reference = call(reference_for, named, folder)
    call(take_in, spec)
    page = call(check, named, folder, spec.name, reference)
    call(log_drift, page)
    return DriftPage(folder=str(page.parent), report=str(page))


@outward
def take_in(spec: DatasetSpec) -> None:
    """Read the new data into the store."""
    cohort.ingest_cases(spec, home(), progress=report, generate=write_generated)


def reference_for(model: str, folder: Path) -> ValidationReference:
    """What the model was validated on: as its version carries it, else from its run, where that and its data are here.

    Raises XmedError REFERENCE_MISSING.
    """
    if model.startswith("models:") and (carried := registry.reference_of(model, home())):
        return carried
    card = card_of(folder)
    try:
        reference = monitor.keep(Run.find(str(card.run), home()), home(), report)
    except XmedError as problem:
        what = f"{public_name(model)} carries no reference, and none can be made: {problem.what}"
        do = "register a model with this version of xmed, or check where its run is"
        raise XmedError("REFERENCE_MISSING", what, "a model with monitor.json among its evidence", do) from problem
    if reference.weights_sha256 != card.weights_sha256:
        what = f"run {card.run} deploys another seed than {public_name(model)}"
        raise XmedError("REFERENCE_MISSING", what, "the model that the run registered")
    return reference


def check(model: str, folder: Path, name: str, reference: ValidationReference) -> Path:
    """Measure the incoming cohort of that name and write drift.json and drift.html; returns the page's path."""
    from xmed.model import Model  # needs torch, which whoever only schedules or describes this job does not

    new_cases, net = cohort.load_cohort(name, home()), Model.load(folder)
    rows, unread = monitor.Bench(net, new_cases, reference.credible, report).measure(new_cases.cases)
    new = monitor.by_patient(new_cases.cases, rows)
    refused = [RefusedCase(case=case.case, code=case.code, message=case.message) for case in new_cases.quarantined]
    refused += [RefusedCase(case=case, code=error.code, message=error.what) for case, error in unread.items()]
    now = datetime.now(UTC)
    checked_model = CheckedModel(
        reference=public_name(model),
        study=net.origin.study or "",
        weights_sha256=str(net.weights_sha256),
        modality=net.modality,
    )
    data = CheckedInput(
        name=name.removesuffix(INCOMING),
        cases=len(new_cases.cases) + len(new_cases.quarantined),
        patients=len(new),
        fingerprint=new_cases.fingerprint,
    )
    place = f"{name.removesuffix(INCOMING)}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    created = now.isoformat(timespec="seconds")
    document = monitor.compose_drift_check(created, checked_model, data, reference, new, refused)
    return monitor.build_drift_check(document, Home.current().drift_reports / place)


@outward
def log_drift(page: Path) -> str:
    """Log a check to MLflow: p values, counts, expected Dice, and the files. Returns the id of the MLflow run."""
    check = monitor.read_drift_check(page.parent)
    measured: dict[str, float | None] = {
        "drift/alarm": float(check.verdict == "alarm"),
        "drift/unreadable": float(check.unreadable.n),
    }
    measured |= {"drift/patients": float(check.input.patients), "drift/p": check.p}
    for group in check.groups:
        measured |= {f"drift/{group.id}/{key}": getattr(group, key) for key in ("mmd2", "p", "p_adjusted")}
    measured |= {f"drift/{name}/dice_expected": estimate.mean for name, estimate in check.estimate.items()}
    tags = {"xmed.kind": "drift", "verdict": check.verdict, "weights_sha256": check.model.weights_sha256}
    tags |= {"model": check.model.reference, "data": check.input.name}
    metrics = {key: value for key, value in measured.items() if value is not None}
    return registry.log_check(check.model.study, page.parent.name, tags, metrics, page.parent, home())


def incoming(data: str | Path, card: ModelCard, data_root: str | Path | None = None) -> DatasetSpec:
    """Describe the data that is checked as a dataset without labels.

    Args:
        data: A dataset (name or YAML file), or a folder in which every file or DICOM folder is one case.
        card: The model's card (model.json).
        data_root: Folder of the dataset's files, in place of the spec's.

    Returns:
        The dataset, without labels.

    Raises:
        XmedError: SPEC_NOT_FOUND, SPEC_INVALID, MODALITY_MISMATCH, PATH_NOT_FOUND, NO_CASES, USAGE.
    """
    given, root = Path(data), as_path(data_root)
    if given.is_dir() and str(data) not in spec_names("dataset"):
        if data_root is not None:
            raise XmedError("USAGE", f"--data-root with the folder {data}", "a dataset's name, or a folder alone")
        return _folder(given.absolute(), card)
    spec = plan_dataset(data, root)
    if spec.layout.image is None:
        raise XmedError("SPEC_INVALID", f"{spec.name} is label maps alone", "a dataset with images")
    if spec.modality != card.modality:
        what = f"{spec.name} is {spec.modality}"
        raise XmedError("MODALITY_MISMATCH", what, f"{card.modality}, as the model's data")
    changed = {"name": f"{spec.name}{INCOMING}", "layout": spec.layout.model_copy(update={"label": None})}
    return spec.model_copy(update={**changed, **({"root": str(root.absolute())} if root else {})})


def _folder(folder: Path, card: ModelCard) -> DatasetSpec:
    """Whatever lies in a folder, a case each; their names, which may be people's, become pseudonyms."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", folder.name).strip("-").lower() or "folder"
    return DatasetSpec.model_validate(
        {
            "name": f"{stem}-{digest(str(folder))[:6]}{INCOMING}",
            "modality": card.modality,
            "root": str(folder),
            "layout": {"image": "{case}"},
            "labels": {n: {"name": structure.name} for n, structure in enumerate(card.structures, 1)},
            "splits": {"fraction": {"test": 1.0}},
        }
    )
