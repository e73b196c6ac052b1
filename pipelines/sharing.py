"""Sharing: `xmed publish`, and published runs where a command asks for a model or a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.command import Answer, command
from pipelines.console import report


def add(app: typer.Typer) -> None:
    """Make it a command of `app`."""
    command(app)(publish)


def publish(
    run: Annotated[str, typer.Argument(help="A run's id or its folder.")],
    url: Annotated[str, typer.Argument(help="Where to: s3://bucket/xmed, file:///mnt/xmed, or what fsspec knows.")],
) -> Answer:
    """Copy a finished run, its models and its report to a shared store; nothing is sent twice."""
    from xmed import share
    from xmed.run import Run, home

    document = share.publish(Run.find(run, home()), url, report)
    said = f"{document['url']}  ({document['copied']} of {document['files']} files were new)"
    return Answer(document, lambda console: console.print(said, markup=False, highlight=False, soft_wrap=True))


def model_at(reference: str) -> str:
    """What `reference` names, or where the adapted model of the published run lies that it is the URL of."""
    from xmed import share
    from xmed.run import home

    if not share.is_url(reference):
        return reference
    run = share.fetch(reference, home(), report)
    return str(run.arm("adapted", run.study.seeds[0]) / "model")


def folder_at(reference: str) -> Path:
    """The folder that `reference` names, or of the published run that it is the URL of."""
    from xmed import share
    from xmed.run import home

    return share.fetch(reference, home(), report).folder if share.is_url(reference) else Path(reference)
