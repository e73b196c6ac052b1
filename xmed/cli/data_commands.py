"""Commands that look at images, read them into the store, and de-identify them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xmed.cli import flows
from xmed.cli.command import DONE, NO, Answer
from xmed.cli.options import Cluster, DataRoot, DatasetFile
from xmed.errors import XmedError


class FaceDecision(StrEnum):
    """What a person decided about the faces in images of heads."""

    not_in_view = "not-in-view"
    defaced = "defaced"
    retained = "retained"


class SchemaName(StrEnum):
    """Documents that `xmed schema` prints the JSON Schema of."""

    dataset = "DatasetSpec"
    study = "Study"
    report = "report"
    drift = "drift"


def inspect_command(path: Annotated[Path, typer.Argument(help="A file or folder: DICOM, NIfTI, PNG, JPEG.")]) -> Answer:
    """List what a folder or file holds: series, modality, geometry, and why an image would be refused.

    Writes nothing. Example: xmed inspect /data/ultrasound
    """
    if not path.exists():
        raise XmedError("PATH_NOT_FOUND", f"no file or folder {path}", "a path that exists")
    from xmed.console.inspect_table import relative_to_folder, show_findings
    from xmed.io import inspect

    findings = inspect(path)
    return Answer(findings, lambda console: show_findings(console, relative_to_folder(findings, path)))


def ingest_command(spec: DatasetFile, data_root: DataRoot = None, cluster: Cluster = None) -> Answer:
    """Read a dataset's images into the store; images that cannot be read go to quarantine with a reason.

    Files that have not changed are not read again. Example: xmed ingest my-target
    """
    from xmed.app.plan import plan_dataset

    name = plan_dataset(spec, data_root).name  # refuses wrong input before Prefect starts and anything is written
    ingest_flow = flows.load_ingest_flow(cluster)
    from xmed import cohort
    from xmed.console.tables import show_cohort
    from xmed.home import Home

    ingest_flow(spec, data_root, cluster)
    summary = cohort.describe_cohort(cohort.load_cohort(name, Home.current().folder))
    has_crosswalk = Home.current().crosswalk.is_file()
    return Answer(summary, lambda console: show_cohort(console, summary, has_crosswalk))


def deidentify_command(
    source: Annotated[Path | None, typer.Argument(metavar="IN", help="A file or folder: DICOM or NIfTI.")] = None,
    out: Annotated[Path | None, typer.Argument(metavar="OUT", help="The folder to write the copies to.")] = None,
    face: Annotated[
        FaceDecision | None,
        typer.Option(help="Your decision about faces. Without it, images of heads are withheld.", show_default=False),
    ] = None,
    colour_flow: Annotated[
        bool, typer.Option("--colour-flow", help="Keep coloured pixels of ultrasound: they are blood flow.")
    ] = False,
    keep_writing: Annotated[
        bool, typer.Option("--keep-writing", help="Keep images with writing in their pixels: you looked at it.")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Print the rules and write nothing.")] = False,
    crosswalk: Annotated[
        bool, typer.Option("--crosswalk", help="Print which patient and case each pseudonym stands for.")
    ] = False,
) -> Answer:
    """Write copies without patient data: only permitted attributes, and only the image regions of ultrasound screens.

    Exit code 1: some files were withheld. Example: xmed deidentify dicom-folder copies --face not-in-view
    """
    from xmed import deidentify
    from xmed.app import deidentify_job
    from xmed.console.printable import plain_table
    from xmed.console.tables import show_lines
    from xmed.run import home

    if explain:
        rules = deidentify.explain_rules()
        return Answer(rules, lambda console: show_lines(console, deidentify.explanation_lines(rules)))
    if crosswalk:
        rows = deidentify_job.crosswalk_rows(home())
        return Answer(rows, lambda console: console.print(plain_table(rows, ["kind", "pseudonym", "original"])))
    policy = deidentify.Policy(colour_flow, keep_writing, face.value if face else None)
    outcome = deidentify_job.remove(source, out, home(), policy)
    code = NO if outcome.withheld else DONE
    return Answer(outcome, lambda console: deidentify_job.show_outcome(console, outcome), code)


def schema_command(
    document: Annotated[SchemaName, typer.Argument(help="The kind of document.")] = SchemaName.dataset,
    records: Annotated[bool, typer.Option("--records", help="Of every JSON document of a run, by file name.")] = False,
) -> Answer:
    """Print the JSON Schema of a dataset spec, a study, a report or a drift check; editors check YAML against it.

    Example: xmed schema Study --json
    """
    if records:
        from xmed.records.schemas import schemas

        json_schema: object = schemas()
    elif document is SchemaName.report:
        from xmed.report import report_schema

        json_schema = report_schema()
    elif document is SchemaName.drift:
        from xmed.monitor import drift_schema

        json_schema = drift_schema()
    else:
        from xmed import spec

        kind = getattr(spec, document.value)
        json_schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **kind.model_json_schema()}
    return Answer(json_schema, lambda console: console.print_json(data=json_schema))


COMMANDS = {
    "inspect": inspect_command,
    "ingest": ingest_command,
    "deidentify": deidentify_command,
    "schema": schema_command,
}
