"""Method comparison: comparison.json, the same study under several methods."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, JsonValue

from xmed.records.provenance import RunEnvironment
from xmed.records.record import Number, Record
from xmed.records.run_state import FailedTraining

DICE = "Dice, 0 to 1"
INTERVAL = "[low, high], 95 %; null where there are too few patients"


class ComparedDataset(Record):
    """One side of the study."""

    name: str
    modality: str = Field(description="DICOM modality")
    fingerprint: str


class DiceStatistic(Record):
    """Dice of one method and structure over patients."""

    mean: Number | None = Field(description=DICE)
    ci: list[Number] | None = Field(description=INTERVAL)
    n: int = Field(description="patients")
    n_failed: int = Field(description="cases without a usable prediction")
    n_cases: int
    sd_between_seeds: Number | None = Field(description="standard deviation of the seeds' means, in Dice")
    reason: str | None


class ComparedCell(Record):
    """One method, seed and structure."""

    method: str
    seed: int
    structure: str
    dice_mean: Number | None = Field(description=DICE)
    dice_ci: list[Number] | None = Field(description=INTERVAL)
    gap_closed: Number | None = Field(description="(method − source_only) / (target_supervised − source_only)")
    seconds: Number = Field(description="training time, s, with every training that it begins with")
    selected_by: str = Field(description="rule by which the deployed weights were chosen")
    n: int = Field(description="patients")
    n_failed: int = Field(description="cases without a usable prediction")
    target_labels_used: bool
    weights_sha256: str = Field(description="sha256 (hex) of weights.safetensors")


class TrivialResult(Record):
    """A trivial baseline on one structure."""

    method: str = Field(description="trivial arm")
    structure: str
    dice: DiceStatistic
    rule: str | None = Field(description="the rule in words")


class GapClosed(Record):
    """Which share of the gap between source_only and target_supervised a method closes."""

    value: Number | None = Field(description="0: as source_only, 1: as target_supervised")
    ci: list[Number] | None = Field(description=INTERVAL)
    reason: str | None = Field(None, description="why there is no number")


class PairedDifference(Record):
    """Mean difference of Dice over the patients that both have."""

    value: Number | None = Field(description="in Dice")
    ci: list[Number] | None = Field(description=INTERVAL)
    n: int = Field(description="patients")
    p_sign_flip: Number | None = Field(description="two-sided sign-flip test")
    smallest_p: Number | None = Field(description="smallest p that so many patients can give")
    p_holm: Number | None = Field(None, description="for all methods together (Holm)")


class MethodRank(Record):
    """Place of a method among those that saw no target label."""

    value: int | float = Field(description="rank of its mean Dice, 1 = best")
    ci: list[Number] | None = Field(description="[low, high], 95 %, over resampled patients; null for one patient")
    first: Number | None = Field(description="share of resampled sets of patients in which it alone is first, 0 to 1")
    mean: Number = Field(description="mean over patients of its rank")


class RankedMethod(Record):
    """One method on one structure."""

    method: str
    target_labels_used: bool
    seeds: list[int]
    dice: DiceStatistic
    gap_closed: GapClosed
    gain_over_trivial: PairedDifference = Field(description="to the better trivial baseline")
    minus_source_only: PairedDifference | None = Field(None, description="to source_only")
    minus_bridge: PairedDifference | None = Field(None, description="to xmed's own method")
    minus_best: PairedDifference | None = Field(None, description="to the best method; absent where none is ranked")
    rank: MethodRank | None = Field(description="null: saw target labels, or failed on every case")
    seconds: Number = Field(description="mean over seeds of the training time, s")
    cite: str | None = Field(description="paper that the method is from")


class HardCase(Record):
    """One of the cases with the lowest mean Dice."""

    case: str
    dice_mean: Number = Field(description="over ranked methods, seeds and structures, 0 to 1")
    dice: dict[str, dict[str, Number]] = Field(description="method -> structure -> Dice of the first seed")


class ChoiceCost(Record):
    """What was chosen without target labels with one seed, and what that costs."""

    seed: int
    chosen: str = Field(description="method")
    chosen_dice: Number = Field(description=DICE)
    best: str = Field(description="method that was best in hindsight")
    best_dice: Number = Field(description=DICE)
    regret: Number = Field(description="best − chosen, in Dice")
    over_source_only: Number = Field(description="chosen − source_only, in Dice")
    reason: str = Field(description="why it was chosen")


class ValidatorCost(Record):
    """How well one label-free score orders the methods; means over seeds."""

    name: str
    weighted_spearman: Number | None = Field(description="-1 to 1 (arXiv 2208.07360)")
    regret: Number = Field(description="in Dice")
    n: int = Field(description="methods")


class ChoiceInHindsight(Record):
    """The label-free choice beside the true Dice."""

    used_target_labels: bool = Field(description="always false")
    regret: Number | None = Field(description="mean over seeds, in Dice")
    seeds: list[ChoiceCost]
    validators: list[ValidatorCost]
    trivial: str | None = Field(None, description="why a run would register nothing, where it would not")


class MethodComparison(Record):
    """comparison.json"""

    FILE: ClassVar[str] = "comparison.json"
    schema_: str = Field(alias="schema", description="edition of this document")
    run: str
    study: str
    source: ComparedDataset
    target: ComparedDataset
    structures: list[str]
    primary: str = Field(description="structure that the study is about")
    methods: list[str]
    seeds: list[int]
    patients: int = Field(description="labelled test patients")
    budget: dict[str, JsonValue] = Field(description="as in the study")
    rows: list[ComparedCell]
    baselines: list[TrivialResult]
    ranking: dict[str, list[RankedMethod]] = Field(description="structure -> methods, best first")
    failed: list[FailedTraining]
    protocol_sha256: str
    environment: RunEnvironment | dict[str, JsonValue] = Field(description="empty where the run has none")
    rank_agreement: dict[str, Number | None] = Field(description="structure -> Kendall's tau, -1 to 1")
    hardest: list[HardCase]
    selection: ChoiceInHindsight | None = Field(None, description="absent where nothing was chosen")
    unsupported: list[str] = Field(description="structures that no test patient has")
    ceiling_over_trivial: PairedDifference = Field(description="target_supervised − the better trivial baseline")
    verdict: list[str] = Field(description="in two or three sentences")
