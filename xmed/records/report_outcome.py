"""Report outcome: the parts of report.json that commands print: verdict, its reasons, and the summary of all arms.

The whole of report.json is described by the schema that `xmed schema report` prints.
"""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import Number, Record

INTERVAL = "[low, high], 95 %; null where there are too few patients"


class FailureRate(Record):
    """Share of cases without a usable prediction."""

    value: Number | None = Field(description="0 to 1; null without cases")
    ci: list[Number] | None = Field(description="[low, high], 95 %, exact (Clopper-Pearson)")
    method: str = Field(description="how the interval was computed")


class MetricSummary(Record):
    """One metric of one arm and structure over the test patients; the unit is that of the metric."""

    mean: Number | None = Field(description="over patients; null comes with a reason")
    ci: list[Number] | None = Field(None, description=INTERVAL)
    n: int | None = Field(None, description="patients")
    n_failed: int | None = Field(None, description="cases without a usable prediction")
    n_cases: int | None = None
    n_used: int | None = Field(None, description="cases whose value is in the mean")
    n_excluded: int | None = Field(None, description="cases that were left out")
    n_undefined: int | None = Field(None, description="cases in which the metric is not defined")
    failure_rate: FailureRate | None = None
    median: Number | None = None
    median_ci: list[Number] | None = Field(None, description=INTERVAL)
    iqr: list[Number] | None = Field(None, description="[25th, 75th percentile]")
    min: Number | None = None
    max: Number | None = None
    sd: Number | None = Field(None, description="standard deviation over patients")
    sd_between_seeds: Number | None = Field(None, description="standard deviation of the seeds' means")
    method: str | None = Field(None, description="how the interval of the mean was computed")
    reason: str | None = Field(None, description="why there is no mean, or no interval")


ArmSummary = dict[str, dict[str, MetricSummary]]
"""Structure -> metric (dice, nsd, hd95_mm ...) -> its summary."""


class ReportSummary(Record):
    """`summary` of report.json: every arm, and the two numbers that compare arms."""

    source_only: ArmSummary = Field(default={}, description="trained on the source, used as it is")
    adapted: ArmSummary = Field(default={}, description="the model that the report is about")
    target_supervised: ArmSummary = Field(default={}, description="trained with target labels")
    trivial_threshold: ArmSummary = Field(default={}, description="a grey-value threshold that learned nothing")
    trivial_position: ArmSummary = Field(default={}, description="the mean mask of the source")
    gap_closed: dict[str, Number | None] = Field(
        default={}, description="structure -> (adapted − source_only) / (target_supervised − source_only), in Dice"
    )
    gain_over_trivial: dict[str, Number | None] = Field(
        default={}, description="structure -> adapted − the better trivial baseline, in Dice"
    )

    def arm(self, name: str) -> ArmSummary:
        """Return the summary of one arm.

        Args:
            name: The arm, as in `xmed.run.ARMS`.

        Returns:
            Structure -> metric -> its summary; empty where the report has no such arm.
        """
        summary: ArmSummary = getattr(self, name)
        return summary


class VerdictBanner(Record):
    """`banner` of report.json."""

    reasons: list[str] = Field(default=[], description="which criterion is not met or open, in sentences")


class ReportedStudy(Record):
    """`study` of report.json."""

    structures: list[str] = Field(default=[], description="in the study's order")


class ReportOutcome(Record):
    """What commands print of report.json."""

    verdict: str = Field(description="pass, fail or inconclusive")
    summary: ReportSummary
    banner: VerdictBanner = VerdictBanner()
    study: ReportedStudy = ReportedStudy()
