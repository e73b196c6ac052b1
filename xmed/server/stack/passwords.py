"""The stack's passwords: from the environment, or from files that only their owner can read, made at first use."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from xmed.errors import XmedError
from xmed.files.atomic import write_atomically
from xmed.run import stack_file

NAMES = ("postgres", "mlflow-database", "prefect-database", "mlflow", "mlflow-sessions", "prefect")
"""PostgreSQL's superuser, its two roles, the user of MLflow, the key of MLflow's sessions, the user of Prefect."""
PREFIX = "XMED_SECRET_"
"""Environment variables that state a password begin with this."""
FOLDER = "XMED_SECRETS"
"""Environment variable: another folder for the files, such as a tmpfs or what systemd provides for credentials."""
PASSWORD_BYTES = 24


def secrets_folder(home: Path) -> Path:
    """The folder of the password files of a home's stack."""
    return Path(os.environ.get(FOLDER) or stack_file(home).parent / "secrets")


def password_variable(name: str) -> str:
    """The environment variable that states a password, such as XMED_SECRET_MLFLOW."""
    return f"{PREFIX}{name.upper().replace('-', '_')}"


def make_passwords(home: Path) -> None:
    """Make a file for each password that neither the environment nor a file states."""
    for name in NAMES:
        path = secrets_folder(home) / name
        if not os.environ.get(password_variable(name)) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(path, secrets.token_urlsafe(PASSWORD_BYTES) + "\n", private=True)


def stack_password(home: Path, name: str) -> str:
    """Read a password: from the environment, else from its file.

    Args:
        home: The home of the stack.
        name: One of NAMES.

    Raises:
        XmedError: KEY_INVALID, where there is neither, or where others may read the file.
    """
    if password := os.environ.get(password_variable(name)):
        return password
    path = secrets_folder(home) / name
    if not path.is_file():
        expected = f"a file, or {password_variable(name)}"
        raise XmedError("KEY_INVALID", f"no password '{name}' in {path.parent}", expected, f"set {FOLDER}, or xmed up")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise XmedError("KEY_INVALID", f"others may read {path}", "mode 0600", f"chmod 600 {path}")
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise XmedError("KEY_INVALID", f"{path} is empty", "a password", "delete it: a new one is made")
    return text
