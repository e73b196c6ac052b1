"""One finding of the doctor."""

from __future__ import annotations

from dataclasses import dataclass

HOW_TO_FIX = "`xmed doctor --fix` puts it right"
HOW_TO_CLOSE = "`xmed doctor --fix` closes them"


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: What was checked, such as `disk`.
        ok: Whether it is as it should be.
        detail: What was found; where it is not as it should be, also what to do.
    """

    name: str
    ok: bool
    detail: str


def repairable(name: str, problem: str, fix: bool, sound: str, fixed: str = "closed", how: str = HOW_TO_CLOSE) -> Check:
    """Make a finding about something that `xmed doctor --fix` repairs.

    Args:
        name: What was checked.
        problem: What is wrong; empty where nothing is.
        fix: Whether it has just been repaired.
        sound: The detail where nothing is wrong.
        fixed: Says that it was repaired.
        how: Says how to repair it.
    """
    return Check(name, not problem or fix, f"{problem}; {fixed if fix else how}" if problem else sound)
