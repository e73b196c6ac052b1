"""Passwords: the stack's passwords: from the environment, or from files for their owner alone, made at first use."""

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
STATED = "XMED_SECRET_"
FOLDER = "XMED_SECRETS"
"""Where the files lie instead: a tmpfs, or what a service manager provides (systemd's credentials, say)."""
BYTES = 24


def folder(home: Path) -> Path:
    """Where the files of a home's stack lie."""
    return Path(os.environ.get(FOLDER) or stack_file(home).parent / "secrets")


def variable(name: str) -> str:
    """The environment variable that states a password."""
    return f"{STATED}{name.upper().replace('-', '_')}"


def make(home: Path) -> None:
    """A file for each password that neither the environment nor a file states."""
    for name in NAMES:
        path = folder(home) / name
        if not os.environ.get(variable(name)) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(path, secrets.token_urlsafe(BYTES) + "\n", private=True)


def secret(home: Path, name: str) -> str:
    """A password: what the environment states, else what stands in its file.

    Raises XmedError KEY_INVALID where neither does, or where others may read the file.
    """
    if stated := os.environ.get(variable(name)):
        return stated
    path = folder(home) / name
    if not path.is_file():
        expected = f"a file, or {variable(name)}"
        raise XmedError("KEY_INVALID", f"no password '{name}' in {path.parent}", expected, f"set {FOLDER}, or xmed up")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise XmedError("KEY_INVALID", f"others may read {path}", "mode 0600", f"chmod 600 {path}")
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise XmedError("KEY_INVALID", f"{path} is empty", "a password", "delete it: a new one is made")
    return text
