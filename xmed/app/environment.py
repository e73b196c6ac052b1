"""Describe for a run's provenance when, with what and on which machine it was made."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from xmed import __version__
from xmed.processes.processor import cpu
from xmed.records.evaluation import CaseRows
from xmed.records.provenance import RunEnvironment, RunError, RunErrors
from xmed.records.training import Training
from xmed.run import Arm, Run

CHECKOUT = Path(__file__).resolve().parents[2]
CONTAINER = "XMED_CONTAINER"
"""Where whoever starts a container says its digest: from within it cannot be seen."""
PACKAGES = ("torch", "monai", "numpy", "scipy", "pydicom", "highdicom", "nibabel", "SimpleITK", "mlflow", "prefect")


def environment(run: Run, started: datetime) -> RunEnvironment:
    """environment.json of a run that is trained and evaluated. A resumed run keeps the time it first started at."""
    before = run.read(RunEnvironment).started if run.has(RunEnvironment) else started.isoformat()
    trained = [run.read(Training, *pair) for pair in run.arms()]
    facts = {
        "xmed": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": cpu(),
        "device": ", ".join(sorted({str(training.device) for training in trained})) or None,
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "started": before,
        "finished": datetime.now(UTC).isoformat(),
        "command": " ".join(["xmed", *sys.argv[1:]]) if Path(sys.argv[0]).name in ("xmed", "main.py") else None,
        "git": _git(),
        **repeat_conditions(),
    }
    return RunEnvironment.model_validate(facts)


def bill_of_materials(run: Run) -> dict[str, JsonValue]:
    """Make sbom.json of a run (CycloneDX): the adapted model of its first seed, and every package it was made with."""
    from xmed.registry.sbom import sbom

    trained = run.read(Training, Arm.ADAPTED, run.study.seeds[0])
    document: dict[str, JsonValue] = json.loads(sbom(run.study.register_as, trained.weights_sha256))
    return document


def repeat_conditions() -> dict[str, Any]:
    """Describe what is needed to repeat a run: the code's difference to its commit, packages, lock file, machine."""
    from xmed.train.device import machine  # torch, which the doctor does without

    lock, torch_device = CHECKOUT / "constraints.txt", machine()
    container = os.environ.get(CONTAINER) or ("unnamed" if Path("/.dockerenv").exists() else "none")
    driver = "none" if torch_device.gpu == "none" else _driver()
    return {
        "source_code": _source_code(),
        "packages": {
            package.name: package.version for package in sorted(distributions(), key=lambda d: d.name.lower())
        },
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
        "determinism": asdict(torch_device.determinism),
        "system": {
            "gpu": torch_device.gpu,
            "cuda": torch_device.cuda,
            "cudnn": torch_device.cudnn,
            "driver": driver,
            "container": container,
        },
    }


def errors(run: Run) -> RunErrors:
    """errors.json: the test cases that could not be predicted or measured. Quarantined cases stand in data.json."""
    by_place = {}
    for row in run.read(CaseRows).root:
        if row.status == "error":
            code, _, message = (row.reason or "").removeprefix("error[").partition("]: ")
            code, message = (code, message) if message else ("READER_FAILED", code)
            where = f"{row.arm}, seed {row.seed}, case {row.case}"
            by_place[where] = RunError(code=code, message=message, where=where)
    return RunErrors(list(by_place.values()))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> str | None:
    """The commit xmed runs from, with a + when the working copy differs; None outside a checkout."""
    return _run_git("describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+")


def _source_code() -> dict[str, Any]:
    """Whether the working copy differs from its commit, and the sha256 of how; outside a checkout nobody knows."""
    changed = _run_git("diff", "HEAD")
    if changed is None:
        return {"dirty": None, "diff_sha256": None}
    untracked = _run_git("ls-files", "--others", "--exclude-standard")
    text = f"{changed}\n{untracked}"
    return {"dirty": bool(text.strip()), "diff_sha256": hashlib.sha256(text.encode()).hexdigest()}


def _run_git(*arguments: str) -> str | None:
    if not (CHECKOUT / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(CHECKOUT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _driver() -> str | None:
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        lines = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    return lines[0].strip() if lines else None
