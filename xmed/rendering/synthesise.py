"""Synthesise: one labelled source case as the target's scanner would have shown it, normalised as a target case is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmed.prepare import Sample, normalise
from xmed.rendering import renderer, scenes
from xmed.rendering.field_of_view_pose import pose_anatomy


def render_as_target(
    source: Sample,
    target: Sample,
    modality: str,
    window: tuple[float, float] | None,
    random: np.random.Generator,
    scene: str | None = None,
) -> Sample:
    """A labelled Sample in the manner of `modality`, seen through the field of view of the unlabelled `target`.

    It lies on the target's grid where a scene drew it or a probe was posed, else on the source's own. window: how the
    target's raw intensities are clipped. Raises XmedError SPEC_INVALID for an unknown scene.
    """
    if scene is not None:
        image, label = scenes.find_scene(scene)(source, target, random)
        fov, grid = target.fov, target.grid
    else:
        anatomy = pose_anatomy(source, target, modality, random)
        image, label, fov = renderer(modality)(anatomy, random), anatomy.label, anatomy.fov
        grid = target.grid if fov is target.fov else source.grid
    return Sample(source.case, normalise(image, fov, window), fov, grid, label)


def pictures_as_source(
    count: int, source: Sequence[Sample], target: Sequence[Sample], scene: str, random: np.random.Generator
) -> list[Sample]:
    """`count` labelled Samples in the manner of the source, for methods that need pictures where it has none.

    Each is a label map in turn, seen through the field of view of some target case but without the target's physics.
    """
    made = []
    for n in range(count):
        case, through = source[n % len(source)], target[int(random.integers(len(target)))]
        image, label = scenes.source_picture(scene)(case, through, random)
        made.append(Sample(case.case, normalise(image, through.fov), through.fov, through.grid, label))
    return made


def renderings_as_target(
    count: int,
    source: Sequence[Sample],
    target: Sequence[Sample],
    modality: str,
    window: tuple[float, float] | None,
    random: np.random.Generator,
    scene: str | None = None,
) -> list[Sample]:
    """`count` labelled Samples: the source cases in turn, each seen through the field of view of some target case."""
    seen = (target[int(random.integers(len(target)))] for _ in range(count))
    return [
        render_as_target(source[n % len(source)], through, modality, window, random, scene)
        for n, through in enumerate(seen)
    ]
