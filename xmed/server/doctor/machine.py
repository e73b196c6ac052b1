"""Checks of the machine and of the home on it: Python, packages, device, disk; where the home lies, who can read it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from xmed.files.permissions import GROUP, close_to_others, make_private_home, readable_by_others
from xmed.home import Home
from xmed.processes.processor import cpu
from xmed.records.precision_choice import PrecisionChoice, PrecisionChoices
from xmed.records.record import read_record
from xmed.registry.relocation import elsewhere, relocate
from xmed.server.doctor.check import HOW_TO_FIX, Check, repairable
from xmed.server.moved_schedules import correct_schedules, schedules_elsewhere

LEAST_DISK_GB, DEVICE_SECONDS = 5.0, 120.0
SHOWN = 3
"""How many of the files that others can read are named."""
DEVICE_SCRIPT = """
import torch
for n in range(torch.cuda.device_count()):
    torch.ones(1, device=f"cuda:{n}").sum().item()
    free, whole = torch.cuda.mem_get_info(n)
    memory = f"{free / 2**30:.0f} of {whole / 2**30:.0f} GiB free"
    bf16 = "" if torch.cuda.is_bf16_supported() else ", no bfloat16"
    print(f"{torch.cuda.get_device_name(n)}, CUDA {torch.version.cuda}, {memory}{bf16}")
"""


def check_python() -> Iterator[Check]:
    """Check the version of Python."""
    is_supported = (3, 11) <= sys.version_info[:2] < (3, 14)
    detail = f"{platform.python_version()} on {platform.platform()}" + ("" if is_supported else ", not 3.11–3.13")
    yield Check("python", is_supported, detail)


def check_packages() -> Iterator[Check]:
    """Check that packages are within xmed's bounds; some lower bounds exclude versions with a known security hole."""
    wrong, installed = [], []
    for requirement in _requirements():
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            package_version = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed ({requirement.specifier})")
            continue
        installed.append(f"{requirement.name} {package_version}")
        if not requirement.specifier.contains(package_version, prereleases=True):
            wrong.append(f"{requirement.name} {package_version} is outside {requirement.specifier}")
    yield Check("packages", not wrong, "; ".join(wrong) or ", ".join(installed))


def check_device() -> Iterator[Check]:
    """Check that torch can use the device; in a process of its own, as a broken CUDA driver may hang or crash it."""
    command = [sys.executable, "-W", "ignore", "-c", DEVICE_SCRIPT]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=DEVICE_SECONDS)
    except subprocess.TimeoutExpired:
        yield Check("device", False, f"torch did not answer within {DEVICE_SECONDS:.0f} s")
        return
    if result.returncode:
        last = result.stderr.strip().splitlines()[-1:]
        yield Check("device", False, f"torch cannot be used: {' '.join(last) or f'exit code {result.returncode}'}")
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpus = "; ".join(result.stdout.splitlines())
    yield Check("device", True, f"{gpus or cpu()}; {cores} cores, {memory:.0f} GiB memory")


def check_disk(home: Path) -> Iterator[Check]:
    """Check that the home's disk has room and can be written to."""
    folder = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free_gb = shutil.disk_usage(folder).free / 1e9
    is_writable = os.access(folder, os.W_OK)
    detail = f"{free_gb:.0f} GB free for {home}" + ("" if is_writable else ", which cannot be written to")
    yield Check("disk", is_writable and free_gb >= LEAST_DISK_GB, detail)


def check_precision(home: Path) -> Iterator[Check]:
    """Tell in which precision networks compute on this machine, as far as it was measured."""
    path = Home(home).precision
    choices = read_record(PrecisionChoices, path).choices.values() if path.is_file() else ()
    lines = [
        f"{each.step} of {each.network} in {each.spatial_dims}-D on {each.device}: {each.precision} ({_times(each)})"
        for each in choices
    ]
    yield Check("precision", True, "; ".join(sorted(lines)) or "measured when a network is first trained or used")


def _times(choice: PrecisionChoice) -> str:
    """Both measured times, in words."""
    if choice.float32_ms is None or choice.bfloat16_ms is None:
        return "the device computes in no other"
    return f"float32 {choice.float32_ms:.0f} ms, bfloat16 {choice.bfloat16_ms:.0f} ms"


def check_cache(home: Path) -> Iterator[Check]:
    """Tell how much of the disk prepared volumes take. They may be deleted: what is missing is prepared again."""
    from xmed.prepare.sample_cache import SampleCache  # loads SciPy, which the checks before do without

    cache = SampleCache(home)
    yield Check("cache", True, f"{cache.size() / 1e9:.1f} of at most {cache.limit / 1e9:.0f} GB of prepared volumes")


def _requirements() -> list[Requirement]:
    """The requirements of xmed's installed package, or of the checkout that it runs from."""
    try:
        lines = requires("xmed") or []
    except PackageNotFoundError:
        text = (Path(__file__).resolve().parents[3] / "pyproject.toml").read_text(encoding="utf-8")
        lines = tomllib.loads(text)["project"]["dependencies"]
    return [Requirement(line) for line in lines]


def check_place(home: Path, fix: bool) -> Iterator[Check]:
    """Check whether a home was moved or copied: its registry and its schedules then name the old folder."""
    old_homes = sorted({str(path) for path in elsewhere(home)} | set(schedules_elsewhere(home)))
    if fix:
        relocate(home)
        correct_schedules(home)
    names = ", ".join(old_homes)
    problem = f"its registry or its schedules lie in {names}: it was moved, or copied" if old_homes else ""
    yield repairable("home", problem, fix, f"{home}", "put right", HOW_TO_FIX)


def check_privacy(home: Path, fix: bool) -> Iterator[Check]:
    """Check for files and folders that other accounts of this machine may read or write."""
    open_paths = [path.relative_to(home).as_posix() for path in readable_by_others(home)]
    if fix and open_paths:
        make_private_home(home)
        close_to_others(home, home)
    examples = ", ".join(open_paths[:SHOWN]) + (" …" if len(open_paths) > SHOWN else "")
    problem = f"others may read or write {len(open_paths)} files and folders ({examples})" if open_paths else ""
    yield repairable("privacy", problem, fix, f"for its owner alone, or the group of {GROUP}", how=HOW_TO_FIX)
