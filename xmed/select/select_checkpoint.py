"""Choose which candidate of one training to deploy, without target labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xmed.model.deployed import Model
from xmed.prepare import Sample
from xmed.records.selection import CheckedLimit
from xmed.rendering.synthesise import render_as_target
from xmed.select.perturbed_volume import change_intensities
from xmed.select.unlabelled_measures import evenly_spread
from xmed.select.validators import CONSISTENCY_DROP, at_least, mean_overlap, of_structures
from xmed.tasks.location_prior import mask_overlap

RULE = "the last candidate that no label-free guard holds back, compared with the first"
PROXY_DROP = 0.05
"""Largest allowed drop of the proxy Dice."""
TARGET_VOLUMES, PROXY_RENDERINGS = 12, 12
"""At most this many target volumes, spread evenly, and renderings of held-out source cases are predicted, so that the
cost of the choice does not grow with the number of cases.
"""
RENDERINGS_OF_EACH = 4
"""At most this many renderings of one held-out case."""


@dataclass(frozen=True)
class Evidence:
    """What can be known of a candidate without target labels.

    Attributes:
        consistency: Dice of its predictions on target volumes with those after noise, blur and gain.
        proxy: Dice on held-out labelled source cases rendered as the target; None without such cases.
        empty: Per structure, share of target volumes without it.
        volume_ml: Per structure, median predicted volume in ml.
    """

    consistency: float
    proxy: float | None
    empty: list[float]
    volume_ml: list[float]


@dataclass(frozen=True)
class Verdict:
    """Whether one candidate keeps every check, and each check's value and limit."""

    within_limits: bool
    guards: dict[str, CheckedLimit]


def measure_candidate(
    model: Model, target: Sequence[Sample], held_out: Sequence[Sample], seed: int, scene: str | None = None,
    measured: Callable[[], None] = lambda: None,
) -> Evidence:  # fmt: skip
    """Measure one candidate.

    Args:
        model: The candidate.
        target: Unlabelled target samples.
        held_out: Labelled source samples that it was not trained on.
        seed: Determines the random changes and renderings.
        scene: Name of the scene that draws the source, if one does.
        measured: Called after each of the volumes that `volumes_to_measure` counts.

    Returns:
        The measures.
    """
    random = np.random.default_rng([seed, 11])
    values = range(1, len(model.structures) + 1)
    consistency, volumes, proxy = [], [], []
    for case in (target[n] for n in evenly_spread(len(target), TARGET_VOLUMES)):
        plain = _label(model, case)
        consistency.append(mean_overlap(plain, _label(model, change_intensities(case, random)), len(values) + 1))
        volumes.append([float((plain == v).sum()) * case.grid.voxel_ml for v in values])
        measured()
    for n in range(_renderings(held_out)):
        case = held_out[n % len(held_out)]
        anywhere = target[int(random.integers(len(target)))]
        seen = render_as_target(case, anywhere, model.modality, model.window, random, scene)
        guess = _label(model, seen)
        proxy += [mask_overlap(guess == v, seen.reference == v) for v in values if (seen.reference == v).any()]
        measured()
    ml = np.array(volumes)
    return Evidence(
        float(np.mean(consistency)),
        float(np.mean(proxy)) if proxy else None,
        (ml == 0).mean(0).tolist(),
        np.median(ml, axis=0).tolist(),
    )


def volumes_to_measure(target: Sequence[Sample], held_out: Sequence[Sample]) -> int:
    """Return how many volumes and renderings `measure_candidate` predicts for each candidate.

    Args:
        target: Unlabelled target samples.
        held_out: Labelled source samples that were not trained on.

    Returns:
        Their number.
    """
    return len(evenly_spread(len(target), TARGET_VOLUMES)) + _renderings(held_out)


def _renderings(held_out: Sequence[Sample]) -> int:
    return min(len(held_out) * RENDERINGS_OF_EACH, PROXY_RENDERINGS)


def select_checkpoint(evidence: Sequence[Evidence], source_ml: Sequence[Sequence[float]]) -> tuple[int, list[Verdict]]:
    """Choose the last candidate that passes all checks.

    The first candidate is the state before the riskier part of the training. A later one must be no worse by any check.

    Args:
        evidence: Of each candidate, in the order of training.
        source_ml: Per structure, its volumes in ml in labelled source cases.

    Returns:
        Index of the chosen candidate; for each candidate whether it keeps every limit, with each check's value and
        limit.
    """
    checks = [_guards(candidate, evidence[0], source_ml) for candidate in evidence]
    passed = [n == 0 or all(guard.ok for guard in guards.values()) for n, guards in enumerate(checks)]
    chosen = max(n for n, ok in enumerate(passed) if ok)
    return chosen, [Verdict(ok, guards) for ok, guards in zip(passed, checks)]


def _guards(candidate: Evidence, first: Evidence, source_ml: Sequence[Sequence[float]]) -> dict[str, CheckedLimit]:
    guards = {"consistency": at_least(candidate.consistency, first.consistency - CONSISTENCY_DROP)}
    if candidate.proxy is not None and first.proxy is not None:
        guards["proxy_dice"] = at_least(candidate.proxy, first.proxy - PROXY_DROP)
    return guards | of_structures(candidate.empty, candidate.volume_ml, first.empty, source_ml)


def _label(model: Model, case: Sample) -> np.ndarray:
    return model.decode(model.probabilities(case, quick=True), case.fov)
