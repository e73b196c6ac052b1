"""Process environment: what must be said before third parties are imported, and what they may say in return."""

from __future__ import annotations

import getpass
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

from xmed import __version__
from xmed.console.printable import one_line, printable
from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.files.permissions import make_private_home, set_umask
from xmed.files.uri import database_uri
from xmed.files.writable import write_refusal
from xmed.processes.child import tie_all_children
from xmed.run import home, stack_file
from xmed.server.moved_schedules import bring_schedules
from xmed.server.preflight import room, servers
from xmed.server.stack.paths import use

REMEMBERED = 2000
PARSERS = ("pydicom", "nibabel", "highdicom", "pynetdicom", "dicomweb_client", "PIL")
RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def prepare() -> Path:
    """Set the environment: where everything is kept, no telemetry, no pickles, whose servers. Returns the home.

    Those of `xmed up` where they are up, else embedded ones. MLFLOW_TRACKING_URI, PREFECT_API_URL and whatever else of
    MLflow's and Prefect's is set already stays as it is. Raises XmedError KEY_INVALID.
    """
    place = home()
    set_umask()
    _name_the_user(place)
    os.environ["XMED_HOME"] = str(place)  # ${XMED_HOME} in a dataset's root means this folder too
    os.environ["DO_NOT_TRACK"] = "true"  # MLflow heeds no other spelling
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    defaults = {
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PREFECT_HOME": str(place / "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database_uri(place / "prefect" / "prefect.db", "sqlite+aiosqlite"),
        "PREFECT_LOGGING_CONFIG_PATH": str(Path(__file__).with_name("prefect_logging.yml")),
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 by default; a cold disk has taken 18
        "PREFECT_CLIENT_MAX_RETRIES": "2",  # Ctrl-C ends the embedded server too; nobody should wait a minute for it
        "PREFECT_CLI_PROMPT": "false",
        "PYTHONWARNINGS": "ignore",  # for worker processes; in this one warnings go to the journal
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    use(place)
    return place


def _name_the_user(place: Path) -> None:
    """Say who works here, where the system has no name or home for this account, as in a container.

    Prefect asks for the home and MONAI for the name when they are imported, and fail without.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(place)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"uid-{os.getuid()}"


def open_home() -> None:
    """Make the home where it is not there yet: Prefect makes its own folder when imported, but not that one's parent.

    Raises XmedError NOT_WRITABLE, DISK_FULL: Prefect would retry its database for two minutes; REGISTRY_UNREACHABLE,
    SERVER_FAILED for servers that would fail a run at its end. SERVER_FAILED, too, where the home's own servers are
    down: its schedules and its registry are there.
    """
    make_home()
    room(home())
    servers()
    bring_schedules(home())
    tie_all_children()  # Prefect's own server, workers of trainings, readers
    if stack_file(home()).is_file() and not os.environ.get("PREFECT_API_URL"):
        raise XmedError("SERVER_FAILED", f"the servers of {home()} are down", "servers that answer", "xmed up")


def make_home() -> None:
    """Make the home where it is not there yet. Raises XmedError NOT_WRITABLE, DISK_FULL."""
    try:
        make_private_home(home())
    except OSError as problem:
        raise write_refusal(problem, home()) from problem
    if not os.access(home(), os.W_OK):
        raise XmedError("NOT_WRITABLE", f"{home()} cannot be written to", "a writable folder", "set XMED_HOME")


def told(fault: BaseException) -> list[str]:
    """The traceback of a fault and of what caused it, less messages that may quote a patient's file."""
    why = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
    before = [*told(why), "\nand then:\n"] if why is not None else []
    where = traceback.format_tb(fault.__traceback__)
    return [*before, "Traceback (most recent call last):\n", *where, f"{said(fault)}\n"]


def said(fault: BaseException) -> str:
    """What an exception says, in one line; its kind alone where it passed through a room that reads patients' files."""
    name, frame = type(fault).__name__, fault.__traceback__
    while frame is not None and not _reads(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    if frame is not None:
        return f"{name}[{fault.code}]" if isinstance(fault, XmedError) else name
    return f"{name}: {' '.join(str(fault).split())}"


def quotes_no_file(record: logging.LogRecord) -> bool:
    """Whether a log record is none of those in which a parser quotes what it read."""
    parser = record.name.split(".")[0] in PARSERS
    return not parser and not (record.name == "py.warnings" and _reads(record.getMessage()))


def _reads(text: str) -> bool:
    """Whether a path, or a warning that begins with one, belongs to what reads patients' files."""
    return any(f"{os.sep}{room}{os.sep}" in text for room in (*PARSERS, f"xmed{os.sep}io", f"xmed{os.sep}deidentify"))


class _Printable(logging.Formatter):
    """A record in one line, whatever the names in it are; the traceback of an exception in lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class Journal(logging.Handler):
    """The last log records, kept in memory for the log file that an internal fault leaves behind."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(_Printable(FORMAT))
        self.lines: deque[str] = deque(maxlen=REMEMBERED)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def write(self, fault: BaseException) -> Path | None:
        """Write the fault's traceback and what went before it to a file below home/logs; returns its path.

        Where that cannot be written to, beside the machine's other temporary files; None where nothing can be written.
        """
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.log"
        head = [
            f"xmed {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"$ {' '.join('PATH' if os.path.exists(word) else word for word in sys.argv)}",
        ]
        text = "\n".join([*head, "", *self.lines, "", *told(fault)])
        for path in (home() / "logs" / name, Path(tempfile.gettempdir()) / f"xmed-{name}"):
            with suppress(OSError):
                write_atomically(path, text + "\n", private=True)
                return path
        return None


def listen(debug: bool) -> Journal:
    """Send what libraries log to the journal, and to stderr only what a person should see."""
    root, journal = logging.getLogger(), Journal()
    for handler in [h for h in root.handlers if isinstance(h, Journal) or getattr(h, "xmed", False)]:
        root.removeHandler(handler)
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(logging.INFO if debug else logging.ERROR)
    screen.setFormatter(_Printable(FORMAT if debug else "%(levelname)s %(name)s: %(message)s"))
    screen.xmed = True  # type: ignore[attr-defined]
    if not debug:
        # Prefect logs the traceback of what a task raised before it raises it again; the answer to it is one line.
        screen.addFilter(lambda record: not record.name.startswith((*RUN_LOGGERS, "prefect._internal")))
    root.setLevel(logging.INFO)
    for handler in (journal, screen):
        handler.addFilter(quotes_no_file)
        root.addHandler(handler)
    logging.captureWarnings(True)
    return journal
