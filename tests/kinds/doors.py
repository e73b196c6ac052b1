"""Doors: what the tests of the kinds D1 to D4, B6 and B7 share: a reader asked in a process that may die of it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from xmed.errors import XmedError
from xmed.io.sandbox.limits import ReaderBudget
from xmed.io.sandbox.worker import run_in_sandbox_within

ROOT = Path(__file__).resolve().parents[2]
BUDGET = ReaderBudget(memory=2 << 30, computing=20, waiting=60)
DATASET = """
name: clinic
modality: MR
root: /nowhere
layout: {image: "{case}.nii.gz", label: "{case}_seg.nii.gz"}
labels: {1: {name: ball}}
splits: {train: [a, b], test: [c]}
"""
STUDY = """
name: trial
source: clinic
target: clinic
structures: [ball]
grid: {spacing_mm: [1, 1, 1], patch: [32, 32, 1]}
method: {name: bridge}
protocol: {primary: {structure: ball}}
register_as: ball
"""


def answer(function: Any, *arguments: Any) -> str:
    """The code with which a function refuses, in a guarded process; "taken" where it does not refuse."""
    try:
        run_in_sandbox_within(BUDGET, asked, function, arguments)
    except XmedError as problem:
        return problem.code
    return "taken"


def asked(function: Any, arguments: Any) -> None:
    """Ask, and answer nothing: what comes back need not pickle."""
    function(*arguments)


def xmed(*words: str, home: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """One command in a process of its own."""
    known = {**os.environ, "XMED_HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "xmed.cli.main", *words], check=False, capture_output=True, env=known, timeout=300
    )


def zipped(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """A zip archive of these members, in that order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def tarred(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> Path:
    """A tar archive of these members, in that order."""
    with tarfile.open(path, mode) as file:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return path
