"""Cli: the commands of `xmed`. What is heavy is imported by the command that needs it, so `--help` answers at once."""

from __future__ import annotations

import os
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines import operation, release, reports, sharing, upkeep
from pipelines.command import DONE, NO, Answer, command, whole_numbers
from xmed import __version__, documents
from xmed.errors import XmedError

DEMO = "phantom-mr-to-us"

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train on a labelled modality, adapt to an unlabelled one, and keep the evidence.",
    epilog="Exit codes: 0 done · 1 done, and the answer is no · 2 wrong input · 3 an internal fault.",
)

app.add_typer(reports.app, name="report")

Seeds = Annotated[str | None, typer.Option(help="Seeds instead of the study's, such as 0,1,2.")]

SourceRoot = Annotated[Path | None, typer.Option(help="Where the source's files lie, instead of its root.")]
TargetRoot = Annotated[Path | None, typer.Option(help="Where the target's files lie, instead of its root.")]


Cluster = Annotated[
    str | None,
    typer.Option(
        envvar="XMED_CLUSTER", help="A Dask scheduler, such as tcp://host:8786, whose workers share the home."
    ),
]


class Document(StrEnum):
    """What `xmed schema` knows the JSON Schema of."""

    dataset = "DatasetSpec"
    study = "Study"
    report = "report"
    drift = "drift"


class Face(StrEnum):
    """What a person decided about the faces in images of heads."""

    not_in_view = "not-in-view"
    defaced = "defaced"
    retained = "retained"


class Format(StrEnum):
    """What `xmed predict` writes."""

    nifti = "nifti"
    dicom_seg = "dicom-seg"


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"xmed {__version__}")
        raise typer.Exit(DONE)


@app.callback()
def xmed(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False) -> None:
    """Train on a labelled modality, adapt to an unlabelled one, and keep the evidence."""
    del version


@command(app)
def demo(seeds: Seeds = None, resume: Annotated[str | None, typer.Option(help="Continue this run.")] = None) -> Answer:
    """The whole main job on the built-in phantom: MR to ultrasound, from DICOM files to a registered candidate."""
    return _adapt(DEMO, seeds, None, None, resume)


@command(app)
def run(
    study: Annotated[str, typer.Argument(help="A study's name or its YAML file.")],
    seeds: Seeds = None,
    source_root: SourceRoot = None,
    target_root: TargetRoot = None,
    resume: Annotated[str | None, typer.Option(help="Continue this run; what is finished is kept.")] = None,
) -> Answer:
    """The main job for a study: ingest, train, adapt, select, validate, report, register the candidate."""
    return _adapt(study, seeds, source_root, target_root, resume)


@command(app)
def compare(
    study: Annotated[str, typer.Argument(help="A study's name or its YAML file.")],
    methods: Annotated[str | None, typer.Option(help="Such as bridge,gin,coral; or all.")] = None,
    seeds: Annotated[str | None, typer.Option(help="How many seeds (3 is 0,1,2), or which (0,4).")] = None,
    source_root: SourceRoot = None,
    target_root: TargetRoot = None,
    resume: Annotated[str | None, typer.Option(help="Continue this comparison; finished cells are kept.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Trainings at once, on a CPU; as many as cores.")] = None,
    cluster: Cluster = None,
) -> Answer:
    """The same study under several methods: the table, the ranking with its uncertainty, a page, comparison.json."""
    from pipelines.plan import plan_comparison

    chosen = [name.strip() for name in methods.split(",") if name.strip()] if methods else None
    numbers = list(range(int(seeds))) if seeds and seeds.isdecimal() and int(seeds) > 0 else whole_numbers(seeds)
    asked = study, chosen, numbers, source_root, target_root, resume
    plan_comparison(*asked)  # before Prefect starts and anything is written
    _flows(cluster)
    from pipelines.comparing import compare as flow
    from pipelines.tables import show_comparison

    result = flow(*asked, jobs, cluster)
    document = documents.read_mapping(Path(result["folder"]) / "comparison.json")
    return Answer({**result, **document}, lambda console: show_comparison(console, result, document))


@command(app)
def inspect(path: Annotated[Path, typer.Argument(help="A file or a folder: DICOM, NIfTI, PNG, JPEG.")]) -> Answer:
    """What is in a folder or file, without writing: series, modality, geometry, verdict and reason code for each."""
    if not path.exists():
        raise XmedError("PATH_NOT_FOUND", f"no file or folder {path}", "a path that exists")
    from pipelines.findings import show_findings
    from xmed.io import inspect as look

    rows = [asdict(finding) for finding in look(path)]
    base = path if path.is_dir() else path.parent
    short = [{**row, "path": os.path.relpath(row["path"], base)} for row in rows]
    return Answer(rows, lambda console: show_findings(console, short))


@command(app)
def ingest(
    spec: Annotated[str, typer.Argument(help="A dataset spec's name or its YAML file.")],
    data_root: Annotated[Path | None, typer.Option(help="Where the files lie, instead of the spec's root.")] = None,
    cluster: Cluster = None,
) -> Answer:
    """A dataset spec → store and quarantine. Does nothing twice; goes on where it was interrupted."""
    from pipelines.plan import plan_dataset

    name = plan_dataset(spec, data_root).name  # before Prefect starts and anything is written
    flows = _flows(cluster)
    from pipelines.tables import show_cohort
    from xmed import cohort
    from xmed.run import home

    flows.ingest(spec, data_root, cluster)
    found = cohort.load(name, home())
    document = cohort.described(found)
    hidden = (home() / "deidentify" / "crosswalk").is_file()
    return Answer(document, lambda console: show_cohort(console, document, hidden))


