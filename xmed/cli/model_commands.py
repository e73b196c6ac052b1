"""Commands that use a model, validate it on other data, register it, and record what people decide."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from xmed.cli import flows
from xmed.cli.command import DONE, NO, Answer, command
from xmed.console.progress import report
from xmed.errors import XmedError

REFUSALS = ("MODEL_REFUSED", "MODEL_INVALID")
"""What makes a registration an answer of no, not a wrong question."""

Name = Annotated[str, typer.Argument(help="A registered model's name.")]

Version = Annotated[int, typer.Argument(min=1, help="Which version of it.")]

By = Annotated[str, typer.Option(help="The person who answers for this.")]

Meaning = Annotated[str, typer.Option(help="What the signature means: reviewed what, approved for what.")]


class Clinical(StrEnum):
    """The aliases that need a person's approval."""

    evaluation = "clinical-evaluation"
    use = "clinical-use"


class Bundle(StrEnum):
    """What `xmed export` writes."""

    monai = "monai-bundle"


class Format(StrEnum):
    """What `xmed predict` writes."""

    nifti = "nifti"
    dicom_seg = "dicom-seg"


For = Annotated[Clinical, typer.Option("--for", help="The alias; clinical-use needs a second, different person.")]


def add(app: typer.Typer) -> None:
    """Make these the commands of `app`."""
    main: tuple[Callable[..., Answer], ...] = (models, predict, validate, drift, register, approve, withdraw, export)
    for function in main:
        command(app)(function)
    below = typer.Typer(help="The log of every step of every model.", no_args_is_help=True)
    for function in (verify, show):
        command(below)(function)
    app.add_typer(below, name="audit")


def models() -> Answer:
    """Every registered model version, with its aliases and verdict."""
    from xmed.console.tables import table
    from xmed.run import home, registry_is_there

    rows = []
    if registry_is_there(home()):  # else there is nothing to wait for MLflow for
        from xmed.registry import versions

        rows = versions(home())
    columns = ("name", "version", "aliases", "verdict", "xmed.run", "weights_sha256")
    short = [{**row, "weights_sha256": str(row.get("weights_sha256", ""))[:12]} for row in rows]
    return Answer(rows, lambda console: console.print(table(short, columns) if rows else "no models yet"))


def predict(
    model: Annotated[
        str, typer.Argument(help="models:/name@alias, models:/name/3, a model folder or a published URL.")
    ],
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A DICOM folder or file, or a NIfTI.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    format: Annotated[Format, typer.Option(help="What to write.")] = Format.nifti,
    channel: Annotated[
        int | None, typer.Option(min=0, help="Which volume of a 4-D NIfTI or of a series with several, from 0.")
    ] = None,
    sr: Annotated[Path | None, typer.Option(help="Measurements as a DICOM SR, beside dicom-seg.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output when it is there.")] = False,
    send: Annotated[
        str | None, typer.Option(help="Store it in this archive, too: https://…, dimse://…, or a dataset with `pacs`.")
    ] = None,
) -> Answer:
    """Segment one image with a registered model; the output lies on the image's own grid."""
    from xmed.app.predict_image import predict_file, show_prediction
    from xmed.app.published_runs import model_at
    from xmed.app.send_to_archive import archive, send_back
    from xmed.run import home

    server = archive(send, format.value) if send else None
    document = predict_file(
        model_at(model, home(), report), source, out, format.value, force, home(), sr=sr, channel=channel
    )
    if server:
        document["sent"] = send_back([path for path in (out, sr) if path], server)
    return Answer(document, lambda console: show_prediction(console, document))


