"""Report reliability: what report.json says of probabilities, confidence, groups of patients and disturbed images."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import Number, Record
from xmed.records.report_cases import INTERVAL, Limits
from xmed.records.report_results import DICE, WHY, Estimate, ExactShare


class CalibrationBin(Record):
    """One bin of the reliability diagram."""

    lo: Number = Field(description="lower edge, probability")
    hi: Number = Field(description="upper edge, probability")
    n: Number = Field(description="voxels")
    probability: Number | None = Field(description="mean predicted probability")
    frequency: Number | None = Field(description="share of the voxels in the structure")
    confidence: Number | None = Field(description="as `probability`")
    observed: Number | None = Field(description="as `frequency`")


class ReportedCalibration(Record):
    """Calibration of one structure, near the structure."""

    arm: str
    roi: str = Field(description="the region in which voxels count, in words")
    n_cases: int
    n_voxels: int
    bins: list[CalibrationBin]
    pooled: dict[str, Number | None] = Field(description="ece, ace, brier, nll over all voxels")
    per_case: dict[str, Estimate] = Field(description="ece, ace, brier, nll over patients")
    reason: str | None = Field(description=WHY)


class CoveragePoint(Record):
    """The most confident cases."""

    coverage: Number = Field(description="their share of all cases, 0 to 1")
    risk: Number | None = Field(description="mean of 1 − Dice among them")
    undetected: Number | None = Field(None, description="sum of 1 − Dice among them, divided by all cases")


class ReportedOperatingPoint(Record):
    """A threshold of confidence, and what it keeps."""

    rule: str = Field(description="in words")
    threshold: Number | None = Field(description="confidence, 0 to 1; null where none keeps failures rare enough")
    n_kept: int = Field(alias="kept", description="cases")
    n: int = Field(description="cases")
    coverage: ExactShare = Field(description="share of cases kept")
    failures_kept: ExactShare = Field(description="share of poor cases among them")
    reason: str | None = Field(description="how it was chosen, or why there is none")


class ReportedDetector(Record):
    """How well low confidence finds poor predictions."""

    failure: str = Field(description="what counts as poor, in words")
    tau: Number = Field(description=f"limit: {DICE}")
    tau_source: str
    prevalence: Number | None = Field(description="share of poor cases, 0 to 1")
    n_failed: int
    auroc: Number | None
    fpr95: Number | None = Field(description="false alarms at 95 % of the poor cases found, 0 to 1")
    reason: str | None = Field(description=WHY)


class ReportedRisk(Record):
    """Risk and coverage of one structure (AUGRC: arXiv 2407.01032)."""

    score: str = Field(description="the confidence, in words")
    n: int = Field(description="cases with a confidence")
    without_score: int = Field(description="cases without")
    augrc: Number | None
    augrc_ideal: Number | None
    augrc_random: Number | None
    aurc: Number | None
    aurc_trapezoid: Number | None
    eaurc: Number | None
    points: list[CoveragePoint]
    at: list[CoveragePoint] = Field(description="at fixed coverages")
    operating_point: ReportedOperatingPoint
    detector: ReportedDetector
    reason: str | None = Field(description=WHY)


class ConformalResult(Record):
    """The conformal interval of an estimate."""

    alpha: Number = Field(description="share of patients outside their interval")
    half_width: Number | None = Field(description="in Dice")
    n: int = Field(description="patients")
    coverage: ExactShare | None = Field(description="patients inside, each left out in turn")
    reason: str | None = Field(description=WHY)


class CaseDiceEstimate(Record):
    """Confidence as an estimate of a case's Dice."""

    method: str
    cohort: str
    n: int = Field(description="patients")
    mae: Number | None = Field(description="mean absolute error, Dice")
    bias: Number | None = Field(description="mean error, Dice")
    conformal: ConformalResult
    reason: str | None = Field(description=WHY)


class StudyDiceEstimate(Record):
    """What selection estimated without labels, beside what came out."""

    method: str
    estimate: Number | None = Field(description=DICE)
    true: Number | None = Field(description=DICE)
    error: Number | None = Field(description="estimate − true")
    reason: str | None = Field(description=WHY)


class LabelFreeEstimates(Record):
    """Dice estimated without labels."""

    case: dict[str, CaseDiceEstimate] = Field(description="by structure")
    study: StudyDiceEstimate
    warning: str | None


class SubgroupLevel(Record):
    """One group of patients."""

    level: str | None
    n_patients: int | None = Field(description="null where the group is hidden")
    mean: Number | None = Field(description=DICE)
    ci: Limits = Field(description=INTERVAL)
    suppressed: str | None = Field(description="why numbers are not shown")


class InteractionTest(Record):
    """Whether the groups differ."""

    p: Number | None
    method: str
    reason: str | None = Field(description=WHY)


class SubgroupFactor(Record):
    """Dice of the adapted arm by one attribute of the patients."""

    factor: str
    text: str
    structure: str
    metric: str
    levels: list[SubgroupLevel]
    n: int = Field(description="patients")
    n_unknown: int = Field(description="patients whose level is not known")
    worst: str | None = Field(description="level with the lowest mean")
    gap: Estimate = Field(description="best minus worst level, Dice")
    interaction: InteractionTest
    reason: str | None = Field(description=WHY)


class DisturbedDice(Record):
    """Dice on disturbed volumes of one severity."""

    dice: Number | None = Field(description=f"mean {DICE}")
    min: Number | None = Field(description="lowest Dice")
    n: int = Field(description="volumes")
    change: Number | None = Field(description="mean minus that of undisturbed volumes")
    reason: str | None = Field(description=WHY)


class DisturbanceLevel(Record):
    """One severity of a disturbance."""

    severity: int = Field(description="1 to 3")
    text: str = Field(description="with its unit")
    structures: dict[str, DisturbedDice]


class DisturbanceCurve(Record):
    """One kind of disturbance."""

    disturbance: str
    text: str
    levels: list[DisturbanceLevel]


class ReportedRobustness(Record):
    """Dice of the adapted arm on volumes that were disturbed on purpose."""

    is_requested: bool = Field(alias="asked", description="whether the study asks for it")
    reason: str | None = Field(description="why there is no curve")
    arm: str
    seed: int | None
    cases: list[str]
    n_cases: int
    baseline: dict[str, DisturbedDice] = Field(description="structure -> Dice without disturbance")
    curves: list[DisturbanceCurve]