@command(app)
def deidentify(
    source: Annotated[Path | None, typer.Argument(metavar="IN", help="A file or folder: DICOM, NIfTI.")] = None,
    out: Annotated[Path | None, typer.Argument(metavar="OUT", help="The folder to write below.")] = None,
    face: Annotated[
        Face | None, typer.Option(help="What holds for images of heads; without it they stay here.")
    ] = None,
    colour_flow: Annotated[bool, typer.Option("--colour-flow", help="Ultrasound colour flow is tissue, too.")] = False,
    keep_writing: Annotated[bool, typer.Option("--keep-writing", help="Writing left in pixels was looked at.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what it does, and do nothing.")] = False,
    crosswalk: Annotated[bool, typer.Option("--crosswalk", help="Say who is behind which pseudonym.")] = False,
) -> Answer:
    """Copies that name nobody: what is permitted crosses, ultrasound within its regions only. Exit 1: some withheld."""
    from pipelines import removal
    from pipelines.tables import show_lines, table
    from xmed import deidentify as room
    from xmed.run import home

    if explain:
        rules = room.explain()
        return Answer(rules, lambda console: show_lines(console, room.lines(rules)))
    if crosswalk:
        known = removal.who(home())
        return Answer(known, lambda console: console.print(table(known, ["kind", "pseudonym", "original"])))
    policy = room.Policy(colour_flow, keep_writing, face.value if face else None)
    document, outcome = removal.remove(source, out, home(), policy)
    return Answer(
        document, lambda console: removal.show_outcome(console, outcome, out), NO if outcome.withheld else DONE
    )


@command(app)
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
    from pipelines.prediction import predict_file, show_prediction
    from pipelines.sending import archive, send_back
    from xmed.run import home

    server = archive(send, format.value) if send else None
    document = predict_file(sharing.model_at(model), source, out, format.value, force, home(), sr=sr, channel=channel)
    if server:
        document["sent"] = send_back([path for path in (out, sr) if path], server)
    return Answer(document, lambda console: show_prediction(console, document))


@command(app)
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
    from pipelines.plan import plan_dataset

    plan_dataset(spec, data_root)  # before Prefect starts and anything is written
    flows = _flows()
    from pipelines.tables import show_validation
    from xmed.report import read

    result = flows.validate(sharing.model_at(model), spec, protocol, data_root)
    report = read(Path(result["folder"]) / "report")
    document = {**result, "verdict": report["verdict"], "summary": report["summary"]}
    code = NO if report["verdict"] == "fail" else DONE
    return Answer(document, lambda console: show_validation(console, result, report), code)


@command(app)
def methods() -> Answer:
    """Every adaptation method, and the baselines that stand beside each, with citations."""
    from pipelines.tables import show_methods
    from xmed import methods as room

    facts = {name: room.facts(name) for name in room.names()}
    rows = [{"kind": "method", "name": n, "does": f.does, "cite": f.cite} for n, f in facts.items()]
    rows += [
        {"kind": "made of others", "name": n, "does": c.does, "cite": c.cite} for n, c in room.COMPOSITIONS.items()
    ]
    rows += [{"kind": "in every table", "name": n, "does": d, "cite": c} for n, (d, c) in room.BASELINES.items()]
    return Answer(rows, lambda console: show_methods(console, rows))


@command(app)
def models() -> Answer:
    """Every registered model version, with its aliases and verdict."""
    from pipelines.tables import table
    from xmed.run import home, registry_is_there

    rows = []
    if registry_is_there(home()):  # else there is nothing to wait for MLflow for
        from xmed.registry import versions

        rows = versions(home())
    columns = ("name", "version", "aliases", "verdict", "xmed.run", "weights_sha256")
    short = [{**row, "weights_sha256": str(row.get("weights_sha256", ""))[:12]} for row in rows]
    return Answer(rows, lambda console: console.print(table(short, columns) if rows else "no models yet"))


@command(app)
def schema(document: Annotated[Document, typer.Argument(help="Of which document.")] = Document.dataset) -> Answer:
    """The JSON Schema of a dataset spec, a study, a report or a drift check; editors check YAML files against it."""
    if document is Document.report:
        from xmed.report import schema as of_report

        found = of_report()
    elif document is Document.drift:
        from xmed.monitor import schema as of_drift

        found = of_drift()
    else:
        from xmed import spec

        found = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        found |= getattr(spec, document.value).model_json_schema()
    return Answer(found, lambda console: console.print_json(data=found))


operation.add(app)


release.add(app)


sharing.add(app)


upkeep.add(app)


def _adapt(
    study: str, seeds: str | None, source_root: Path | None, target_root: Path | None, resume: str | None
) -> Answer:
    from pipelines.plan import plan_study

    numbers = whole_numbers(seeds)
    plan_study(study, numbers, source_root, target_root, resume)  # before Prefect starts and anything is written
    flows = _flows()
    from pipelines.tables import show_result

    result = flows.adapt(study, numbers, source_root, target_root, resume, study)
    report = documents.read_mapping(Path(result["folder"]) / "report" / "report.json")
    document = {**result, "verdict": report["verdict"], "summary": report["summary"]}
    code = NO if report["verdict"] == "fail" else DONE
    return Answer(document, lambda console: show_result(console, result, report), code)


def _flows(cluster: str | None = None) -> Any:
    """The flows, imported once it is clear that they will be needed: Prefect writes when it is imported.

    cluster: its workers and this process speak to one server, that of `xmed serve` where no other is named.
    """
    from pipelines.surroundings import open_home

    open_home()
    if cluster:
        from pipelines.server import use_server
        from xmed.run import home

        use_server(home())
    from pipelines import flows

    return flows
