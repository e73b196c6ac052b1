"""Rank finished models without target labels, by checks and validators, and decide whether to adapt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xmed.model.deployed import Model
from xmed.prepare import Sample
from xmed.records.selection import CheckedLimit, ModelChoice, RankedModel
from xmed.run import Arm
from xmed.select.candidate_checks import CONSISTENCY_DROP, at_least, at_most, of_structures
from xmed.select.unlabelled_measures import RENDERED_BY, Bench, Findings
from xmed.select.validators import agreement

SOURCE = Arm.SOURCE_ONLY
RULE = (
    "of the models that no label-free guard holds back and that beat source-only by most validators, the one with the "
    "lowest mean rank over all validators; source-only where there is none"
)
KNOWN_SHARE = 0.5
"""A model that learned from renderings need not read the source's own images well, and a rendering, with its shadows,
is harder to read; one that knows labelled anatomy in no light half as well as source-only does has forgotten it."""
READ_SHARE = 0.5
"""The proxy abstains where no candidate reads its pictures half as well as the best of them reads what it knows: a test
that all fail orders them by how they fail (LOG.md: MR to ultrasound, best 0.18, weighted Spearman -0.53)."""
MARGIN = 0.03
"""Scores that differ by no more share a rank: three seeds of one training differ by as much (LOG.md: 0.742, 0.715 and
0.759 on one study), and ranks would otherwise make as much of a hair as of a collapse."""
CROWD = 3
"""Teacher agreement needs others to agree with: of two models each agrees equally with the other. It is shown and does
not vote: where the gap is wide most methods fail, and fail alike, so that the crowd outvotes the one that sees (LOG.md:
weighted Spearman -0.66 with Dice over 21 methods, MR to PET)."""


def pick(
    models: Mapping[str, Model],
    unlabelled: Sequence[Sample],
    labelled: Sequence[Sample],
    source_ml: Sequence[Sequence[float]],
    seed: int,
    scene: str | None = None,
) -> tuple[str, ModelChoice]:
    """Name of the model to use among `models`, which include source_only, and the record of that choice.

    unlabelled: target samples. labelled: source samples, held out where there are any. source_ml: per structure the
    volumes (ml) of labelled source cases. scene: what draws the source, if anything does.
    """
    bench = Bench.of(models[SOURCE], unlabelled, labelled, seed, scene)
    return decide({name: bench.findings(model) for name, model in models.items()}, source_ml)


def decide(found: Mapping[str, Findings], source_ml: Sequence[Sequence[float]]) -> tuple[str, ModelChoice]:
    """As `pick`, from what was found of each model. source_only itself is never held back: it is what there was."""
    checks = {name: guards(one, found[SOURCE], source_ml) for name, one in found.items()}
    failed = {name: [g for g, check in checks[name].items() if not check.ok] for name in found if name != SOURCE}
    kept = [name for name in found if not failed.get(name)]
    voters = {name: found[name] for name in kept}
    scores, crowd = validated(voters), agreements(voters)
    ranks = {v: dict(zip(kept, _ranks([row[name] for name in kept]))) for v, row in scores.items()}
    mean = {name: float(np.mean([row[name] for row in ranks.values()])) for name in kept}
    lead = {name: sum(int(np.sign(row[SOURCE] - row[name])) for row in ranks.values()) for name in kept}
    better = [name for name in kept if lead[name] > 0 and mean[name] < mean[SOURCE]]
    better.sort(key=lambda name: (mean[name], -(found[name].scores["consistency"] or 0.0)))
    chosen = better[0] if better else SOURCE
    candidates = [
        RankedModel(
            name=name,
            kept=name in kept,
            guards=checks[name],
            scores={**found[name].scores, **({"agreement": crowd[name]} if name in crowd else {})},
            ranks={v: row[name] for v, row in ranks.items()} if name in kept else {},
            mean_rank=mean.get(name),
        )
        for name in found
    ]
    record = ModelChoice(
        rule=RULE,
        used_target_labels=False,
        candidates=candidates,
        validators=list(scores),
        better=better,
        chosen=chosen,
        adapt=chosen != SOURCE,
        reason=_won(chosen, mean, len(scores)) if chosen != SOURCE else _none_better(failed, len(scores)),
    )
    return chosen, record


def validated(found: Mapping[str, Findings]) -> dict[str, dict[str, float]]:
    """validator -> model -> score, of the validators that every model has, that favour none and that some can read."""
    names = list(found)
    silent = {RENDERED_BY[one.method] for one in found.values() if one.method in RENDERED_BY}
    if max(one.scores["proxy"] or 0.0 for one in found.values()) < READ_SHARE * max(o.known for o in found.values()):
        silent.add("proxy")
    table: dict[str, dict[str, float]] = {}
    for validator in [v for v in found[names[0]].scores if v not in silent]:
        row = {name: value for name in names if (value := found[name].scores[validator]) is not None}
        if len(row) == len(names):
            table[validator] = row
    return table


def agreements(found: Mapping[str, Findings]) -> dict[str, float]:
    """model -> mean Dice over target volumes with each of the others, which together are the teacher.

    A model is not its own teacher, or a confident mistake would be its own proof. Empty with fewer than CROWD models.
    """
    return {name: _with_others(name, found) for name in found} if len(found) >= CROWD else {}


def guards(one: Findings, first: Findings, source_ml: Sequence[Sequence[float]]) -> dict[str, CheckedLimit]:
    """Of one model; first: of source_only."""
    stable, before = one.scores["consistency"] or 0.0, first.scores["consistency"] or 0.0
    return {
        "consistency": at_least(stable, before - CONSISTENCY_DROP),
        "source_dice": at_least(one.known, KNOWN_SHARE * first.known),
        "outside_fov": at_most(one.outside, 0.0),
        **of_structures(one.empty, one.volume_ml, first.empty, source_ml),
    }


def _with_others(name: str, found: Mapping[str, Findings]) -> float:
    classes, mine = len(found[name].empty) + 1, found[name].labels
    others = [one.labels for other, one in found.items() if other != name]
    return float(np.mean([agreement(a, b, classes) for labels in others for a, b in zip(mine, labels)]))


def _ranks(scores: Sequence[float]) -> list[float]:
    """1 for the highest; each score shares the mean of the places that it may have, were all within MARGIN equal."""
    ahead = np.subtract.outer(scores, scores)  # [i, j]: how far i is ahead of j
    return (1 + (ahead < -MARGIN).sum(1) + ((abs(ahead) <= MARGIN).sum(1) - 1) / 2).tolist()


def _won(chosen: str, mean: Mapping[str, float], validators: int) -> str:
    return (
        f"{chosen} keeps every guard, and over {validators} label-free validators its mean rank is {mean[chosen]:.1f} "
        f"against {mean[SOURCE]:.1f} of source-only"
    )


def _none_better(failed: Mapping[str, Sequence[str]], validators: int) -> str:
    held = {name: ", ".join(guard.replace("_", " ") for guard in names) for name, names in failed.items()}
    parts = [
        f"{name} is held back by {why}" if why else f"{name} does not lead by most of {validators} validators"
        for name, why in held.items()
    ]
    return "no model is estimated to be better than source-only: " + ("; ".join(parts) or "there is no other")
