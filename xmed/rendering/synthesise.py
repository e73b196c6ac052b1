"""Draw labelled source cases as the target's scanner would show them, normalised as target cases are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    """Draw one labelled case in the manner of `modality`, seen through the field of view of an unlabelled target case.

    Args:
        source: Labelled case.
        target: Unlabelled case.
        modality: DICOM modality of the target.
        window: Raw intensities of the target are clipped to this range, if it is given.
        random: Random generator.
        scene: Name of the scene that draws the source, if one does.

    Returns:
        A labelled sample, on the target's grid where a scene drew it or a probe was posed, else on the source's own.

    Raises:
        XmedError: SPEC_INVALID for an unknown scene.
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
) -> Iterator[Sample]:
    """Draw labelled samples as the source's own modality shows them, for methods that need images.

    Each shows a label map in turn through the field of view of a random target case, without the target's physics.

    Args:
        count: Number of samples.
        source: Labelled cases, whose images are dense label maps.
        target: Unlabelled cases.
        scene: Name of the scene that draws the source.
        random: Random generator.

    Returns:
        Labelled samples on the grids of the target cases.

    Raises:
        XmedError: SPEC_INVALID for an unknown scene.
    """
    for n in range(count):
        case, view = source[n % len(source)], target[int(random.integers(len(target)))]
        image, label = scenes.source_picture(scene)(case, view, random)
        yield Sample(case.case, normalise(image, view.fov), view.fov, view.grid, label)


def renderings_as_target(
    count: int,
    source: Sequence[Sample],
    target: Sequence[Sample],
    modality: str,
    window: tuple[float, float] | None,
    random: np.random.Generator,
    scene: str | None = None,
) -> Iterator[Sample]:
    """Draw labelled samples with `render_as_target`: the source cases in turn, target cases at random.

    Args:
        count: Number of samples.
        source: Labelled cases.
        target: Unlabelled cases.
        modality: DICOM modality of the target.
        window: Raw intensities of the target are clipped to this range, if it is given.
        random: Random generator.
        scene: Name of the scene that draws the source, if one does.

    Returns:
        Labelled samples.

    Raises:
        XmedError: SPEC_INVALID for an unknown scene.
    """
    views = (target[int(random.integers(len(target)))] for _ in range(count))
    for n, view in enumerate(views):
        yield render_as_target(source[n % len(source)], view, modality, window, random, scene)
