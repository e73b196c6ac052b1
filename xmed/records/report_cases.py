"""Report cases: what report.json says of every test case, and of every arm, structure and metric over patients."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import Number, Record

INTERVAL = "[low, high], 95 %, over patients; null where it cannot be had"
Limits = list[Number | None] | None
"""[low, high]; a limit that is no finite number is null."""


class FailureRate(Record):
    """Share of failed cases."""

    value: Number | None = Field(description="0 to 1; null where no reference has the structure")
    ci: Limits = Field(description="[low, high], 95 %, exact (Clopper–Pearson)")
    method: str | None = Field(None, description="of the interval")
    reason: str | None = Field(None, description="why there is no value")


class MetricStatistic(Record):
    """One arm, structure and metric over patients: a cell of the results table.

    A patient's value is the mean over the cases, then over the seeds. The unit is the metric's.
    """

    mean: Number | None = Field(description="over patients")
    ci: Limits = Field(None, description=INTERVAL)
    n: int = Field(0, description="patients")
    n_failed: int = Field(0, description="cases without a usable prediction")
    n_cases: int = 0
    n_used: int = Field(0, description="cases that the mean is made of")
    n_excluded: int = Field(0, description="cases for which the metric is not defined")
    n_undefined: int = Field(0, description="cases for which the metric is not defined with some seed")
    failure_rate: FailureRate | None = Field(None, description="version 0.1.0 may lack it")
    median: Number | None = Field(None, description="over patients")
    median_ci: Limits = Field(None, description="[low, high], 95 %, by order statistics")
    iqr: Limits = Field(None, description="[first, third] quartile")
    min: Number | None = None
    max: Number | None = None
    sd: Number | None = Field(None, description="standard deviation between patients")
    sd_between_seeds: Number | None = Field(None, description="standard deviation of the seeds' means")
    method: str | None = Field(None, description="of the interval of the mean; none where there is none")
    reason: str | None = Field(None, description="why a number is null")


class CaseMeans(Record):
    """One case, arm and structure: means over seeds."""

    dice: Number | None = Field(None, description="Dice, 0 to 1")
    nsd: Number | None = Field(None, description="normalised surface Dice, 0 to 1")
    hd95_mm: Number | None = Field(None, description="95th percentile of surface distances, mm")
    hd_mm: Number | None = Field(None, description="largest surface distance, mm")
    assd_mm: Number | None = Field(None, description="average symmetric surface distance, mm")
    volume_ml: Number | None = Field(None, description="predicted volume, ml")
    volume_error_ml: Number | None = Field(None, description="predicted minus reference volume, ml")
    reference_volume_ml: Number | None = Field(None, description="volume of the reference, ml")
    components: Number | None = Field(None, description="connected pieces of the prediction")
    failed: bool = Field(False, description="whether a seed's prediction is missing, empty or has no voxel in common")
    reason: str | None = Field(None, description="why a number is null")


class ReportCase(Record):
    """One test case."""

    case: str = Field(description="case id")
    patient: str = Field(description="patient id")
    status: str = Field(description="of the adapted arm's worst seed: ok, empty_prediction, missing or error")
    metrics: dict[str, CaseMeans] = Field(description="structure -> numbers of the adapted arm")
    arms: dict[str, dict[str, CaseMeans]] = Field(default={}, description="arm -> structure -> numbers")
    confidence: dict[str, Number | None] = Field(default={}, description="structure -> soft Dice confidence, 0 to 1")
    seeds: dict[str, dict[str, Number | None]] = Field(default={}, description="structure -> seed -> Dice, adapted arm")
    prediction_sha256: dict[str, str | None] = Field(default={}, description="seed -> sha256 (hex) of the label map")
    reference_sha256: str | None = Field(None, description="sha256 (hex) of the reference's label map")
    id: str = Field(default="", description="c and the rank, from the lowest Dice of the primary structure")
    anchor: str = Field(default="", description="of the case on the page")
    causes: dict[str, list[str]] = Field(default={}, description="structure -> codes of what went wrong, worst seed")
