"""Estimate trivial baselines without target labels; where one is best, no model is registered.

The validators cannot judge it. A mask that never looks at the image is perfectly consistent, lies exactly where
labelled cases have the structure, and has their shape, because it is made of them. So both sides are estimated in Dice
instead, from labelled source cases alone: a baseline by what it reaches on cases that it was not made from; a model by
what it reaches on labelled cases in the light it reads best, times how consistent it is on the target's own volumes,
which is where a model that merely knows its source falls short.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from xmed.model.deployed import Model
from xmed.prepare import Sample
from xmed.rendering.synthesise import render_as_target
from xmed.select.unlabelled_measures import REFERENCES, VOLUMES, Findings, posed, spread
from xmed.tasks.location_prior import LabelledCase, leave_one_out_agreement, mask_overlap
from xmed.tasks.trivial_masks import threshold_masks

LEAST = 3
"""Labelled source cases below which a baseline is not estimated: one left out, and a mean of at least two."""
NAMES = {"trivial_position": "the mean source mask", "trivial_threshold": "an intensity threshold"}


def trivial(
    model: Model, unlabelled: Sequence[Sample], labelled: Sequence[Sample], seed: int, scene: str | None = None
) -> dict[str, float]:
    """Estimated target Dice of each trivial arm, mean over structures; empty with fewer than LEAST labelled cases.

    model: one of the study's, for what it sees. labelled: all labelled source cases. scene: what draws them, if
    anything. Position: each case against the mean mask of the others, held as the target's scanner would hold them.
    Threshold: the rule that does best on the cases drawn in the target's physics.
    """
    cases = [labelled[n] for n in spread(len(labelled), REFERENCES)]
    if len({case.case for case in cases}) < LEAST or not unlabelled:
        return {}
    random, classes = np.random.default_rng([seed, 23]), len(model.structures) + 1
    target = [unlabelled[n] for n in spread(len(unlabelled), VOLUMES)]
    through = [target[int(random.integers(len(target)))] for _ in cases]
    pairs = zip(cases, through)
    drawn = [render_as_target(*pair, model.modality, model.window, random, scene) for pair in pairs]
    held = [(s.case, s.truth, s.fov) for s in drawn] if scene else [posed(s, target, model, random) for s in cases]
    return {
        "trivial_position": float(np.mean(leave_one_out_agreement(held, classes))),
        "trivial_threshold": _threshold(drawn, held, classes),
    }


def estimate(one: Findings) -> float:
    """Estimated target Dice of a model: what it reaches where labels are known, as far as it is consistent beyond."""
    return one.known * max(one.scores["consistency"] or 0.0, 0.0)


def best(found: Mapping[str, Findings], baselines: Mapping[str, float]) -> str | None:
    """The trivial arm that is estimated better than every model, if any is."""
    leader = max(baselines, key=lambda name: baselines[name], default=None)
    return leader if leader and baselines[leader] > max(estimate(one) for one in found.values()) else None


def told(name: str, found: Mapping[str, Findings], baselines: Mapping[str, float]) -> str:
    """Why nothing is registered, in one sentence."""
    reached = max(estimate(one) for one in found.values())
    return (
        f"{NAMES[name]}, which learns nothing, is estimated best without target labels: Dice {baselines[name]:.2f} "
        f"against {reached:.2f} of the best model"
    )


def _threshold(drawn: Sequence[Sample], held: Sequence[LabelledCase], classes: int) -> float:
    """Mean over structures of the best rule's mean Dice over the pictures that have the structure."""
    out = []
    for value in range(1, classes):
        share = float(np.mean([(label == value).sum() / max(int(fov.sum()), 1) for _, label, fov in held]))
        scores: dict[str, list[float]] = defaultdict(list)
        for seen in (one for one in drawn if (one.truth == value).any()):
            for rule, label in threshold_masks(seen, value, share):
                scores[rule].append(mask_overlap(label == value, seen.truth == value))
        out.append(max((float(np.mean(one)) for one in scores.values()), default=0.0))
    return float(np.mean(out))
