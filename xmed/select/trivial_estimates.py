"""Estimate trivial baselines without target labels. Where one of them is best, no model is registered.

The validators cannot judge a baseline. A mask that never depends on the image is perfectly consistent, lies exactly
where labelled cases have the structure, and has their shape, because it is made from them. So both sides are estimated
in Dice, from labelled source cases alone. A baseline is estimated by its Dice on cases that it was not made from. A
model is estimated by its Dice on labelled cases, in the appearance that it reads best, times its consistency on the
target's own volumes, which is low for a model that merely knows its source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from xmed.model.deployed import Model
from xmed.prepare import Sample
from xmed.rendering.synthesise import render_as_target
from xmed.select.unlabelled_measures import REFERENCES, VOLUMES, Findings, evenly_spread, posed_labels
from xmed.tasks.location_prior import LabelledCase, leave_one_out_agreement, mask_overlap
from xmed.tasks.trivial_masks import threshold_masks

MIN_CASES = 3
"""Smallest number of labelled source cases with which a baseline is estimated: one left out, and a mean of at least
two.
"""
NAMES = {"trivial_position": "the mean source mask", "trivial_threshold": "an intensity threshold"}


def estimate_baselines(
    model: Model, unlabelled: Sequence[Sample], labelled: Sequence[Sample], seed: int, scene: str | None = None
) -> dict[str, float]:
    """Estimate the target Dice of each trivial arm, mean over structures.

    The position baseline is compared, case by case, with the mean mask of the other cases, in the target scanner's
    pose. The threshold baseline is the rule that does best on the cases rendered in the target's physics.

    Args:
        model: A model of the study, for its modality, window and structures.
        unlabelled: Target samples.
        labelled: All labelled source cases.
        seed: Determines the random views.
        scene: Name of the scene that draws the source, if one does.

    Returns:
        Arm → Dice; empty with fewer than `MIN_CASES` labelled cases.
    """
    cases = [labelled[n] for n in evenly_spread(len(labelled), REFERENCES)]
    if len({case.case for case in cases}) < MIN_CASES or not unlabelled:
        return {}
    random, classes = np.random.default_rng([seed, 23]), len(model.structures) + 1
    target = [unlabelled[n] for n in evenly_spread(len(unlabelled), VOLUMES)]
    through = [target[int(random.integers(len(target)))] for _ in cases]
    pairs = zip(cases, through)
    drawn = [render_as_target(*pair, model.modality, model.window, random, scene) for pair in pairs]
    posed = (
        [(s.case, s.reference, s.fov) for s in drawn]
        if scene
        else [posed_labels(s, target, model, random) for s in cases]
    )
    return {
        "trivial_position": float(np.mean(leave_one_out_agreement(posed, classes))),
        "trivial_threshold": _threshold(drawn, posed, classes),
    }


def estimate(findings: Findings) -> float:
    """Estimate the target Dice of a model: its Dice where labels are known, times its consistency on the target.

    Args:
        findings: Measures of the model.

    Returns:
        Dice, 0 to 1.
    """
    return findings.source_dice * max(findings.scores["consistency"] or 0.0, 0.0)


def best_baseline(findings: Mapping[str, Findings], baselines: Mapping[str, float]) -> str | None:
    """Return the trivial arm that is estimated better than every model.

    Args:
        findings: Arm → measures of its model.
        baselines: Trivial arm → estimated Dice (see `estimate_baselines`).

    Returns:
        The trivial arm, or None where some model is estimated at least as good.
    """
    leader = max(baselines, key=lambda name: baselines[name], default=None)
    return leader if leader and baselines[leader] > max(estimate(measured) for measured in findings.values()) else None


def reason_for_baseline(name: str, findings: Mapping[str, Findings], baselines: Mapping[str, float]) -> str:
    """Say in one sentence why nothing is registered.

    Args:
        name: The trivial arm that is estimated best.
        findings: Arm → measures of its model.
        baselines: Trivial arm → estimated Dice.

    Returns:
        The sentence, without a full stop.
    """
    reached = max(estimate(measured) for measured in findings.values())
    return (
        f"{NAMES[name]}, which learns nothing, is estimated best without target labels: Dice {baselines[name]:.2f} "
        f"against {reached:.2f} of the best model"
    )


def _threshold(drawn: Sequence[Sample], posed: Sequence[LabelledCase], classes: int) -> float:
    """Return the mean over structures of the best rule's mean Dice over the pictures that have the structure."""
    out = []
    for value in range(1, classes):
        share = float(np.mean([(label == value).sum() / max(int(fov.sum()), 1) for _, label, fov in posed]))
        scores: dict[str, list[float]] = defaultdict(list)
        for seen in (picture for picture in drawn if (picture.reference == value).any()):
            for rule, label in threshold_masks(seen, value, share):
                scores[rule].append(mask_overlap(label == value, seen.reference == value))
        out.append(max((float(np.mean(dice)) for dice in scores.values()), default=0.0))
    return float(np.mean(out))
