"""The log of this process, and the log file that an internal fault leaves behind.

Messages of packages that parse patients' files are kept out of both: they may quote a name.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import tempfile
import traceback
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from xmed import __version__
from xmed.console.printable import escape_line, escape_text
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.home import Home

KEPT_RECORDS = 2000
PARSERS = ("pydicom", "nibabel", "highdicom", "pynetdicom", "dicomweb_client", "PIL")
"""Packages whose messages may quote what stands in a file."""
RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
SHORT_FORMAT = "%(levelname)s %(name)s: %(message)s"


def format_traceback(fault: BaseException) -> list[str]:
    """Format the traceback of an exception and of its causes, without messages that may quote a patient's file.

    Args:
        fault: The exception.

    Returns:
        Lines, each with its line break.
    """
    cause = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
    before = [*format_traceback(cause), "\nand then:\n"] if cause is not None else []
    frames = traceback.format_tb(fault.__traceback__)
    return [*before, "Traceback (most recent call last):\n", *frames, f"{describe_fault(fault)}\n"]


def describe_fault(fault: BaseException) -> str:
    """Describe an exception in one line; only by its class where it passed code that reads patients' files.

    Args:
        fault: The exception.

    Returns:
        Its class, and its message where that cannot quote a file.
    """
    name, frame = type(fault).__name__, fault.__traceback__
    while frame is not None and not _is_parser_path(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    if frame is not None:
        return f"{name}[{fault.code}]" if isinstance(fault, XmedError) else name
    return f"{name}: {' '.join(str(fault).split())}"


def quotes_no_file(record: logging.LogRecord) -> bool:
    """Whether a log record comes from no parser, so that it cannot quote a patient's file. A filter of logging."""
    is_parser = record.name.split(".")[0] in PARSERS
    return not is_parser and not (record.name == "py.warnings" and _is_parser_path(record.getMessage()))


def start_journal(debug: bool) -> Journal:
    """Send log records to a journal in memory, and to stderr only what a person should see.

    Args:
        debug: Whether to show all records from INFO on, and not only errors.

    Returns:
        The journal, which writes a log file when a fault occurs.
    """
    root, journal = logging.getLogger(), Journal()
    for handler in [h for h in root.handlers if isinstance(h, Journal | _ScreenHandler)]:
        root.removeHandler(handler)
    screen = _ScreenHandler(sys.stderr)
    screen.setLevel(logging.INFO if debug else logging.ERROR)
    screen.setFormatter(_EscapingFormatter(FORMAT if debug else SHORT_FORMAT))
    if not debug:
        # Prefect logs the traceback of what a task raised before it raises it again; the command prints one line.
        screen.addFilter(lambda record: not record.name.startswith((*RUN_LOGGERS, "prefect._internal")))
    root.setLevel(logging.INFO)
    for handler in (journal, screen):
        handler.addFilter(quotes_no_file)
        root.addHandler(handler)
    logging.captureWarnings(True)
    return journal


class Journal(logging.Handler):
    """Keeps the last log records in memory, for the log file that an internal fault leaves behind."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(_EscapingFormatter(FORMAT))
        self.lines: deque[str] = deque(maxlen=KEPT_RECORDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.lines.append(self.format(record))

    def write(self, fault: BaseException) -> Path | None:
        """Write a log file with the fault's traceback and the records before it.

        Returns:
            The file: in `logs` of the home; where that cannot be written, in the folder for temporary files; None where
            neither can.
        """
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.log"
        head = [
            f"xmed {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"$ {' '.join('PATH' if os.path.exists(word) else word for word in sys.argv)}",
        ]
        text = "\n".join([*head, "", *self.lines, "", *format_traceback(fault)])
        for path in (Home.current().logs / name, Path(tempfile.gettempdir()) / f"xmed-{name}"):
            with suppress(OSError):
                write_atomically(path, text + "\n", private=True)
                return path
        return None


class _ScreenHandler(logging.StreamHandler[TextIO]):
    """The handler that this module adds for stderr; a class of its own, so that it is found again."""


class _EscapingFormatter(logging.Formatter):
    """One line per record, with control characters escaped; the traceback of an exception in lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = escape_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return escape_text(super().format(record))


def _is_parser_path(text: str) -> bool:
    """Whether a path, or a warning that begins with one, belongs to code that reads patients' files."""
    rooms = (*PARSERS, f"xmed{os.sep}io", f"xmed{os.sep}deidentify")
    return any(f"{os.sep}{room}{os.sep}" in text for room in rooms)
