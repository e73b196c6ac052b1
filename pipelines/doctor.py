"""Doctor: is this installation sound, and did anything stay half done."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from pipelines.environment import cpu

LEAST_DISK_GB, ALIVE_SECONDS, DEVICE_SECONDS = 5.0, 900.0, 120.0
DEVICE = "import torch; [print(torch.cuda.get_device_name(n)) for n in range(torch.cuda.device_count())]"


@dataclass(frozen=True)
class Check:
    """One finding."""

    name: str
    ok: bool
    detail: str


def examine(home: Path) -> list[Check]:
    """Every check, none of which writes anything; one that fails to run is a finding too."""
    checks: list[Callable[[], Iterator[Check]]] = [
        _python,
        _packages,
        _device,
        lambda: _disk(home),
        lambda: _databases(home),
        lambda: _orphans(home),
        lambda: _unfinished(home),
    ]
    found: list[Check] = []
    for check in checks:
        try:
            found += check()
        except Exception as problem:  # the doctor's own fault must not hide the other findings
            found.append(Check("check", False, f"{type(problem).__name__}: {problem}"))
    return found


def _python() -> Iterator[Check]:
    ok = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Check(
        "python", ok, f"{platform.python_version()} on {platform.platform()}" + ("" if ok else ", not 3.11–3.13")
    )


def _packages() -> Iterator[Check]:
    wrong, seen = [], []
    for requirement in _requirements():
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            there = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed ({requirement.specifier})")
            continue
        seen.append(f"{requirement.name} {there}")
        if not requirement.specifier.contains(there, prereleases=True):
            wrong.append(f"{requirement.name} {there} is outside {requirement.specifier}")
    yield Check("packages", not wrong, "; ".join(wrong) or ", ".join(seen))


def _requirements() -> list[Requirement]:
    """What xmed asks for: of its installed package, or of the checkout it runs from."""
    try:
        lines = requires("xmed") or []
    except PackageNotFoundError:
        text = (Path(__file__).resolve().parent.parent / "pyproject.toml").read_text(encoding="utf-8")
        lines = tomllib.loads(text)["project"]["dependencies"]
    return [Requirement(line) for line in lines]


def _device() -> Iterator[Check]:
    """Asked in a process of its own: a broken CUDA driver hangs or crashes whoever touches it."""
    asked = [sys.executable, "-W", "ignore", "-c", DEVICE]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=DEVICE_SECONDS)
    except subprocess.TimeoutExpired:
        yield Check("device", False, f"torch did not answer within {DEVICE_SECONDS:.0f} s")
        return
    if found.returncode:
        last = found.stderr.strip().splitlines()[-1:]
        yield Check("device", False, f"torch cannot be used: {' '.join(last) or f'exit code {found.returncode}'}")
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpus = ", ".join(found.stdout.splitlines())
    yield Check("device", True, f"{gpus or cpu()}; {cores} cores, {memory:.0f} GiB memory")


def _disk(home: Path) -> Iterator[Check]:
    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free / 1e9
    writable = os.access(place, os.W_OK)
    detail = f"{free:.0f} GB free for {home}" + ("" if writable else ", which cannot be written to")
    yield Check("disk", writable and free >= LEAST_DISK_GB, detail)


def _databases(home: Path) -> Iterator[Check]:
    for path in (home / "mlflow.db", home / "prefect" / "prefect.db"):
        if not path.is_file():
            yield Check("database", True, f"{path.name} is not there yet")
            continue
        try:
            connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
            try:
                (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            finally:
                connection.close()
        except sqlite3.Error as problem:
            said = str(problem)
        yield Check("database", said == "ok", f"{path}: {said}")


def _orphans(home: Path) -> Iterator[Check]:
    from xmed.registry import orphans

    found = orphans(home)
    detail = (
        f"still RUNNING: {', '.join(found)}; `xmed run STUDY --resume RUN` completes them"
        if found
        else "no orphaned run"
    )
    yield Check("mlflow", not found, detail)


def _unfinished(home: Path) -> Iterator[Check]:
    half = []
    for folder in sorted((home / "runs").glob("*/")):
        ends = [folder / "report" / "report.json", folder / "comparison.json"]
        if not (folder / "study.json").is_file() or any(end.is_file() for end in ends):
            continue
        touched = max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
        if time.time() - touched > ALIVE_SECONDS:  # less: most likely somebody is at it
            half.append(folder.name)
    ways = "resume with `xmed run STUDY --resume RUN`, a comparison with `xmed compare`, or delete the folder"
    detail = f"half-finished: {', '.join(half)}; {ways}"
    yield Check("runs", not half, detail if half else "none half-finished")
