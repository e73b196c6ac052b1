"""Evaluate the adapted model on a few test volumes with deliberate perturbations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from xmed import __version__, metrics
from xmed.cohort import Case, Cohort
from xmed.errors import XmedError
from xmed.evaluate.reference import measurement_digest
from xmed.files.digest import digest, folder_digest
from xmed.files.progress import Progress, Steps
from xmed.model.deployed import Model
from xmed.model.prediction import adapts_at_test_time, predict
from xmed.prepare import resample_to
from xmed.prepare.geometry import divide_grid
from xmed.prepare.study_samples import reference_labels
from xmed.records.evaluation import DisturbanceKind, DisturbedScore, Robustness
from xmed.run import Arm, Run
from xmed.volume import Grid, Volume

Pair = tuple[Volume, Volume]
MOST_CASES, VOXELS = 2, 8e6
"""At most this many cases are perturbed, and as many as have VOXELS together (each is predicted 16 times), but at least
one.
"""


def noise(image: Volume, label: Volume, level: float, random: np.random.Generator) -> Pair:
    """Add noise of `level` standard deviations of the image. In ultrasound it is multiplied, as speckle is."""
    seen = image.array[image.inside]
    drawn = random.standard_normal(image.array.shape).astype(np.float32) * level
    array = image.array * (1 + drawn) if image.modality == "US" else image.array + drawn * np.float32(seen.std())
    return image.with_array(np.where(image.inside, array, image.array)), label


def gain(image: Volume, label: Volume, gamma: float, random: np.random.Generator) -> Pair:
    """Change intensities between the 1st and 99th percentile by a power curve: dark tissue fades or brightens."""
    del random
    low, high = np.percentile(image.array[image.inside], (1, 99))
    span = max(float(high - low), 1e-6)
    curved = low + span * np.clip((image.array - low) / span, 0, None) ** gamma
    return image.with_array(np.where(image.inside, curved, image.array).astype(np.float32)), label


def resolution(image: Volume, label: Volume, factor: float, random: np.random.Generator) -> Pair:
    """Resample to voxels `factor` times as long along every axis with several voxels, and back."""
    del random
    i, j, k = (max(2, round(n / factor)) if n > 1 else 1 for n in image.grid.shape)
    blurred = resample_to(resample_to(image, divide_grid(image.grid, (i, j, k))), image.grid)
    return image.with_array(np.where(image.inside, blurred.array, image.array)), label


def crop(image: Volume, label: Volume, share: float, random: np.random.Generator) -> Pair:
    """Cut off `share` of the field of view at each side along i and j, in the image and in the reference."""
    del random
    inside = image.inside.copy()
    ends = np.argwhere(inside)
    low, high = ends.min(0), ends.max(0) + 1
    for axis in (0, 1):
        cut = round(share * float(high[axis] - low[axis]))
        index = np.arange(inside.shape[axis])
        outside = (index < low[axis] + cut) | (index >= high[axis] - cut)
        inside[(slice(None),) * axis + (outside,)] = False
    array = np.where(inside, image.array, image.array[image.inside].min())
    return replace(image, array=array, fov=inside), label.with_array(np.where(inside, label.array, 0))


def rotation(image: Volume, label: Volume, degrees: float, random: np.random.Generator) -> Pair:
    """Rotate the patient by `degrees` in the plane of i and j about the middle, without a change of the header."""
    del random
    turned = _turned(image.grid, np.deg2rad(degrees))
    moved, label_moved = resample_to(image, turned), resample_to(label, turned, labels=True)
    return replace(moved, affine=image.affine), label_moved


DISTURBANCES: dict[str, tuple[Callable[..., Pair], str, tuple[float, ...], str]] = {
    "noise": (noise, "noise (speckle in ultrasound)", (0.1, 0.25, 0.5), "{:g} SD"),
    "gain": (gain, "gain and contrast", (0.8, 0.6, 0.4), "gamma {:g}"),
    "resolution": (resolution, "coarser voxels", (1.5, 2, 3), "{:g} times"),
    "crop": (crop, "a smaller field of view", (0.05, 0.1, 0.2), "{:.0%} off each side"),
    "rotation": (rotation, "rotation", (5, 10, 20), "{:g}°"),
}
"""Name → function, description, three levels, and format of a level."""


def evaluate_perturbed(
    run: Run, target: Cohort, cases: Sequence[Case], seed: int, progress: Progress | None = None
) -> Robustness:
    """Write robustness.json of a run: Dice of the adapted model of `seed` on perturbed test volumes.

    Nothing is done again for the same model on the same data.

    Args:
        run: The run.
        target: Cohort of the target.
        cases: Its labelled test cases.
        seed: Seed of the adapted model.
        progress: Called with (what, done, total, note).

    Returns:
        The content of robustness.json.
    """
    folder = run.arm(Arm.ADAPTED, seed) / "model"
    all_levels = {name: levels for name, (_, _, levels, _) in DISTURBANCES.items()}
    of = digest(
        [folder_digest(folder), target.fingerprint, run.study.structures, measurement_digest(), __version__, all_levels]
    )
    if run.has(Robustness) and (before := run.read(Robustness)).of == of:
        return before
    model = Model.load(folder)
    # What learns anew for every volume takes a training's time each: one volume has to do.
    chosen = few(target, cases, 1 if adapts_at_test_time(model) else MOST_CASES)
    rows: list[DisturbedScore] = []
    steps = Steps(progress, "evaluate disturbed", len(chosen) * (1 + sum(map(len, all_levels.values()))))
    for number, case in enumerate(chosen):
        image, label = target.image(case), reference_labels(target, case, run.study)
        rows += _scores(model, case, "none", 0, image, label, run.study.structures)
        steps.add("as it is")
        for name, (change, _, levels, _) in DISTURBANCES.items():
            for n, level in enumerate(levels, start=1):
                random = np.random.default_rng([number, n])
                rows += _scores(model, case, name, n, *change(image, label, level, random), run.study.structures)
                steps.add(name)
    kinds = {
        name: DisturbanceKind(text=text, levels=[form.format(level) for level in levels])
        for name, (_, text, levels, form) in DISTURBANCES.items()
    }
    document = Robustness(of=of, seed=seed, cases=[case.id for case in chosen], disturbances=kinds, rows=rows)
    run.write(document)
    return document


def few(target: Cohort, cases: Sequence[Case], most: int) -> list[Case]:
    """Return at most `most` cases, spread over the test set, that have few enough voxels together; at least one."""
    positions = sorted(set(np.linspace(0, len(cases) - 1, min(len(cases), most)).round().astype(int).tolist()))
    chosen, voxels = [cases[positions[0]]], target.image(cases[positions[0]]).array.size
    for n in positions[1:]:
        voxels += target.image(cases[n]).array.size
        if voxels <= VOXELS:
            chosen.append(cases[n])
    return chosen


def _scores(
    model: Model, case: Case, name: str, severity: int, image: Volume, label: Volume, structures: Sequence[str]
) -> list[DisturbedScore]:
    try:
        guess = predict(model, image).array
    except XmedError:
        guess = np.zeros(image.array.shape, dtype=np.uint8)  # what cannot be predicted is a miss here, too
    return [
        DisturbedScore(
            disturbance=name,
            severity=severity,
            case=case.id,
            structure=structure,
            dice=metrics.dice(guess == value, label.array == value, image.spacing),
        )
        for value, structure in enumerate(structures, start=1)
    ]


def _turned(grid: Grid, angle: float) -> Grid:
    """Return the grid rotated about its middle in the plane of its first two axes; angle in radians."""
    i, j = (grid.affine[:3, axis] / np.linalg.norm(grid.affine[:3, axis]) for axis in (0, 1))
    normal = np.cross(i, j)
    normal /= np.linalg.norm(normal)
    cross = np.array([[0, -normal[2], normal[1]], [normal[2], 0, -normal[0]], [-normal[1], normal[0], 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross  # Rodrigues
    middle = grid.points(((np.array(grid.shape) - 1) / 2)[None])[0]
    affine = grid.affine.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = middle + turn @ (affine[:3, 3] - middle)
    return Grid(grid.shape, affine, grid.frame)
