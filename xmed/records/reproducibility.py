"""Reproducibility: what report.json says of versions, digests, seeds and commands, to make it again."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import Number, Plain, Record


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
