"""Untrusted inputs: readers and commands that are given them in processes of their own, archives, and small specs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from support.checkout import ROOT
from xmed.errors import XmedError
from xmed.io.sandbox.limits import ReaderBudget
from xmed.io.sandbox.worker import run_in_sandbox_within

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


EACH = """
import json, os, sys, tempfile
from xmed.cli.main import main
answers = []
for words in json.load(sys.stdin):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        shown = [os.dup(1), os.dup(2)]
        os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
        sys.argv[1:] = words
        code = main()
        sys.stdout.flush(), sys.stderr.flush()
        os.dup2(shown[0], 1), os.dup2(shown[1], 2)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode("latin-1"))
        answers.append([code, *said])
json.dump(answers, sys.stdout)
"""


def xmed_each(commands: list[list[str]], home: Path, **environment: str) -> list[subprocess.CompletedProcess[bytes]]:
    """Several commands, one after the other in one process; what each of them wrote, byte by byte."""
    known = {**os.environ, "XMED_HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-c", EACH], input=json.dumps(commands), check=False, capture_output=True, text=True, env=known,
        timeout=60 + 10 * len(commands),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = zip(commands, json.loads(done.stdout), strict=True)
    return [
        subprocess.CompletedProcess(words, code, out.encode("latin-1"), err.encode("latin-1"))
        for words, (code, out, err) in answers
    ]


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
