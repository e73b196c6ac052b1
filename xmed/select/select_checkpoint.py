"""Select checkpoint: which candidate of one training to deploy, without a single target label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xmed.model.deployed import Model
from xmed.prepare import Sample
from xmed.records.selection import CheckedLimit
from xmed.rendering.synthesise import imitate
from xmed.select.candidate_checks import CONSISTENCY_DROP, at_least, of_structures
from xmed.select.perturbed_volume import relit
from xmed.select.validators import agreement, dice

RULE = "the last candidate that no label-free guard holds back, compared with the first"
PROXY_DROP = 0.05
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


@dataclass(frozen=True)
class Verdict:
    """Whether one candidate keeps every check, and each check's value and limit."""

    kept: bool
    guards: dict[str, CheckedLimit]


def judge(
    model: Model, target: Sequence[Sample], held_out: Sequence[Sample], seed: int, scene: str | None = None
) -> Evidence:
    """Evidence for one candidate from unlabelled `target` samples and labelled source samples it was not trained on.

    scene: what draws the source, if anything does.
    """
    random = np.random.default_rng([seed, 11])
    values = range(1, len(model.structures) + 1)
    consistency, volumes, proxy = [], [], []
    for case in target:
        plain = _label(model, case)
        consistency.append(agreement(plain, _label(model, relit(case, random)), len(values) + 1))
        volumes.append([float((plain == v).sum()) * case.grid.voxel_ml for v in values])
    for case in [case for case in held_out for _ in range(PROXY_RENDERINGS)]:
        anywhere = target[int(random.integers(len(target)))]
        seen = imitate(case, anywhere, model.modality, model.window, random, scene)
        guess = _label(model, seen)
        proxy += [dice(guess == v, seen.truth == v) for v in values if (seen.truth == v).any()]
    found = np.array(volumes)
    return Evidence(
        float(np.mean(consistency)),
        float(np.mean(proxy)) if proxy else None,
        (found == 0).mean(0).tolist(),
        np.median(found, axis=0).tolist(),
    )


def choose(evidence: Sequence[Evidence], source_ml: Sequence[Sequence[float]]) -> tuple[int, list[Verdict]]:
    """Index of the candidate to deploy, and per candidate whether it was kept and every guard's value and limit.

    source_ml: per structure, the volumes in ml that labelled source cases have. The first candidate is what there was
    before the riskier part of a training; a later one must do no worse by any guard.
    """
    verdicts = [_guards(one, evidence[0], source_ml) for one in evidence]
    kept = [n == 0 or all(guard.ok for guard in guards.values()) for n, guards in enumerate(verdicts)]
    chosen = max(n for n, ok in enumerate(kept) if ok)
    return chosen, [Verdict(ok, guards) for ok, guards in zip(kept, verdicts)]


def _guards(one: Evidence, first: Evidence, source_ml: Sequence[Sequence[float]]) -> dict[str, CheckedLimit]:
    guards = {"consistency": at_least(one.consistency, first.consistency - CONSISTENCY_DROP)}
    if one.proxy is not None and first.proxy is not None:
        guards["proxy_dice"] = at_least(one.proxy, first.proxy - PROXY_DROP)
    return guards | of_structures(one.empty, one.volume_ml, first.empty, source_ml)


def _label(model: Model, case: Sample) -> np.ndarray:
    return model.decode(model.probabilities(case), case.fov)
