"""Selection: selection.json and findings.json, the label-free choice between trained models."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from xmed.records.record import Number, Record


class CheckedLimit(Record):
    """One label-free check of a candidate."""

    value: Number | None = Field(description="what the candidate reaches: Dice or a share (0 to 1), or a volume (ml)")
    limit: Number | None = Field(description="what it may reach, in the same unit; null where there is no finite limit")
    ok: bool = Field(description="whether the limit is kept")


class RankedModel(Record):
    """One trained arm among those that were compared."""

    name: str = Field(description="arm")
    within_limits: bool = Field(alias="kept", description="whether every label-free check is kept")
    guards: dict[str, CheckedLimit] = Field(default={}, description="check -> its value and limit")
    scores: dict[str, Number | None] = Field(
        default={}, description="validator -> score, higher is better; null where this study cannot have it"
    )
    ranks: dict[str, Number] = Field(
        default={}, description="validator -> rank from 1 = best; empty where it is not kept"
    )
    mean_rank: Number | None = Field(None, description="mean over the validators; null where it is not kept")


class ModelChoice(Record):
    """Which of several finished models is estimated best, without target labels."""

    rule: str = Field(default="", description="the rule in words")
    used_target_labels: bool = Field(False, description="always false")
    candidates: list[RankedModel] = Field(description="every compared arm")
    validators: list[str] = Field(default=[], description="label-free scores that voted")
    better: list[str] = Field(default=[], description="arms estimated to be better than source_only, best first")
    chosen: str = Field(description="arm estimated best")
    adapt: bool = Field(False, description="whether another arm than source_only was chosen")
    reason: str = Field(default="", description="why, in one sentence")


class DiceEstimate(Record):
    """What Dice is expected on the target without its labels."""

    name: str = Field(description="arm, trivial baselines included")
    estimate: Number = Field(description="Dice, 0 to 1")


class SeedSelection(ModelChoice):
    """The choice of one seed, and how the trivial baselines are estimated beside its models."""

    estimates: list[DiceEstimate] = Field(default=[], description="version 0.1.0 lacks them")
    trivial_best: str | None = Field(None, description="trivial arm estimated better than every model, if any is")
    trivial_reason: str | None = Field(None, description="why nothing is registered then, in one sentence")


class Selection(Record):
    """selection.json: whether the adapted model may become a candidate, decided before a test label is read."""

    FILE: ClassVar[str] = "selection.json"
    promoted: bool = Field(False, description="whether the adapted model of the first seed may become a candidate")
    reason: str = Field(default="", description="why, or why not, in one sentence")
    registered: bool = Field(True, description="whether it is registered at all; version 0.1.0 did not ask")
    rule: str = Field(default="", description="the rule in words")
    used_target_labels: bool = Field(False, description="always false")
    quick: bool = Field(False, description="whether models were measured as `quick` of findings.json says")
    seeds: dict[str, SeedSelection] = Field(default={}, description="seed -> its choice")


class ModelFindings(Record):
    """findings.json beside an arm's model: what it shows without target labels, kept so that it is computed once."""

    FILE: ClassVar[str] = "findings.json"
    model_sha256: str | None = Field(None, description="sha256 (hex) of the model folder that was looked at")
    method: str = Field(description="method that made the model")
    scores: dict[str, Number | None] = Field(
        description="validator -> score, higher is better; null where this study cannot have it"
    )
    source_dice: Number = Field(
        alias="known", description="Dice on labelled source cases, in the rendering that the model reads best"
    )
    empty: list[Number] = Field(description="per structure: share of target volumes in which it is not found, 0 to 1")
    volume_ml: list[Number] = Field(description="per structure: median predicted volume, ml")
    outside: Number = Field(description="share of the predicted foreground outside the field of view, 0 to 1")
    quick: bool = Field(
        False, description="whether volumes were predicted without mirrored copies and with less overlap"
    )
