"""Training: train.json, what the training of one arm with one seed was and gave."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from xmed.records.precision_choice import PrecisionChoice
from xmed.records.record import Number, Plain, Record
from xmed.records.selection import CheckedLimit


class Candidate(Record):
    """One checkpoint, or one finished model, among which a choice was made."""

    step: int | None = Field(None, description="training step of the checkpoint, from 1; of a choice among checkpoints")
    name: str | None = Field(None, description="arm; of a choice among finished models")
    within_limits: bool = Field(alias="kept", description="whether every label-free check is kept")
    guards: dict[str, CheckedLimit] = Field(description="check -> its value and limit")
    scores: dict[str, Number | None] | None = Field(
        None, description="validator -> score, higher is better; null where this study cannot have it"
    )
    ranks: dict[str, Number] | None = Field(None, description="validator -> rank among the kept models, from 1 = best")
    mean_rank: Number | None = Field(None, description="mean over the validators; null for a model that is not kept")


class CheckpointChoice(Record):
    """How it was chosen, without target labels, what an arm deploys: a checkpoint, a finished model, or all members."""

    rule: str = Field(description="the rule in words")
    used_target_labels: bool = Field(False, description="always false: no target label enters the choice")
    candidates: list[Candidate] = Field(default=[], description="empty or absent where there was nothing to choose")
    chosen: int | str | None = Field(None, description="step of the checkpoint, or arm of the finished model")
    members: list[str] | None = Field(None, description="arms of an ensemble")
    validators: list[str] | None = Field(None, description="label-free scores that voted")
    better: list[str] | None = Field(None, description="arms estimated to be better than source_only, best first")
    adapt: bool | None = Field(None, description="whether another arm than source_only was chosen")
    reason: str | None = Field(None, description="why, in one sentence")


class ScaleTest(Record):
    """Mean agreement of predictions with where labelled cases have the structures (0 to 1), as drawn and enlarged."""

    labelled: Number = Field(description="of labelled cases among themselves, 0 to 1")
    as_it_is: Number = Field(description="of the model on unlabelled target volumes, 0 to 1")
    enlarged: Number | None = Field(None, description="of the model on enlarged volumes, 0 to 1; where it was tried")


class MirroringTest(Record):
    """What averaging over mirrored copies costs and gains, on held-out source cases rendered as the target."""

    used: bool = Field(description="whether the model does it: the study's `mirroring`")
    copies: int = Field(description="copies of a volume, the unmirrored one included")
    volumes: int = Field(description="renderings that were predicted both ways")
    dice_mirrored: Number = Field(description="mean Dice of the mean over all copies")
    dice_plain: Number = Field(description="mean Dice of the unmirrored copy alone")
    times_as_long: Number = Field(description="wall-clock time with all copies, divided by that with one")

    @property
    def sentence(self) -> str:
        """Cost and gain in words."""
        return (
            f"{self.copies} mirrored copies take {self.times_as_long:.1f} times as long as one; mean Dice on "
            f"{self.volumes} renderings of held-out source cases is {self.dice_mirrored:.3f} with them and "
            f"{self.dice_plain:.3f} without"
        )


class Training(Record):
    """train.json: written last, so that an arm that has it is finished."""

    FILE: ClassVar[str] = "train.json"
    arm: str = Field(description="source_only, adapted, target_supervised, or a method's name in a comparison")
    seed: int = Field(description="of every random number")
    method: str | None = Field(None, description="name of the method")
    hyperparameters: dict[str, Plain] = Field(default={}, description="of the method, defaults included")
    cite: str | None = Field(None, description="paper that the method is from")
    deployable: bool | None = Field(None, description="false where the labelled cases are the target's own")
    parameters: int | None = Field(None, description="trainable numbers of the network")
    weights_sha256: str = Field(description="sha256 (hex) of weights.safetensors")
    model_sha256: str | None = Field(None, description="sha256 (hex) of the model folder; version 0.1.0 lacks it")
    steps: int | None = Field(None, description="optimiser steps, all rounds together; 0 where nothing was trained")
    batch: int | None = Field(None, description="volumes or slices per step")
    seconds: Number = Field(description="wall-clock time of the steps alone, s")
    seconds_waiting: Number | None = Field(None, description="part of it that was spent waiting for batches, s")
    device: str | None = Field(None, description="torch device, or why there was none")
    devices: int | None = Field(None, description="processes that trained together; only where steps were taken")
    precision: PrecisionChoice | None = Field(None, description="arithmetic of the steps; version 0.1.0 lacks it")
    network: dict[str, Plain] = Field(default={}, description="the network's spec, as in the study")
    target_labels_used: bool = Field(description="whether a single target label was learned from")
    selection: CheckpointChoice = Field(
        default_factory=lambda: CheckpointChoice(rule=""), description="how the deployed weights were chosen"
    )
    scale: ScaleTest | None = Field(None, description="whether small volumes are better enlarged; null: not tested")
    mirroring: MirroringTest | None = Field(None, description="cost and gain of mirrored copies; null: not measured")
