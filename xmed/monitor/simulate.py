"""Simulates how often the alarm rule raises a false alarm, and how many patients it takes to see a change."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median_low

import numpy as np

from xmed import stats
from xmed.evaluate.perturbations import DISTURBANCES
from xmed.monitor.alarm import IMAGES, fires, shift_of
from xmed.monitor.bench import DISTURBED
from xmed.records.drift import CalmTrial, DisturbedTrial, Measurements, Simulation

REPEATS, LABELLINGS = 100, 500
MOST_NEW = 5
"""New patients of a simulated check at most: a rule that needs more of them is slow, and is said to be."""


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
