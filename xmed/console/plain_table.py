"""A table of plain values: names of columns, and one line for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from xmed.console.printable import escape_line

Cell = str | int | float | Sequence[str] | Sequence[float] | None
"""A value of a plain table."""


def plain_table(rows: Sequence[Mapping[str, Cell]], columns: Sequence[str], title: str | None = None) -> Table:
    """Make a table of plain values; a value that a row lacks stays empty.

    Args:
        rows: The rows: name of a column -> value.
        columns: Names of the columns, in order.
        title: Heading of the table.

    Returns:
        The table.
    """
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        grid.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(escape_line(_format_value(row.get(name)))) for name in columns))
    return grid


def _format_value(value: Cell) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Sequence):
        separator = ", " if all(isinstance(part, str) for part in value) else " × "
        return separator.join([_format_value(part) for part in value])
    return f"{value:.4g}" if isinstance(value, float) else str(value)
