"""Machine: Python, packages within their bounds, the device and what it is good for, the disk."""

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

from xmed.app.environment import cpu
from xmed.server.doctor.check import Check

LEAST_DISK_GB, DEVICE_SECONDS = 5.0, 120.0
DEVICE = """
import torch
for n in range(torch.cuda.device_count()):
    torch.ones(1, device=f"cuda:{n}").sum().item()
    free, whole = torch.cuda.mem_get_info(n)
    memory = f"{free / 2**30:.0f} of {whole / 2**30:.0f} GiB free"
    bf16 = "" if torch.cuda.is_bf16_supported() else ", no bfloat16"
    print(f"{torch.cuda.get_device_name(n)}, CUDA {torch.version.cuda}, {memory}{bf16}")
"""
FAST = {"amx_tile": "AMX", "avx512_bf16": "AVX-512 BF16", "avx512f": "AVX-512", "avx2": "AVX2"}
"""Flags of a processor by how much faster they make a training, the fastest first (see LOG.md)."""


def python() -> Iterator[Check]:
    ok = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Check(
        "python", ok, f"{platform.python_version()} on {platform.platform()}" + ("" if ok else ", not 3.11–3.13")
    )


def packages() -> Iterator[Check]:
    """Among the bounds are the floors below which a package has a known hole."""
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


def device() -> Iterator[Check]:
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
    gpus = "; ".join(found.stdout.splitlines())
    yield Check("device", True, f"{gpus or f'{cpu()} ({_fast()})'}; {cores} cores, {memory:.0f} GiB memory")


def disk(home: Path) -> Iterator[Check]:
    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free / 1e9
    writable = os.access(place, os.W_OK)
    detail = f"{free:.0f} GB free for {home}" + ("" if writable else ", which cannot be written to")
    yield Check("disk", writable and free >= LEAST_DISK_GB, detail)


def _requirements() -> list[Requirement]:
    """What xmed asks for: of its installed package, or of the checkout it runs from."""
    try:
        lines = requires("xmed") or []
    except PackageNotFoundError:
        text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
        lines = tomllib.loads(text)["project"]["dependencies"]
    return [Requirement(line) for line in lines]


def _fast() -> str:
    """What of a processor makes training faster, where the system tells it."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return "features unknown"
    found = [name for flag, name in FAST.items() if flag in flags]
    return f"{', '.join(found)}" if found else "none of AMX, AVX-512, AVX2: training will be slow"
