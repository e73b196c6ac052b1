"""Validation report: report.json, the document of a validated run, from which its page, tables and cards are drawn."""

from __future__ import annotations

from pydantic import Field

from xmed.records.evaluation import MetricConventions
from xmed.records.provenance import FixedProtocol, RunEnvironment, RunError, ValidatedModel
from xmed.records.record import Number, Plain, Record
from xmed.records.report_cases import ReportCase
from xmed.records.report_evidence import (
    MonitoringPlan,
    PreviousVersion,
    ReferenceStandard,
    ReportData,
    ReportedModel,
    ReportedSelection,
)
from xmed.records.report_front import (
    AuthorAnswers,
    ClaimItem,
    FailureAnalysis,
    Headline,
    IntendedUse,
    JudgedCriterion,
    Limitations,
    MethodsText,
    RatingSummary,
    VerdictBanner,
)
from xmed.records.report_reliability import (
    LabelFreeEstimates,
    ReportedCalibration,
    ReportedRisk,
    ReportedRobustness,
    SubgroupFactor,
)
from xmed.records.report_results import ArmIntervals, ReportedAgreement, ReportedStatistics, ResultSummary
from xmed.records.sign_off import SignOff
from xmed.records.training import Training


class GitState(Record):
    """The commit, and how the working copy differs from it."""

    commit: str | None
    dirty: bool | None
    diff_sha256: str | None = Field(description="sha256 (hex) of the difference")


class StudyDigest(Record):
    """The study."""

    study: str
    sha256: str = Field(description="sha256 (hex) of study.json")


class DatasetDigest(Record):
    """One dataset."""

    fingerprint: str
    merkle_root: str | None
    files: int | None
    splits_sha256: str = Field(description="sha256 (hex) of which case is in which partition")


class WeightDigests(Record):
    """The weights of the adapted arm."""

    format: str
    sha256: dict[str, str] = Field(description="seed -> sha256 (hex)")


class MetricVersions(Record):
    """By what the numbers were computed."""

    implementation: str
    statistics: str
    scipy: str | None
    conventions_sha256: str


class MeasurementReports(Record):
    """DICOM measurement reports beside the report."""

    measurement_reports: int
    of_cases: int
    withheld: dict[str, int] = Field(description="error code -> cases without one")


class TrackedRun(Record):
    """Where MLflow keeps the run; it is logged after the report was made."""

    run_id: str | None
    model_version: str | int | None
    reason: str | None


class Reproducibility(Record):
    """What it takes to make the report again."""

    git: GitState
    lock_sha256: str | None = Field(description="sha256 (hex) of constraints.txt")
    packages: dict[str, str | None] | None
    packages_sha256: str | None
    sbom_sha256: str | None
    system: dict[str, Plain]
    config: StudyDigest
    seeds: list[int]
    determinism: dict[str, Plain] | None
    data: dict[str, DatasetDigest] = Field(description="source and target")
    preparation_sha256: str
    weights: WeightDigests
    metrics: MetricVersions
    dicom: MeasurementReports | None = None
    mlflow: TrackedRun
    command: str | None
    started: str | None = Field(description="ISO 8601, UTC")
    finished: str | None = Field(description="ISO 8601, UTC")
    seconds: Number | None
    sources: dict[str, str] = Field(description="file of the run -> sha256 (hex)")
    missing: list[str] = Field(description="what was not recorded")


class StudyEndpoint(Record):
    """What a study is judged by."""

    metric: str
    structure: str


class StudyProtocol(Record):
    """The part of a study that is fixed before any target label is read."""

    primary: StudyEndpoint
    accept: dict[str, Number | bool | None] = Field(default={}, description="criterion -> threshold; null: not asked")


class ReportedStudy(Record):
    """study.json, as the report repeats it; keys that are not named here are kept."""

    name: str = ""
    source: Plain = Field(None, description="dataset")
    target: Plain = Field(None, description="dataset")
    structures: list[str] = Field(default=[])
    seeds: list[int] = Field(default=[])
    protocol: StudyProtocol


class Report(Record):
    """report.json. What a key is made of is decided by the section that provides it, in `xmed.report.sections`.

    A section that an older version did not have is null here. Its JSON Schema is that of `xmed schema report`, which
    the sections make; so this record names no FILE.
    """

    report_id: str = Field(description="sha256 (hex) of the document without when and where it was made")
    schema_: str = Field(alias="schema", description="edition of this document")
    edition: int = Field(1, description="of wording and layout; version 0.1.0 does not name it")
    run: str | None = None
    kind: str | None = Field(None, description="adaptation, or external: a finished model on other data")
    sections: list[str] = Field(default=[], description="anchors of the sections, in the order of the page")
    study: ReportedStudy
    protocol: FixedProtocol | None = None
    protocol_sha256: str = Field(description="sha256 (hex) of the protocol")
    metrics_conventions: MetricConventions | None = None
    text: AuthorAnswers | None = None
    external: ValidatedModel | None = None
    exploratory: bool = Field(False, description="whether the protocol was changed after it had been fixed")
    criteria: list[JudgedCriterion] = Field(default=[])
    verdict: str = Field(description="pass, fail or inconclusive")
    headline: Headline | None = None
    banner: VerdictBanner | None = None
    intended_use: IntendedUse | None = None
    limitations: Limitations | None = None
    data: ReportData | None = None
    reference_standard: ReferenceStandard | None = None
    model: ReportedModel | None = None
    selection: ReportedSelection | None = None
    training: list[Training] = Field(default=[])
    summary: ResultSummary
    intervals: ArmIntervals | None = None
    statistics: ReportedStatistics | None = None
    volume_agreement: dict[str, ReportedAgreement] = Field(default={}, description="by structure")
    calibration: dict[str, ReportedCalibration] = Field(default={}, description="by structure")
    risk_coverage: dict[str, ReportedRisk] = Field(default={}, description="by structure")
    label_free: LabelFreeEstimates | None = None
    subgroups: list[SubgroupFactor] = Field(default=[])
    robustness: ReportedRobustness | None = None
    cases: list[ReportCase]
    failures: FailureAnalysis | None = None
    ratings: RatingSummary | None = None
    monitoring: MonitoringPlan | None = None
    previous: PreviousVersion | None = None
    claim: list[ClaimItem] = Field(default=[])
    claim_counts: dict[str, int] = Field(default={}, description="status -> items")
    methods: MethodsText | None = None
    errors: list[RunError] = Field(default=[])
    errors_by_code: dict[str, int] = Field(default={})
    warnings: dict[str, int] = Field(default={}, description="reader's note -> cases")
    environment: RunEnvironment | None = None
    reproducibility: Reproducibility | None = None
    signoff: list[SignOff] = Field(default=[])
