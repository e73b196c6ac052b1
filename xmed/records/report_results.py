"""Report results: what report.json says of arms, tests, volumes, calibration, risk, subgroups and disturbed images."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import Number, Record
from xmed.records.report_cases import INTERVAL, Limits, MetricStatistic

DICE = "Dice, 0 to 1"
WHY = "why a number is null"


class Estimate(Record):
    """A number with its interval."""

    value: Number | None = Field(description="in the unit of what is estimated")
    ci: Limits = Field(description=INTERVAL)
    n: int | None = Field(None, description="patients")
    method: str | None = Field(None, description="of the interval")
    reason: str | None = Field(None, description=WHY)


class ExactShare(Record):
    """A share with its exact interval (Clopper–Pearson)."""

    value: Number | None = Field(description="0 to 1")
    ci: Limits = Field(description="[low, high], 95 %")
    events: int = Field(description="how many have the property")
    n: int = Field(description="of how many")


class ArmDifference(Estimate):
    """Mean difference of Dice between two arms over the patients that both have."""

    p_sign_flip: Number | None = Field(None, description="two-sided sign-flip test")
    p_wilcoxon: Number | None = Field(None, description="signed-rank test")
    n_nonzero: int | None = Field(None, description="patients whose difference is not 0")
    smallest_p: Number | None = Field(None, description="smallest p that so many patients can give")
    note: str | None = Field(None, description="what to know of the test")
    p_holm: Number | None = Field(None, description="for all structures together (Holm)")
    baseline: str | None = Field(None, description="the trivial arm that is compared with")
    rule: str | None = Field(None, description="its rule in words")


class ArmIntervals(Record):
    """Comparisons of arms, each by structure."""

    gap_closed: dict[str, Estimate] = Field(description="(adapted − source only) / (target-supervised − source only)")
    gain_over_trivial: dict[str, ArmDifference] = Field(description="adapted − the better trivial baseline, Dice")
    adapted_minus_source_only: dict[str, ArmDifference] = Field(description="in Dice")
    ceiling_over_trivial: dict[str, ArmDifference] = Field(
        default={}, description="target-supervised − the better trivial baseline, Dice; version 0.1.0 lacks it"
    )


StatisticsByStructure = dict[str, dict[str, MetricStatistic]]
"""structure -> metric -> statistic."""


class ResultSummary(Record):
    """Each arm's results by structure and metric, and the two numbers that the arms are compared by."""

    source_only: StatisticsByStructure = Field(default={})
    adapted: StatisticsByStructure = Field(default={})
    target_supervised: StatisticsByStructure = Field(default={})
    trivial_threshold: StatisticsByStructure = Field(default={})
    trivial_position: StatisticsByStructure = Field(default={})
    gap_closed: dict[str, Number | None] = Field(default={}, description="structure -> gap closed; 1 is the ceiling")
    gain_over_trivial: dict[str, Number | None] = Field(default={}, description="structure -> gain, Dice")

    def mean(self, arm: str, structure: str, metric: str) -> float | None:
        """Return the mean over patients of one arm, structure and metric.

        Args:
            arm: Name of a trained or trivial arm.
            structure: Name of the structure.
            metric: Name of the metric.

        Returns:
            The mean in the metric's unit; None where the report has none.
        """
        of_arm: StatisticsByStructure = getattr(self, arm, {})
        statistic = of_arm.get(structure, {}).get(metric)
        return statistic.mean if statistic else None


class TestFamily(Record):
    """The tests that are adjusted together."""

    __test__ = False  # no test class, whatever pytest takes the name for
    name: str
    members: list[str] = Field(description="structures")
    method: str = Field(description="of the adjustment")
    alpha: Number = Field(description="chance of any false alarm")


class PlannedPatients(Record):
    """How many patients were planned, and how many there are."""

    n: int | None = Field(description="planned by the protocol")
    achieved: int = Field(description="patients with a result")
    reached: bool | None
    needed_for_non_inferiority: int | None = Field(description="patients for 80 % power at the protocol's margin")
    reason: str | None = Field(description=WHY)


