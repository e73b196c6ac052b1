"""Commands that use a model, validate it on other data, register it, and record what people decide about it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xmed.cli import flows
from xmed.cli.command import DONE, NO, Answer
from xmed.cli.options import (
    AnyModel,
    DataRoot,
    DatasetFile,
    LocalModel,
    ModelName,
    ModelVersion,
    RunId,
    SignatureMeaning,
    SignedBy,
)
from xmed.console.progress_display import report
from xmed.errors import XmedError

if TYPE_CHECKING:
    from xmed.records.model_version import ListedVersion

REFUSALS = ("MODEL_REFUSED", "MODEL_INVALID")
"""Error codes with which `xmed register` answers no (exit code 1) instead of reporting wrong input (2)."""


class ClinicalAlias(StrEnum):
    """Aliases of a model version that need a person's approval."""

    evaluation = "clinical-evaluation"
    use = "clinical-use"


class ExportFormat(StrEnum):
    """Formats that `xmed export` writes."""

    monai = "monai-bundle"


class PredictionFormat(StrEnum):
    """Formats that `xmed predict` writes."""

    nifti = "nifti"
    dicom_seg = "dicom-seg"


Alias = Annotated[
    ClinicalAlias, typer.Option("--for", help="The alias; clinical-use needs a second, different person.")
]


def models_command() -> Answer:
    """List every registered model version with its aliases and verdict."""
    from xmed.console.decisions import show_models
    from xmed.run import home, registry_is_there

    listed: list[ListedVersion] = []
    if registry_is_there(home()):  # without a registry there is no need to load MLflow
        from xmed.registry import versions

        listed = versions(home())
    return Answer(listed, lambda console: show_models(console, listed))


def predict_command(
    model: AnyModel,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="An image: a DICOM folder or file, or a NIfTI.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, such as labels.nii.gz or labels.dcm.")],
    format: Annotated[PredictionFormat, typer.Option(help="Format of the output.")] = PredictionFormat.nifti,
    channel: Annotated[
        int | None,
        typer.Option(min=0, help="Which volume, from 0, of a 4-D NIfTI or a series with several.", show_default=False),
    ] = None,
    sr: Annotated[
        Path | None,
        typer.Option(help="With dicom-seg: also write the measurements to this DICOM SR file.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output where it is there already.")] = False,
    send: Annotated[
        str | None,
        typer.Option(
            help="With dicom-seg: also store it in this archive: https://…, dimse://…, or a dataset with `pacs`.",
            show_default=False,
        ),
    ] = None,
) -> Answer:
    """Segment one image; the output lies on the image's own voxel grid.

    Example: xmed predict models:/NAME@candidate scan.nii.gz -o labels.nii.gz
    """
    from xmed.app.predict_image import predict_file, show_prediction
    from xmed.app.published_runs import model_at
    from xmed.app.send_to_archive import archive, send_back
    from xmed.run import home

    server = archive(send, format.value) if send else None
    reference = model_at(model, home(), report)
    prediction = predict_file(reference, source, out, format.value, force, home(), sr=sr, channel=channel)
    if server:
        sent = send_back([path for path in (out, sr) if path], server)
        prediction = prediction.model_copy(update={"sent": sent})
    return Answer(prediction, lambda console: show_prediction(console, prediction))


def validate_command(
    model: AnyModel,
    spec: DatasetFile,
    protocol: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file that says what counts as success (as `protocol` in a study). Default: the model's own.",
            show_default=False,
        ),
    ] = None,
    data_root: DataRoot = None,
) -> Answer:
    """Validate a finished model on labelled data it was not made from; writes a report.

    Exit code 1: the verdict is `fail`. Example: xmed validate models:/NAME@candidate other-data
    """
    from xmed.app.plan import plan_dataset

    plan_dataset(spec, data_root)  # refuses wrong input before Prefect starts and anything is written
    validate_flow = flows.load_validate_flow()
    from xmed.app.published_runs import model_at
    from xmed.console.tables import show_validation
    from xmed.report import read_report
    from xmed.run import home

    result = validate_flow(model_at(model, home(), report), spec, protocol, data_root)
    document = read_report(Path(result.folder) / "report")
    answer = result.model_copy(update={"verdict": document.verdict, "summary": document.summary})
    code = NO if document.verdict == "fail" else DONE
    return Answer(answer, lambda console: show_validation(console, result, document), code)


