"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[str, typer.Argument(help="A study: its name in data_specs/studies, or a YAML file.")]

DatasetFile = Annotated[str, typer.Argument(help="A dataset: its name in data_specs, or a YAML file.")]

RunId = Annotated[str, typer.Argument(help="A run: its id, as the table of `xmed run` shows it, or its folder.")]

AnyModel = Annotated[
    str,
    typer.Argument(help="A model: models:/NAME@candidate, models:/NAME/3, a model folder, or a published run's URL."),
]

LocalModel = Annotated[str, typer.Argument(help="A model: models:/NAME@candidate, models:/NAME/3, or a model folder.")]

ModelName = Annotated[str, typer.Argument(help="The registered model's name, as `xmed models` lists it.")]

ModelVersion = Annotated[int, typer.Argument(min=1, help="The version's number, such as 3.")]

SignedBy = Annotated[str, typer.Option(help='Full name of the person who decides, such as "Ada Reader".')]

SignatureMeaning = Annotated[
    str, typer.Option(help='What the signature means, such as "report reviewed; research scanner only".')
]

Seeds = Annotated[
    str | None, typer.Option(help="Random seeds, such as 0,1,2. Default: the study's own.", show_default=False)
]

DataRoot = Annotated[
    Path | None, typer.Option(help="Folder of the dataset's files. Default: the spec's `root`.", show_default=False)
]

SourceRoot = Annotated[
    Path | None, typer.Option(help="Folder of the source's files. Default: its spec's `root`.", show_default=False)
]

TargetRoot = Annotated[
    Path | None, typer.Option(help="Folder of the target's files. Default: its spec's `root`.", show_default=False)
]

ResumedRun = Annotated[
    str | None,
    typer.Option(help="Continue this run (id or folder); what is finished is kept.", show_default=False),
]

Cluster = Annotated[
    str | None,
    typer.Option(
        envvar="XMED_CLUSTER",
        help="Work on this Dask cluster, such as tcp://host:8786. Its workers need the same XMED_HOME.",
        show_default=False,
    ),
]