class HolmTest(Record):
    """One test of the family."""

    structure: str
    comparison: str
    metric: str
    estimate: Number | None = Field(description="mean difference, Dice")
    ci: Limits = Field(description=INTERVAL)
    n: int = Field(description="patients")
    n_nonzero: int = Field(description="patients whose difference is not 0")
    p_sign_flip: Number | None
    p_wilcoxon: Number | None
    smallest_p: Number | None = Field(description="smallest p that so many patients can give")
    note: str | None
    reason: str | None = Field(description=WHY)
    p_holm: Number | None = Field(description="for all structures together (Holm)")


class AssumptionResult(Record):
    """The same difference under one assumption."""

    method: str
    estimate: Number | None = Field(description="mean difference, Dice")
    ci: Limits
    p: Number | None
    reason: str | None = Field(description=WHY)


class AssumptionSensitivity(Record):
    """One difference under several assumptions."""

    structure: str
    comparison: str
    metric: str
    rows: list[AssumptionResult]


class NonInferiorityTest(Record):
    """Adapted against target-supervised at the protocol's margin."""

    structure: str
    metric: str
    comparison: str
    estimate: Number | None = Field(description="mean difference, Dice")
    ci: Limits = Field(description=INTERVAL)
    n: int = Field(description="patients")
    alpha_one_sided: Number
    margin: Number | None = Field(description="largest loss that is acceptable, Dice; null where none was named")
    source: str | None = Field(description="where the margin comes from")
    p: Number | None
    p_wilcoxon: Number | None
    planned_n: int | None = Field(description="patients for 80 % power")
    verdict: str | None = Field(description="established or not_established; null without a margin")
    reason: str | None = Field(description=WHY)


class PatientPair(Record):
    """One patient's Dice under two arms."""

    patient: str
    a: Number | None = Field(description=DICE)
    b: Number | None = Field(description=DICE)
    difference: Number | None = Field(description="a − b")


class SeedSpread(Record):
    """The adapted arm's mean Dice by seed."""

    n: int = Field(description="seeds")
    means: dict[str, Number | None] = Field(description="seed -> mean Dice")
    sd: Number | None = Field(description="standard deviation between seeds")
    reason: str | None = Field(description=WHY)


class ReportedStatistics(Record):
    """Every test that was made; no other test was made."""

    level: Number = Field(description="of intervals, 0 to 1")
    unit: str = Field(description="of the analysis")
    n: int = Field(description="patients")
    planned: PlannedPatients
    family: TestFamily
    holm: list[HolmTest]
    sensitivity: list[AssumptionSensitivity]
    non_inferiority: list[NonInferiorityTest]
    paired: dict[str, dict[str, list[PatientPair]]] = Field(description="comparison -> structure -> patients")
    seeds: dict[str, SeedSpread] = Field(description="by structure")


class RatioAgreement(Record):
    """Agreement as a ratio, where the error grows with the size."""

    bias: Number | None = Field(description="geometric mean of predicted / reference")
    loa: Limits = Field(description="limits of agreement of the ratio")
    reason: str | None = Field(description=WHY)


class VolumePair(Record):
    """One patient's volumes, ml."""

    patient: str
    predicted_ml: Number | None
    reference_ml: Number | None
    difference_ml: Number | None = Field(description="predicted minus reference, ml")
    mean_ml: Number | None


class ReportedAgreement(Record):
    """Predicted against reference volumes of one structure (Bland and Altman)."""

    n: int = Field(description="patients")
    bias_ml: Number | None = Field(description="mean of predicted minus reference, ml")
    bias_ci: Limits
    sd_ml: Number | None = Field(description="standard deviation of the differences, ml")
    loa_ml: Limits = Field(description="limits of agreement, ml")
    loa_ci: list[Limits] | None = Field(description="interval of each limit, ml")
    slope: Estimate = Field(description="of the difference on the mean")
    ratio: RatioAgreement
    ccc: Estimate = Field(description="Lin's concordance correlation coefficient")
    icc: Estimate = Field(description="intraclass correlation ICC(A,1)")
    relative_error: Estimate = Field(description="(predicted − reference) / reference")
    points: list[VolumePair]
    reason: str | None = Field(description=WHY)
