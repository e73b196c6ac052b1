"""The alarm rule: decides whether new data still resembles the validation data, and how often it is wrong.

The patient is the unit. Two tests share one chance of a false alarm, ALPHA: whether the images that can be read have
changed (`joint_shift` over the groups of `measure`, p ≤ IMAGES), and whether fewer can be read than before (Fisher's
exact test, one-sided, p ≤ UNREADABLE).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np
from scipy.stats import fisher_exact

from xmed import stats
from xmed.evaluate.perturbations import DISTURBANCES
from xmed.html.render import weighed
from xmed.monitor.measure import DISTURBED, matrices
from xmed.records.drift import CalmTrial, DisturbedTrial, Measurements, Simulation

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
REPEATS, LABELLINGS = 100, 500
MOST_NEW = 5
"""New patients of a simulated check at most: a rule that needs more of them is slow, and is said to be."""


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


def simulated(
    pool: Mapping[str, Measurements], copies: Mapping[str, Mapping[str, Measurements]], n_reference: int
) -> Simulation:
    """Draw target patients at random as reference and as new ones, undisturbed and disturbed, and apply the rule.

    Nobody is on both sides at once. Undisturbed, every check has `n_new` patients. Disturbed patients come one by one,
    and are checked each time, from the second on.

    Args:
        pool: Patient id → measurements of every measured patient.
        copies: Disturbance → patient id → measurements of the disturbed image.
        n_reference: Patients of the real reference; the simulated one has as many, as far as the pool allows.
    """
    n_new = min(MOST_NEW, len(pool) // 2)
    n_reference = min(n_reference, len(pool) - n_new)
    if n_new < 2 or stats.smallest_p(n_reference, n_new, LABELLINGS) > IMAGES:
        reason = (
            f"{len(pool)} {'patient is' if len(pool) == 1 else 'patients are'} too few to be divided: "
            f"with {n_reference} and {n_new} no p can be as small as {IMAGES:g}"
        )
        return Simulation(
            n_reference=n_reference, n_new=n_new, repeats=REPEATS, in_control=None, disturbed=[], reason=reason
        )
    random, alarms = np.random.default_rng(0), 0
    for _ in range(REPEATS):
        order = [pool[name] for name in random.permutation(sorted(pool))]
        alarms += fires(shift_of(order[n_new : n_new + n_reference], order[:n_new], LABELLINGS))
    return Simulation(
        n_reference=n_reference,
        n_new=n_new,
        repeats=REPEATS,
        in_control=CalmTrial(alarms=alarms, rate=alarms / REPEATS),
        disturbed=[
            _disturbed_trial(name, pool, copies[name], n_reference, n_new) for name in DISTURBED if name in copies
        ],
        reason=None,
    )


def _disturbed_trial(
    name: str, pool: Mapping[str, Measurements], copies: Mapping[str, Measurements], n_reference: int, n_new: int
) -> DisturbedTrial:
    """Simulate how soon one disturbance is seen."""
    random, delays = np.random.default_rng(1), list[int]()
    for _ in range(REPEATS):
        coming = random.permutation(sorted(copies))[:n_new]
        left = random.permutation([patient for patient in sorted(pool) if patient not in set(coming)])[:n_reference]
        old, new = [pool[patient] for patient in left], [copies[patient] for patient in coming]
        for k in range(2, len(new) + 1):
            if stats.smallest_p(len(old), k, LABELLINGS) <= IMAGES and fires(shift_of(old, new[:k], LABELLINGS)):
                delays.append(k)
                break
    _, text, levels, form = DISTURBANCES[name]
    median = median_low([*delays, *[n_new + 1] * (REPEATS - len(delays))])
    return DisturbedTrial(
        id=name,
        text=text,
        level=form.format(levels[1]),
        seen=len(delays) / REPEATS,
        delay=median if 2 * len(delays) > REPEATS else None,
    )
