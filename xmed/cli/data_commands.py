"""Data: the commands that look at images, read them into the store, and take names out of them."""

from __future__ import annotations

import os
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from xmed.cli import flows
from xmed.cli.command import DONE, NO, Answer, command
from xmed.cli.flows import Cluster
from xmed.errors import XmedError


class Face(StrEnum):
    """What a person decided about the faces in images of heads."""

    not_in_view = "not-in-view"
    defaced = "defaced"
    retained = "retained"


class Document(StrEnum):
    """What `xmed schema` knows the JSON Schema of."""

    dataset = "DatasetSpec"
    study = "Study"
    report = "report"
    drift = "drift"


def add(app: typer.Typer) -> None:
    """Make these the commands of `app`."""
    for function in (inspect, ingest, deidentify, schema):
        command(app)(function)


def inspect(path: Annotated[Path, typer.Argument(help="A file or a folder: DICOM, NIfTI, PNG, JPEG.")]) -> Answer:
    """What is in a folder or file, without writing: series, modality, geometry, verdict and reason code for each."""
    if not path.exists():
        raise XmedError("PATH_NOT_FOUND", f"no file or folder {path}", "a path that exists")
    from xmed.console.inspect_table import show_findings
    from xmed.io import inspect as look

    rows = [asdict(finding) for finding in look(path)]
    base = path if path.is_dir() else path.parent
    short = [{**row, "path": os.path.relpath(row["path"], base)} for row in rows]
    return Answer(rows, lambda console: show_findings(console, short))


def ingest(
    spec: Annotated[str, typer.Argument(help="A dataset spec's name or its YAML file.")],
    data_root: Annotated[Path | None, typer.Option(help="Where the files lie, instead of the spec's root.")] = None,
    cluster: Cluster = None,
) -> Answer:
    """A dataset spec → store and quarantine. Does nothing twice; goes on where it was interrupted."""
    from xmed.app.plan import plan_dataset

    name = plan_dataset(spec, data_root).name  # before Prefect starts and anything is written
    adaptation = flows.load(cluster)
    from xmed import cohort
    from xmed.console.tables import show_cohort
    from xmed.records.record import content
    from xmed.run import home

    adaptation.ingest(spec, data_root, cluster)
    found = cohort.load(name, home())
    document = content(cohort.described(found))
    hidden = (home() / "deidentify" / "crosswalk").is_file()
    return Answer(document, lambda console: show_cohort(console, document, hidden))


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
    from xmed import deidentify as room
    from xmed.app import deidentify_job
    from xmed.console.tables import show_lines, table
    from xmed.run import home

    if explain:
        rules = room.explain()
        return Answer(rules, lambda console: show_lines(console, room.lines(rules)))
    if crosswalk:
        known = deidentify_job.who(home())
        return Answer(known, lambda console: console.print(table(known, ["kind", "pseudonym", "original"])))
    policy = room.Policy(colour_flow, keep_writing, face.value if face else None)
    document, outcome = deidentify_job.remove(source, out, home(), policy)
    return Answer(
        document, lambda console: deidentify_job.show_outcome(console, outcome, out), NO if outcome.withheld else DONE
    )


def schema(
    document: Annotated[Document, typer.Argument(help="Of which document.")] = Document.dataset,
    records: Annotated[bool, typer.Option("--records", help="Of every JSON document of a run, by file name.")] = False,
) -> Answer:
    """The JSON Schema of a dataset spec, a study, a report or a drift check; editors check YAML files against it."""
    if records:
        from xmed.records.schemas import schemas

        found = dict[str, Any](schemas())
    elif document is Document.report:
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
