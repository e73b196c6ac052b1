"""The alarm rule: decides from numbers whether new data still resembles the validation data; needs no image.

The patient is the unit. Two tests share one chance of a false alarm, ALPHA: whether the images that can be read have
changed (`joint_shift` over the groups of `measure`, p ≤ IMAGES), and whether fewer can be read than before (Fisher's
exact test, one-sided, p ≤ UNREADABLE).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import fisher_exact

from xmed import stats
from xmed.html.render import weighed
from xmed.monitor.measure import matrices
from xmed.records.drift import Measurements

IMAGES, UNREADABLE = 0.04, 0.01
ALPHA = IMAGES + UNREADABLE
RULE = (
    f"alarm when the images of new patients differ from the reference in any group of measurements, p at most "
    f"{IMAGES:g} for all groups together (MMD² of each; the least p against that of patients relabelled at random, "
    f"Westfall and Young), or when more of them cannot be read than at validation, p at most {UNREADABLE:g} (Fisher's "
    f"exact test); both together are wrong in at most {100 * ALPHA:g} of 100 checks of data that have not changed"
)
MOST_NEEDED = 50
"""Where this number of new patients does not suffice, none is said to."""


@dataclass(frozen=True)
class Alarm:
    """The rule's answer: alarm, no_alarm or undecided; `shift` is None where there were too few patients to compare."""

    verdict: str
    reason: str
    shift: stats.JointShift | None
    p_unreadable: float


def judge(
    reference: Sequence[Measurements], new: Sequence[Measurements], read: tuple[int, int], unread: tuple[int, int]
) -> Alarm:
    """Apply the rule.

    Args:
        reference: Measurements of each patient of the validation.
        new: Measurements of each new patient.
        read: How many images could be read, at validation and now.
        unread: How many could not, at validation and now.
    """
    table = [[unread[1], read[1]], [unread[0], read[0]]]
    p_unreadable = float(fisher_exact(table, alternative="greater").pvalue)
    shift = shift_of(reference, new) if min(len(reference), len(new)) >= 2 else None
    fired = []
    if shift is not None and fires(shift):
        fired.append(f"the images differ ({p_text(shift.p, IMAGES)}): {', '.join(changed_groups(shift))}")
    if p_unreadable <= UNREADABLE:
        of = unread[1] + read[1]
        few = f"{unread[1]} of {of} image{'s' * (of != 1)} cannot be read"
        fired.append(f"{few} ({p_text(p_unreadable, UNREADABLE)})")
    if fired:
        return Alarm("alarm", "; ".join(fired), shift, p_unreadable)
    if shift is None or shift.floor > IMAGES:
        return Alarm("undecided", _too_few(len(reference), len(new)), shift, p_unreadable)
    if shift.p is None:
        return Alarm("no_alarm", "every measurement is the same in all patients", shift, p_unreadable)
    calm = f"no group of measurements differs more than chance allows ({p_text(shift.p, IMAGES)})"
    return Alarm("no_alarm", calm, shift, p_unreadable)


def shift_of(
    reference: Sequence[Measurements], new: Sequence[Measurements], labellings: int = stats.LABELLINGS
) -> stats.JointShift:
    """Run the first test: whether the readable images have changed.

    Args:
        reference: Measurements of each patient of the validation.
        new: Measurements of each new patient.
        labellings: How many random labellings the permutation test draws.

    Raises:
        ValueError: For fewer than two patients on a side.
    """
    return stats.joint_shift(*matrices(reference, new), labellings=labellings)


def fires(shift: stats.JointShift) -> bool:
    """Whether the first test raises the alarm."""
    return shift.p is not None and shift.p <= IMAGES


def changed_groups(shift: stats.JointShift) -> list[str]:
    """The groups of measurements that changed; p values are adjusted for all groups."""
    return [name for name, group in shift.groups.items() if group.p_adjusted is not None and group.p_adjusted <= IMAGES]


def p_text(p: float | None, limit: float) -> str:
    """Format a p value for a sentence, so that rounding never puts it on the wrong side of its limit."""
    text = weighed(p, limit)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def least_new_patients(n_reference: int) -> int | None:
    """The least number of new patients with which the first test can be decided; None where no number suffices."""
    return next((m for m in range(2, MOST_NEEDED) if stats.smallest_p(n_reference, m) <= IMAGES), None)


def _too_few(n: int, m: int) -> str:
    least = least_new_patients(n) if n >= 2 else None
    if least is None:
        return f"a reference of {n} patient{'s' * (n != 1)} decides nothing"
    return f"{m} new patient{'s' * (m != 1)} against {n}: at least {least} are needed to tell a change from chance"