def drift_command(
    model: LocalModel,
    data: Annotated[
        str,
        typer.Argument(metavar="INPUT", help="A dataset, or a folder in which every file or DICOM folder is one case."),
    ],
    data_root: DataRoot = None,
) -> Answer:
    """Check whether new, unlabelled data still resembles what the model was validated on. Exit code 1: an alarm.

    Example: xmed drift models:/NAME@candidate incoming/
    """
    if not (Path(data).is_dir() or data_root):
        from xmed.app.plan import plan_dataset

        plan_dataset(data)  # refuses wrong input before Prefect starts and anything is written
    drift_flow = flows.load_drift_flow()
    from xmed.console.tables import show_drift
    from xmed.monitor import read_drift_check
    from xmed.records.record import content

    result = drift_flow(model, data, data_root)
    check = read_drift_check(Path(result.folder))
    code = NO if check.verdict == "alarm" else DONE
    document = {**content(result), **content(check)}
    return Answer(document, lambda console: show_drift(console, check, result.report), code)


def register_command(run: RunId) -> Answer:
    """Register the model of a finished run, as `xmed run` does at its end. Exit code 1: it is refused.

    A run that is registered already stays as it is. Example: xmed register my-study-20260101T120000Z-1a2b
    """
    from xmed.console.decisions import show_registration
    from xmed.records.answers import RefusalCause, RefusedRegistration
    from xmed.registry import register
    from xmed.run import Run, home

    try:
        version = register(Run.find(run, home()), home())
    except XmedError as problem:
        if problem.code not in REFUSALS:
            raise
        refused = RefusedRegistration(refused=RefusalCause(code=problem.code, what=problem.what))
        return Answer(refused, lambda console: show_registration(console, refused), NO)
    code = NO if version.version is None else DONE
    return Answer(version, lambda console: show_registration(console, version), code)


def approve_command(
    name: ModelName,
    version: ModelVersion,
    by: SignedBy = "",
    meaning: SignatureMeaning = "",
    alias: Alias = ClinicalAlias.evaluation,
    decline: Annotated[bool, typer.Option("--decline", help="Record a refusal instead.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Check the version now, then wait until somebody approves or declines.")
    ] = False,
    hours: Annotated[float, typer.Option(min=0.001, help="How many hours --wait waits.")] = 72.0,
) -> Answer:
    """Record a person's decision that gives a version a clinical alias. Exit code 1: refused, with every reason.

    Example: xmed approve NAME 3 --by "Ada Reader" --meaning "report reviewed; research scanner only"
    """
    from xmed.console.decisions import show_decision
    from xmed.registry import approve
    from xmed.run import home

    if wait:
        if by or meaning or decline:
            raise XmedError("USAGE", "--wait with --by, --meaning or --decline", "one of the two", "leave --wait out")
        decision = flows.load_approve_flow()(name, version, alias.value, hours)
    else:
        choice: Literal["approve", "decline"] = "decline" if decline else "approve"
        decision = approve(name, version, home(), by=by, meaning=meaning, alias=alias.value, decision=choice)
        from xmed_pipelines.pending_approvals import resume_waiting_flows

        resume_waiting_flows(home(), decision, meaning)
    code = DONE if decision.approved else NO
    return Answer(decision, lambda console: show_decision(console, decision), code)


def withdraw_command(
    name: ModelName,
    version: ModelVersion,
    by: SignedBy,
    meaning: SignatureMeaning,
    alias: Alias = ClinicalAlias.evaluation,
) -> Answer:
    """Take a clinical alias away at once; clinical-use goes with clinical-evaluation. Exit code 1: it held none.

    Example: xmed withdraw NAME 3 --by "Ada Reader" --meaning "misses small bladders"
    """
    from xmed.console.decisions import show_withdrawal
    from xmed.registry import withdraw
    from xmed.run import home

    withdrawal = withdraw(name, version, home(), by=by, meaning=meaning, alias=alias.value)
    code = DONE if withdrawal.withdrawn else NO
    return Answer(withdrawal, lambda console: show_withdrawal(console, withdrawal), code)


def export_command(
    model: LocalModel,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write; it must not exist yet.")],
    format: Annotated[ExportFormat, typer.Option(help="Format of the export.")] = ExportFormat.monai,
) -> Answer:
    """Export a model for other software: a MONAI bundle, which MONAI's own commands verify and run.

    Example: xmed export models:/NAME/3 -o bundle
    """
    del format  # there is only one so far
    from xmed.console.decisions import show_export
    from xmed.model.export import write_bundle
    from xmed.records.answers import ExportedBundle
    from xmed.records.record import parse
    from xmed.registry import fetch
    from xmed.run import home

    bundle = parse(ExportedBundle, write_bundle(fetch(model, home()), out), "the export")
    return Answer(bundle, lambda console: show_export(console, bundle))


COMMANDS = {
    "models": models_command,
    "predict": predict_command,
    "validate": validate_command,
    "drift": drift_command,
    "register": register_command,
    "approve": approve_command,
    "withdraw": withdraw_command,
    "export": export_command,
}