def validate(
    model: Annotated[
        str, typer.Argument(help="models:/name@alias, models:/name/3, a model folder or a published URL.")
    ],
    spec: Annotated[str, typer.Argument(help="A labelled dataset's name or its YAML file.")],
    protocol: Annotated[
        Path | None, typer.Option(help="A YAML of what counts as success: primary, accept ... as in a study.")
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the files lie, instead of the spec's root.")] = None,
) -> Answer:
    """External validation: a finished model on labelled data it was not made from; a report of its own."""
    from xmed.app.plan import plan_dataset

    plan_dataset(spec, data_root)  # before Prefect starts and anything is written
    adaptation = flows.load()
    from xmed.app.published_runs import model_at
    from xmed.console.tables import show_validation
    from xmed.report import read
    from xmed.run import home

    result = adaptation.validate(model_at(model, home(), report), spec, protocol, data_root)
    found = read(Path(result["folder"]) / "report")
    document = {**result, "verdict": found["verdict"], "summary": found["summary"]}
    code = NO if found["verdict"] == "fail" else DONE
    return Answer(document, lambda console: show_validation(console, result, found), code)


def drift(
    model: Annotated[str, typer.Argument(help="models:/name@alias, models:/name/3 or a model folder.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="A dataset's name or YAML file, or a folder with a file or folder per case."
        ),
    ],
    data_root: Annotated[Path | None, typer.Option(help="Where the files lie, instead of the spec's root.")] = None,
) -> Answer:
    """Is this new, unlabelled data what the model was validated on. Exit 1: an alarm."""
    if not (Path(data).is_dir() or data_root):
        from xmed.app.plan import plan_dataset

        plan_dataset(data)  # before Prefect starts and anything is written
    from xmed.server.process_environment import open_home

    open_home()
    from xmed_pipelines.drift_flow import drift as flow

    from xmed.console.tables import show_drift
    from xmed.monitor import read

    result = flow(model, data, data_root)
    found = read(Path(result["folder"]))
    code = NO if found["verdict"] == "alarm" else DONE
    return Answer({**result, **found}, lambda console: show_drift(console, found, result["report"]), code)


def register(run: Annotated[str, typer.Argument(help="A run's id or its folder.")]) -> Answer:
    """Register the model of a finished run, as `xmed run` does at its end; nothing is done twice. Exit 1: refused."""
    from xmed.registry import register as enter
    from xmed.run import Run, home

    try:
        found = enter(Run.find(run, home()), home())
    except XmedError as problem:
        if problem.code not in REFUSALS:
            raise
        refusal, line = {"code": problem.code, "what": problem.what}, f"refused: {problem.what}"
        return Answer({"refused": refusal}, lambda console: _say(console, line), NO)
    if found["version"] is None:
        line = f"nothing registered: {found['not_registered']}"
        return Answer(found, lambda console: _say(console, line), NO)
    alias = f"alias {found['alias']}" if found["alias"] else f"not as candidate: {found.get('not_promoted')}"
    text = f"{found['name']} version {found['version']}, {alias}, verdict {found['verdict']}"
    return Answer(found, lambda console: _say(console, text))


def approve(
    name: Name,
    version: Version,
    by: By = "",
    meaning: Meaning = "",
    stage: For = Clinical.evaluation,
    decline: Annotated[bool, typer.Option("--decline", help="Say no, on record.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Check the gate, then wait for a person's decision.")] = False,
    hours: Annotated[float, typer.Option(min=0.001, help="How long --wait waits.")] = 72.0,
) -> Answer:
    """A named person's decision: candidate → clinical-evaluation → clinical-use. Exit 1: refused, with every reason."""
    from xmed.registry import approve as decide
    from xmed.run import home

    if wait:
        if by or meaning or decline:
            raise XmedError("USAGE", "--wait with --by, --meaning or --decline", "one of the two", "leave --wait out")
        found = _waited_for(name, version, stage.value, hours)
    else:
        choice: Any = "decline" if decline else "approve"
        found = decide(name, version, home(), by=by, meaning=meaning, alias=stage.value, decision=choice)
        from xmed_pipelines.pending_approvals import tell_who_waits

        tell_who_waits(home(), found, meaning)
    return Answer(found, lambda console: show_decision(console, found), DONE if found["approved"] else NO)


def _waited_for(name: str, version: int, alias: str, hours: float) -> dict[str, Any]:
    """Run the flow that checks the gate and waits; returns what `xmed.registry.approve` says in the end."""
    from xmed.run import home
    from xmed.server.prefect_server import use_server
    from xmed.server.process_environment import open_home

    open_home()
    use_server(home())
    from xmed_pipelines.approve_flow import approve as ask  # it imports Prefect, which reads its settings once

    return ask(name, version, alias, hours)


def withdraw(name: Name, version: Version, by: By, meaning: Meaning, stage: For = Clinical.evaluation) -> Answer:
    """Take a clinical alias away at once; clinical-use goes with clinical-evaluation. Exit 1: it held none."""
    from xmed.registry import withdraw as take
    from xmed.run import home

    found = take(name, version, home(), by=by, meaning=meaning, alias=stage.value)
    text = (
        f"{name} version {version}: withdrawn from {', '.join(found['withdrawn']) or 'nothing, it held no such alias'}"
    )
    return Answer(found, lambda console: _say(console, text), DONE if found["withdrawn"] else NO)


def export(
    model: Annotated[str, typer.Argument(help="models:/name@alias, models:/name/3 or a model folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write; it must not be there yet.")],
    format: Annotated[Bundle, typer.Option(help="What to write.")] = Bundle.monai,
) -> Answer:
    """The same model for other software: a MONAI bundle, which MONAI's own commands verify and run."""
    del format  # one so far
    from xmed.model.export import write_bundle
    from xmed.registry import fetch
    from xmed.run import home

    found = write_bundle(fetch(model, home()), out)
    return Answer(found, lambda console: show_export(console, found))


def verify() -> Answer:
    """Is the audit log whole: no record edited, dropped, moved or cut off. Exit 1: it is not, with what and where."""
    from xmed.registry import audit_log, verify_audit
    from xmed.run import home

    problems, records = verify_audit(home()), len(audit_log.records(home()))
    document = {"ok": not problems, "records": records, "problems": problems, "signed": audit_log.has_key()}
    return Answer(document, lambda console: show_audit(console, document), NO if problems else DONE)


def show(model: Annotated[str | None, typer.Argument(help="One model's records only.")] = None) -> Answer:
    """Who did what, when, with which checksums: the records, oldest first."""
    from xmed.console.tables import table
    from xmed.registry import audit_log
    from xmed.run import home

    rows = [one for one in audit_log.records(home()) if model in (None, one.get("model"))]
    columns = ("seq", "at", "event", "model", "version", "alias", "by", "account", "meaning", "reasons")
    return Answer(rows, lambda console: console.print(table(rows, columns) if rows else "no records yet"))


def show_decision(console: Console, found: dict[str, Any]) -> None:
    """What became of a request: the alias, or every reason why not."""
    what = f"{found['name']} version {found['version']}"
    if found["approved"]:
        again = ", already" if found.get("already") else f", approved by {found['by']}"
        _say(console, f"{what} holds {found['alias']}{again}")
    elif found.get("declined"):
        _say(console, f"{what}: declined by {found['by']}, on record")
    else:
        _say(console, f"{what} does not become {found['alias']}:")
        for one in found["refused"]:
            _say(console, f"  {one['text']}")
            for line in one["detail"]:
                _say(console, f"    {line}")


def show_export(console: Console, found: dict[str, Any]) -> None:
    """Where the bundle is, how far it agrees with xmed, and the commands that check it."""
    _say(console, found["folder"])
    for line in (*found["differs"], *found["check"]):
        _say(console, f"  {line}")


def show_audit(console: Console, document: dict[str, Any]) -> None:
    """Whether the log is whole, and what a log without a key cannot show."""
    for line in document["problems"]:
        _say(console, line)
    if document["ok"]:
        signed = "" if document["signed"] else "; without XMED_AUDIT_KEY signatures are neither made nor checked"
        _say(console, f"{document['records']} records, each continues the one before it{signed}")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
