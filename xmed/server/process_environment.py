"""The environment of this process: variables that MLflow and Prefect read when they are imported, and the home."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from xmed.errors import XmedError
from xmed.files.permissions import make_private_home, set_umask, write_refusal
from xmed.files.uri import database_uri
from xmed.home import Home
from xmed.processes.child import tie_all_children
from xmed.run import home, stack_file
from xmed.server.moved_schedules import correct_schedules
from xmed.server.preflight import check_room, check_servers
from xmed.server.stack.paths import use_stack


def prepare_environment() -> Path:
    """Set environment variables: where everything is kept, no telemetry, no pickles, which servers to use.

    The servers are those of `xmed up` where they are up, else embedded ones. MLFLOW_TRACKING_URI, PREFECT_API_URL and
    other settings of MLflow and Prefect that are set already stay as they are.

    Returns:
        The home.

    Raises:
        XmedError: KEY_INVALID.
    """
    folder = home()
    set_umask()
    _name_the_user(folder)
    os.environ["XMED_HOME"] = str(folder)  # ${XMED_HOME} in a dataset's root means this folder too
    os.environ["DO_NOT_TRACK"] = "true"  # MLflow accepts no other spelling
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    defaults = {
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PREFECT_HOME": str(Home(folder).prefect),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database_uri(Home(folder).prefect_database, "sqlite+aiosqlite"),
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
    use_stack(folder)
    return folder


def open_home() -> None:
    """Make the home where it is not there yet, and check what a run would otherwise fail at after hours.

    Raises:
        XmedError: NOT_WRITABLE or DISK_FULL; Prefect would retry its database for two minutes. REGISTRY_UNREACHABLE or
            SERVER_FAILED for servers that the environment names. SERVER_FAILED, too, where the servers of `xmed up` are
            down: the home's schedules and registry are there.
    """
    make_home()
    check_room(home())
    check_servers()
    correct_schedules(home())
    tie_all_children()  # Prefect's own server, workers of trainings, and readers then end with this process
    if stack_file(home()).is_file() and not os.environ.get("PREFECT_API_URL"):
        raise XmedError("SERVER_FAILED", f"the servers of {home()} are down", "servers that answer", "xmed up")


def make_home() -> None:
    """Make the home where it is not there yet.

    Raises:
        XmedError: NOT_WRITABLE, DISK_FULL.
    """
    try:
        make_private_home(home())
    except OSError as problem:
        raise write_refusal(problem, home()) from problem
    if not os.access(home(), os.W_OK):
        raise XmedError("NOT_WRITABLE", f"{home()} cannot be written to", "a writable folder", "set XMED_HOME")


def _name_the_user(folder: Path) -> None:
    """Set a name and a home directory for an account that has none, as in a container.

    Prefect asks for the directory and MONAI for the name when they are imported, and fail without.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(folder)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"uid-{os.getuid()}"
