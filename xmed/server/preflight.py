"""Preflight: what a run would fail at after hours, looked at before anything is read: room, rights, servers, names."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from xmed.errors import XmedError
from xmed.files.writable import write_refusal

LEAST_BYTES, LEAST_FILES = 256 << 20, 1000
"""The least that a run writes besides its data: a run of two steps on eight phantoms left 32 MB in 506 files, most of
them MLflow's and Prefect's. Less is not tried; whether more is needed only the data know."""
LEAST_MLFLOW = (3, 12)
"""Logged models, which a version is registered from (see pyproject.toml for the package)."""
ANSWER_SECONDS = 10.0


def room(home: Path) -> None:
    """Raises XmedError DISK_FULL, NOT_WRITABLE where a home cannot take what a run writes."""
    try:
        found = os.statvfs(home)
        free, files = found.f_bavail * found.f_frsize, found.f_favail if found.f_files else LEAST_FILES
        if free < LEAST_BYTES or files < LEAST_FILES:
            left = f"{free / 1e6:.0f} MB" if free < LEAST_BYTES else f"{files} files"
            what = f"room for {left} is left on the disk of {home}"
            expected = f"{LEAST_BYTES / 1e6:.0f} MB and {LEAST_FILES} files at the least"
            raise XmedError("DISK_FULL", what, expected, "free some, or set XMED_HOME to another disk")
        probe = home / f".{secrets.token_hex(8)}"
        try:
            with probe.open("xb") as file:
                file.write(b"\0" * 4096)
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except OSError as problem:
        raise write_refusal(problem, home) from problem


def servers() -> None:
    """Raises XmedError REGISTRY_UNREACHABLE, SERVER_FAILED where a server that the environment names will not do."""
    tracking, prefect = os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get("PREFECT_API_URL", "")
    if tracking.startswith(("http://", "https://")):
        _mlflow(tracking.rstrip("/"))
    if prefect:
        from xmed.server.prefect_server import answers

        if not answers(prefect.rstrip("/")):
            what = f"Prefect's server at {_shown(prefect)} does not answer"
            raise XmedError("SERVER_FAILED", what, "a server at PREFECT_API_URL", "start it, or unset PREFECT_API_URL")


def _mlflow(url: str) -> None:
    import requests

    user, token = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_TOKEN")
    who = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
    head = {"Authorization": f"Bearer {token}"} if token and not user else {}
    try:
        answer = requests.get(f"{url}/version", auth=who, headers=head, timeout=ANSWER_SECONDS)
    except requests.RequestException as problem:
        what = f"MLflow's server at {_shown(url)} does not answer: {type(problem).__name__}"
        raise _unreachable(what) from problem
    if answer.status_code in (401, 403):
        raise _unreachable(f"MLflow's server at {_shown(url)} does not let this account in ({answer.status_code})")
    if not answer.ok:
        raise _unreachable(
            f"MLflow's server at {_shown(url)} answers {answer.status_code} to the question for its version"
        )
    said = re.match(r"\s*\"?(\d+)\.(\d+)", answer.text[:100])
    least = ".".join(map(str, LEAST_MLFLOW))
    if said is None:
        raise _unreachable(f"what answers at {_shown(url)} is no MLflow: it names no version")
    if (int(said[1]), int(said[2])) < LEAST_MLFLOW:
        what = f"MLflow {answer.text.strip()[:20]} at {_shown(url)}"
        do = "update that server, or unset MLFLOW_TRACKING_URI"
        raise XmedError("REGISTRY_UNREACHABLE", what, f"MLflow {least} or newer: xmed registers logged models", do)


def _unreachable(what: str) -> XmedError:
    return XmedError("REGISTRY_UNREACHABLE", what, "a server at MLFLOW_TRACKING_URI", "start it, or unset the variable")


def _shown(url: str) -> str:
    return re.sub("//[^/@]*@", "//…@", url)  # a password may stand in it
