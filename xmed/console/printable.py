"""Printable: text without what a terminal obeys. Names and values come from files, and files from anywhere.

Shown escaped: control characters (ESC begins sequences that move the cursor, set titles and make links: ECMA-48),
signs that turn the direction of what follows (Unicode TR 36, 2.5; UAX 9), invisible ones, and halves of pairs.
"""

from __future__ import annotations

import io
import re
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Text of any number of lines with what a terminal would obey escaped."""
    return _OBEYED.sub(lambda met: ascii(met[0])[1:-1], text)


def one_line(text: str) -> str:
    """The same in one line: a line break in a name is no line of the log."""
    return printable(text.replace("\n", "\\n").replace("\t", "\\t"))


class Screen(Console):
    """A console that shows what it is given: no markup, no emoji codes, no control characters in any text.

    Text that is printed as a string is one line, after the empty lines it may begin with. Colours are asked for with
    `style` or a Text of one's own.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def print(self, *objects: Any, **settings: Any) -> None:
        super().print(*(_shown(one) if isinstance(one, str) else one for one in objects), **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        return super().render_str(printable(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Any:
        """What is drawn, in pieces; those by which rich itself moves the cursor stay as they are."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(printable(piece.text), piece.style)


class Cleaned(io.TextIOBase):
    """Where libraries print by themselves: the same stream, with what a terminal would obey escaped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(printable(text))

    def flush(self) -> None:
        self._stream.flush()

    def writable(self) -> bool:
        return True


def _shown(text: str) -> str:
    rest = text.lstrip("\n")
    return "\n" * (len(text) - len(rest)) + one_line(rest)
