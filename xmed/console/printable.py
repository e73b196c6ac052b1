"""Text and tables that are safe to print: characters that a terminal obeys are shown escaped.

Names and values come from files, and files from anywhere. Escaped are control characters (ESC begins sequences that
move the cursor, set titles and make links: ECMA-48), characters that turn the writing direction of what follows
(Unicode TR 36, section 2.5; UAX 9), invisible characters, and single surrogates.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_CONTROL_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff\ud800-\udfff]"
)
Cell = str | int | float | Sequence[str] | Sequence[float] | None
"""A value of a plain table."""


def escape_text(text: str) -> str:
    """Escape what a terminal would obey.

    Args:
        text: Text from anywhere.

    Returns:
        The text; line breaks and tabs stay.
    """
    return _CONTROL_CHARACTERS.sub(lambda match: ascii(match[0])[1:-1], text)


def escape_line(text: str) -> str:
    r"""Escape what a terminal would obey, and line breaks and tabs as \n and \t.

    Args:
        text: Text from anywhere.

    Returns:
        One line.
    """
    return escape_text(text.replace("\n", "\\n").replace("\t", "\\t"))


def print_line(console: Console, text: str) -> None:
    """Print one line as it is: without markup, without colours, not folded at the width of the terminal.

    Args:
        console: Where to print.
        text: The line.
    """
    console.print(text, markup=False, highlight=False, soft_wrap=True)


class SafeConsole(Console):
    """A console that shows text as it is: no markup, no emoji codes, control characters escaped.

    Text that is printed as a string is one line, after the empty lines that it may begin with. For colours pass `style`
    or a rich Text.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print like rich, with every string escaped.

        Args:
            *objects: What to print.
            **settings: As of `rich.console.Console.print`.
        """
        super().print(*(_escape_printed(item) if isinstance(item, str) else item for item in objects), **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Turn a string into rich text.

        Args:
            text: The string.
            **settings: As of `rich.console.Console.render_str`.

        Returns:
            The rich text, escaped.
        """
        return super().render_str(escape_text(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Any:
        """Draw something.

        Args:
            renderable: What to draw.
            options: As of `rich.console.Console.render`.

        Yields:
            Segments, escaped; those with which rich itself moves the cursor stay as they are.
        """
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_text(segment.text), segment.style)


class EscapedStream(io.TextIOBase):
    """A stream that escapes what is written to it: for what libraries print by themselves."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, escaped.

        Args:
            text: The text.

        Returns:
            Characters that were written.
        """
        return self._stream.write(escape_text(text))

    def flush(self) -> None:
        """Flush the stream below."""
        self._stream.flush()

    def writable(self) -> bool:
        """Tell that the stream can be written to.

        Returns:
            Always true.
        """
        return True


def _escape_printed(text: str) -> str:
    line = text.lstrip("\n")
    return "\n" * (len(text) - len(line)) + escape_line(line)


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
