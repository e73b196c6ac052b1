"""Checks before a run of what it would otherwise fail at after hours: disk space, permissions, servers."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from xmed.errors import XmedError
from xmed.files.permissions import write_refusal

LEAST_BYTES, LEAST_FILES = 256 << 20, 1000
"""The least that a run writes besides its data: a run of two steps on eight phantoms left 32 MB in 506 files, most of
them MLflow's and Prefect's. Whether more is needed depends on the data."""
LEAST_MLFLOW = (3, 12)
"""Logged models, which a version is registered from (see pyproject.toml for the package)."""
ANSWER_SECONDS = 10.0


def check_room(home: Path) -> None:
    """Check that a home can take what a run writes.

    Raises:
        XmedError: DISK_FULL, NOT_WRITABLE.
    """
    try:
        disk = os.statvfs(home)
        free_bytes, free_files = disk.f_bavail * disk.f_frsize, disk.f_favail if disk.f_files else LEAST_FILES
        if free_bytes < LEAST_BYTES or free_files < LEAST_FILES:
            left = f"{free_bytes / 1e6:.0f} MB" if free_bytes < LEAST_BYTES else f"{free_files} files"
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


def check_servers() -> None:
    """Check that the servers that the environment names answer, and are new enough.

    Raises:
        XmedError: REGISTRY_UNREACHABLE for MLFLOW_TRACKING_URI, SERVER_FAILED for PREFECT_API_URL.
    """
    tracking, prefect = os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get("PREFECT_API_URL", "")
    if tracking.startswith(("http://", "https://")):
        _check_mlflow(tracking.rstrip("/"))
    if prefect:
        from xmed.server.prefect_server import server_answers

        if not server_answers(prefect.rstrip("/")):
            what = f"Prefect's server at {without_password(prefect)} does not answer"
            raise XmedError("SERVER_FAILED", what, "a server at PREFECT_API_URL", "start it, or unset PREFECT_API_URL")


def without_password(url: str) -> str:
    """A URL to show: user and password are replaced by an ellipsis."""
    return re.sub("//[^/@]*@", "//…@", url)


def _check_mlflow(url: str) -> None:
    import requests

    user, token = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_TOKEN")
    login = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
    headers = {"Authorization": f"Bearer {token}"} if token and not user else {}
    public_url = without_password(url)
    try:
        response = requests.get(f"{url}/version", auth=login, headers=headers, timeout=ANSWER_SECONDS)
    except requests.RequestException as problem:
        raise _unreachable(f"MLflow's server at {public_url} does not answer: {type(problem).__name__}") from problem
    if response.status_code in (401, 403):
        raise _unreachable(f"MLflow's server at {public_url} does not let this account in ({response.status_code})")
    if not response.ok:
        raise _unreachable(
            f"MLflow's server at {public_url} answers {response.status_code} to the question for its version"
        )
    version = re.match(r"\s*\"?(\d+)\.(\d+)", response.text[:100])
    least = ".".join(map(str, LEAST_MLFLOW))
    if version is None:
        raise _unreachable(f"what answers at {public_url} is no MLflow: it names no version")
    if (int(version[1]), int(version[2])) < LEAST_MLFLOW:
        what = f"MLflow {response.text.strip()[:20]} at {public_url}"
        do = "update that server, or unset MLFLOW_TRACKING_URI"
        raise XmedError("REGISTRY_UNREACHABLE", what, f"MLflow {least} or newer: xmed registers logged models", do)


def _unreachable(what: str) -> XmedError:
    return XmedError("REGISTRY_UNREACHABLE", what, "a server at MLFLOW_TRACKING_URI", "start it, or unset the variable")
