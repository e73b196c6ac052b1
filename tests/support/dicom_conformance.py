"""Conformance to DICOM as dciodvfy checks it (Debian package dicom3tools), by the modules of the standard."""

import shutil
import subprocess
from pathlib import Path

import pytest


def faults(path: Path) -> list[str]:
    """dciodvfy's errors. Skips the test where it is not installed."""
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    told = subprocess.run([tool, str(path)], capture_output=True, text=True, check=False)
    lines = (told.stdout + told.stderr).splitlines()
    assert any(line and not line.startswith(("Error", "Warning", "Abort")) for line in lines), "no IOD was recognised"
    return sorted({line for line in lines if line.startswith(("Error", "Abort"))})
