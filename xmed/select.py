"""Select: which candidate of a training to deploy, without a single target label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from xmed.appearance.imitate import imitate
from xmed.model import Model
from xmed.prepare import Sample

RULE = "the last candidate that no label-free guard holds back, compared with the first"
CONSISTENCY_DROP, PROXY_DROP, EMPTY_SHARE, PRIOR_FACTOR = 0.02, 0.05, 0.34, 2.0
PROXY_RENDERINGS = 4


@dataclass(frozen=True)
class Evidence:
    """What can be known of a candidate without target labels; lists run over structures.

    consistency: Dice of its predictions on target volumes with those after noise, blur and gain. proxy: Dice on
    held-out labelled source rendered as the target. empty: share of target volumes without the structure. volume_ml:
    median predicted volume.
    """

    consistency: float
    proxy: float | None
    empty: list[float]
    volume_ml: list[float]


def judge(
    model: Model, target: Sequence[Sample], held_out: Sequence[Sample], seed: int, scene: str | None = None
) -> Evidence:
    """Evidence for one candidate from unlabelled `target` samples and labelled source samples it was not trained on.

    scene: what draws the source, if anything does.
    """
    random = np.random.default_rng([seed, 11])
    values = range(1, len(model.structures) + 1)
    consistency, volumes = [], []
    for case in target:
        plain = model.task.decode(model.probabilities(case))
        other = model.task.decode(model.probabilities(_disturb(case, random)))
        consistency += [_dice(plain == v, other == v) for v in values]
        volumes.append([float((plain == v).sum()) * case.grid.voxel_ml for v in values])
    proxy = []
    for case in [case for case in held_out for _ in range(PROXY_RENDERINGS)]:
        anywhere = target[int(random.integers(len(target)))]
        seen = imitate(case, anywhere, model.modality, model.window, random, scene)
        guess = model.task.decode(model.probabilities(seen))
        proxy += [_dice(guess == v, seen.truth == v) for v in values if (seen.truth == v).any()]
    found = np.array(volumes)
    return Evidence(
        float(np.mean(consistency)),
        float(np.mean(proxy)) if proxy else None,
        (found == 0).mean(0).tolist(),
        np.median(found, axis=0).tolist(),
    )


def choose(evidence: Sequence[Evidence], source_ml: Sequence[Sequence[float]]) -> tuple[int, list[dict[str, Any]]]:
    """Index of the candidate to deploy, and per candidate whether it was kept and every guard's value and limit.

    source_ml: per structure, the volumes in ml that labelled source cases have. The first candidate is what there was
    before the riskier part of a training; a later one must do no worse by any guard.
    """
    verdicts = [_guards(one, evidence[0], source_ml) for one in evidence]
    kept = [n == 0 or all(guard["ok"] for guard in guards.values()) for n, guards in enumerate(verdicts)]
    chosen = max(n for n, ok in enumerate(kept) if ok)
    return chosen, [{"kept": ok, "guards": guards} for ok, guards in zip(kept, verdicts)]


def _guards(one: Evidence, first: Evidence, source_ml: Sequence[Sequence[float]]) -> dict[str, dict[str, Any]]:
    guards = {"consistency": _guard(one.consistency, first.consistency - CONSISTENCY_DROP)}
    if one.proxy is not None and first.proxy is not None:
        guards["proxy_dice"] = _guard(one.proxy, first.proxy - PROXY_DROP)
    for n, known in enumerate(source_ml):
        empty = max(EMPTY_SHARE, first.empty[n])
        guards[f"empty_share_{n + 1}"] = {**_guard(-one.empty[n], -empty), "value": one.empty[n], "limit": empty}
        low, high = min(known) / PRIOR_FACTOR, max(known) * PRIOR_FACTOR
        ok = low <= one.volume_ml[n] <= high
        guards[f"volume_ml_{n + 1}"] = {
            "value": one.volume_ml[n],
            "limit": high if one.volume_ml[n] > high else low,
            "ok": ok,
        }
    return guards


def _guard(value: float, least: float) -> dict[str, Any]:
    return {"value": value, "limit": least, "ok": bool(value >= least)}


def _disturb(case: Sample, random: np.random.Generator) -> Sample:
    """The same volume a little blurred, noisy, and of other gain: nothing a reader would mind."""
    image = ndimage.gaussian_filter(case.image, 0.5)
    image = image * random.uniform(0.85, 1.15) + random.uniform(-0.15, 0.15)
    image = image + random.normal(0, 0.1, image.shape)
    return Sample(case.case, np.where(case.fov, image, case.image).astype(np.float32), case.fov, case.grid)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks; two empty ones agree on nothing, or a collapsed model would look perfectly stable."""
    mass = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / mass if mass else 0.0
