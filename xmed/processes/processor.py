"""The processor of this machine: its name, and what it can do. It loads no package."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path


@cache
def _facts() -> dict[str, str]:
    """What /proc/cpuinfo says of one processor; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = text.strip().split("\n\n")[0].splitlines()  # of the first processor
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def cpu() -> str:
    """Find the processor's name.

    Returns:
        Its name, or the machine type where the system does not tell it.
    """
    return _facts().get("model name") or platform.processor() or platform.machine()


def cpu_flags() -> str:
    """Find the features of the processor. Different processors may have one name.

    Returns:
        Their names as the kernel has them, separated by spaces; empty where the system does not tell them.
    """
    return _facts().get("flags") or _facts().get("Features", "")
