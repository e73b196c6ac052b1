"""Measure what averaging a model's predictions over mirrored copies costs and gains, without target labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xmed.files.progress import Progress, Steps
from xmed.model.deployed import Model
from xmed.prepare import Sample
from xmed.records.training import MirroringTest
from xmed.rendering.synthesise import render_as_target
from xmed.tasks.location_prior import mask_overlap

RENDERINGS = 4
"""Renderings that are predicted both ways."""


def measure_mirroring(
    model: Model, target: Sequence[Sample], held_out: Sequence[Sample], seed: int, scene: str | None = None,
    progress: Progress | None = None,
) -> MirroringTest | None:  # fmt: skip
    """Predict held-out source cases, rendered as the target, with and without mirrored copies.

    Args:
        model: The model; whether it mirrors itself does not matter.
        target: Unlabelled target samples, whose looks the renderings take.
        held_out: Labelled source samples that it was not trained on.
        seed: Determines the renderings.
        scene: Name of the scene that draws the source, if one does.
        progress: Called with (what, done, total, note).

    Returns:
        Cost and gain; None without held-out cases, or where nothing may be mirrored (see `augmentation_for`).
    """
    mirrored, plain = replace(model, mirrors=True), replace(model, mirrors=False)
    if not held_out or not any(mirrored.flips):
        return None
    random = np.random.default_rng([seed, 13])
    steps = Steps(progress, f"mirrored copies, seed {seed}", RENDERINGS)
    dice: dict[Model, list[float]] = {mirrored: [], plain: []}
    seconds = {mirrored: 0.0, plain: 0.0}
    for number in range(RENDERINGS):
        if number:
            steps.add()
        anywhere = target[int(random.integers(len(target)))]
        case = held_out[number % len(held_out)]
        seen = render_as_target(case, anywhere, model.modality, model.window, random, scene)
        for way in (mirrored, plain):
            began = time.monotonic()
            label = way.decode(way.probabilities(seen), seen.fov)
            seconds[way] += time.monotonic() - began
            dice[way] += [mask_overlap(label == value, seen.reference == value)
                          for value in model.structures.values if (seen.reference == value).any()]  # fmt: skip
    if not dice[mirrored]:
        steps.add("no structure on any rendering")
        return None
    test = MirroringTest(
        used=model.mirrors,
        copies=2 ** sum(mirrored.flips),
        volumes=RENDERINGS,
        dice_mirrored=float(np.mean(dice[mirrored])),
        dice_plain=float(np.mean(dice[plain])),
        times_as_long=seconds[mirrored] / seconds[plain],
    )
    steps.add(test.sentence)
    return test
