"""Rank finished models without target labels, by checks and validators, and decide whether to adapt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xmed import methods
from xmed.model.deployed import Model
from xmed.prepare import Sample
from xmed.records.selection import CheckedLimit, ModelChoice, RankedModel
from xmed.run import Arm
from xmed.select.unlabelled_measures import CandidateInputs, Findings
from xmed.select.validators import CONSISTENCY_DROP, at_least, at_most, mean_overlap, of_structures

SOURCE = Arm.SOURCE_ONLY
RULE = (
    "of the models that no label-free guard holds back and that beat source-only by most validators, the one with the "
    "lowest mean rank over all validators; source-only where there is none"
)
KNOWN_SHARE = 0.5
"""Share of source-only's Dice on labelled cases that a model must reach. A model that learned from renderings need not
read the source's own images well, and a rendering with its shadows is harder to read. But one that in no appearance
reads labelled anatomy half as well as source-only has forgotten it.
"""
READ_SHARE = 0.5
"""The proxy does not vote where no candidate reads its pictures half as well as the best of them reads what it knows: a
test that all fail ranks them by how they fail (LOG.md: MR to ultrasound, best 0.18, weighted Spearman −0.53).
"""
MARGIN = 0.03
"""Scores that differ by no more share a rank. Three seeds of one training differ by as much (LOG.md: 0.742, 0.715 and
0.759 on one study), and without the margin a tiny difference would count as much as a collapse.
"""
MIN_CROWD = 3
"""Smallest number of models whose mutual agreement is computed: of two models each agrees equally with the other.
Agreement is shown and does not vote. Where the domain gap is wide most methods fail, and fail alike, so the majority
would outvote the one model that works (LOG.md: weighted Spearman −0.66 with Dice over 21 methods, MR to PET).
"""


def select_model(
    models: Mapping[str, Model],
    unlabelled: Sequence[Sample],
    labelled: Sequence[Sample],
    source_ml: Sequence[Sequence[float]],
    seed: int,
    scene: str | None = None,
) -> tuple[str, ModelChoice]:
    """Choose among finished models without target labels.

    Args:
        models: By name; source_only must be among them.
        unlabelled: Target samples.
        labelled: Source samples, held out where there are any.
        source_ml: Per structure, its volumes in ml in labelled source cases.
        seed: Determines the random views.
        scene: Name of the scene that draws the source, if one does.

    Returns:
        Name of the chosen model, and the record of the choice.
    """
    bench = CandidateInputs.of(models[SOURCE], unlabelled, labelled, seed, scene)
    return rank_models({name: bench.findings(model) for name, model in models.items()}, source_ml)


def rank_models(findings: Mapping[str, Findings], source_ml: Sequence[Sequence[float]]) -> tuple[str, ModelChoice]:
    """Choose among finished models, as `select_model` does, from measures of each. source_only is never excluded.

    Args:
        findings: Arm → its measures; source_only must be among them.
        source_ml: Per structure, its volumes in ml in labelled source cases.

    Returns:
        Name of the chosen arm, and the record of the choice.
    """
    checks = {name: guards(measured, findings[SOURCE], source_ml) for name, measured in findings.items()}
    failed = {name: [g for g, check in checks[name].items() if not check.ok] for name in findings if name != SOURCE}
    passed = [name for name in findings if not failed.get(name)]
    voters = {name: findings[name] for name in passed}
    scores, crowd = validated(voters), agreements(voters)
    ranks = {v: dict(zip(passed, _ranks([row[name] for name in passed]))) for v, row in scores.items()}
    mean = {name: float(np.mean([row[name] for row in ranks.values()])) for name in passed}
    lead = {name: sum(int(np.sign(row[SOURCE] - row[name])) for row in ranks.values()) for name in passed}
    better = [name for name in passed if lead[name] > 0 and mean[name] < mean[SOURCE]]
    better.sort(key=lambda name: (mean[name], -(findings[name].scores["consistency"] or 0.0)))
    chosen = better[0] if better else SOURCE
    candidates = [
        RankedModel(
            name=name,
            kept=name in passed,
            guards=checks[name],
            scores={**findings[name].scores, **({"agreement": crowd[name]} if name in crowd else {})},
            ranks={v: row[name] for v, row in ranks.items()} if name in passed else {},
            mean_rank=mean.get(name),
        )
        for name in findings
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


def validated(findings: Mapping[str, Findings]) -> dict[str, dict[str, float]]:
    """Return validator → model → score, of the validators that vote.

    A validator votes if every model has its score, if it favours no method among them, and if at least one model can
    read its pictures.
    """
    names = list(findings)
    trained_by = {measured.method for measured in findings.values()} & set(methods.names())
    silent = {facts.favoured_by_validator for facts in map(methods.facts, trained_by)}
    best_proxy = max(measured.scores["proxy"] or 0.0 for measured in findings.values())
    if best_proxy < READ_SHARE * max(measured.source_dice for measured in findings.values()):
        silent.add("proxy")
    table: dict[str, dict[str, float]] = {}
    for validator in [v for v in findings[names[0]].scores if v not in silent]:
        row = {name: value for name in names if (value := findings[name].scores[validator]) is not None}
        if len(row) == len(names):
            table[validator] = row
    return table


def agreements(findings: Mapping[str, Findings]) -> dict[str, float]:
    """Return model → mean Dice over target volumes with each of the other models; empty with fewer than `MIN_CROWD`.

    The model itself is left out, or a confident mistake would confirm itself.
    """
    return {name: _with_others(name, findings) for name in findings} if len(findings) >= MIN_CROWD else {}


def guards(measured: Findings, first: Findings, source_ml: Sequence[Sequence[float]]) -> dict[str, CheckedLimit]:
    """Return the checks of one model, compared with those of source_only."""
    stable, before = measured.scores["consistency"] or 0.0, first.scores["consistency"] or 0.0
    return {
        "consistency": at_least(stable, before - CONSISTENCY_DROP),
        "source_dice": at_least(measured.source_dice, KNOWN_SHARE * first.source_dice),
        "outside_fov": at_most(measured.outside, 0.0),
        **of_structures(measured.empty, measured.volume_ml, first.empty, source_ml),
    }


def _with_others(name: str, findings: Mapping[str, Findings]) -> float:
    classes, own_labels = len(findings[name].empty) + 1, findings[name].labels
    others = [measured.labels for other, measured in findings.items() if other != name]
    return float(np.mean([mean_overlap(a, b, classes) for labels in others for a, b in zip(own_labels, labels)]))


def _ranks(scores: Sequence[float]) -> list[float]:
    """Return ranks, 1 for the highest score; scores within `MARGIN` of each other share the mean of their ranks."""
    ahead = np.subtract.outer(scores, scores)  # [i, j]: how far i is ahead of j
    ranks: list[float] = (1 + (ahead < -MARGIN).sum(1) + ((abs(ahead) <= MARGIN).sum(1) - 1) / 2).tolist()
    return ranks


def _won(chosen: str, mean: Mapping[str, float], validators: int) -> str:
    return (
        f"{chosen} keeps every guard, and over {validators} label-free validators its mean rank is {mean[chosen]:.1f} "
        f"against {mean[SOURCE]:.1f} of source-only"
    )


def _none_better(failed: Mapping[str, Sequence[str]], validators: int) -> str:
    reasons = {name: ", ".join(guard.replace("_", " ") for guard in names) for name, names in failed.items()}
    parts = [
        f"{name} is held back by {why}" if why else f"{name} does not lead by most of {validators} validators"
        for name, why in reasons.items()
    ]
    return "no model is estimated to be better than source-only: " + ("; ".join(parts) or "there is no other")
