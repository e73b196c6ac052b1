"""Flows: Prefect's flows, loaded once a command is sure to need them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Cluster = Annotated[
    str | None,
    typer.Option(
        envvar="XMED_CLUSTER", help="A Dask scheduler, such as tcp://host:8786, whose workers share the home."
    ),
]


def load(cluster: str | None = None) -> Any:
    """The flows, imported once it is clear that they will be needed: Prefect writes when it is imported.

    cluster: its workers and this process speak to one server, that of `xmed serve` where no other is named.
    """
    from xmed.server.process_environment import open_home

    open_home()
    if cluster:
        from xmed.run import home
        from xmed.server.prefect_server import use_server

        use_server(home())
    from xmed_pipelines import adapt_flow

    return adapt_flow
