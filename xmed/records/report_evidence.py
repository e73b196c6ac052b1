"""Report evidence: what report.json says of data, model, monitoring, the version before, and how to make it again."""

from __future__ import annotations

from pydantic import Field, JsonValue

from xmed.records.data_summary import CaseFlow, CaseSummary, Leakage, QuarantinedCaseSummary
from xmed.records.drift import JudgedSimulation
from xmed.records.record import Number, Plain, Record
from xmed.records.report_cases import Limits
from xmed.records.report_front import AxisRange
from xmed.records.report_results import WHY, Estimate
from xmed.records.selection import SeedSelection
from xmed.records.training import CheckpointChoice


class RefusedCount(Record):
    """Refused cases."""

    n: int
    by_code: dict[str, int] = Field(description="error code -> cases")


class PartitionCount(Record):
    """One partition of a dataset."""

    cases: int
    labelled: int
    patients: int


class FlowSteps(Record):
    """From the cases received to the partitions."""

    received: int
    in_no_partition: int
    quarantined: RefusedCount
    readable: int
    partition: dict[str, PartitionCount] = Field(description="train, select, test")


class LabelVolumes(Record):
    """Volumes of a structure over patients, ml."""

    n: int = Field(description="patients")
    min: Number | None
    median: Number | None
    max: Number | None


class CohortPart(Record):
    """Who and what is in one partition. A level of fewer than 3 patients is not broken down."""

    side: str = Field(description="source or target")
    dataset: str
    modality: str = Field(description="DICOM modality")
    partition: str
    patients: int
    volumes: int
    studies: int | None
    labelled: int
    model: dict[str, JsonValue] = Field(description="always empty")
    sex: dict[str, int | str] = Field(description="level -> patients")
    age_band: dict[str, int | str] = Field(description="level -> patients")
    vendor: dict[str, int | str] = Field(description="level -> patients")
    field_t: dict[str, int | str] = Field(description="tesla -> patients")
    spacing_mm: AxisRange | None = Field(description="voxel size, mm")
    shape: AxisRange | None = Field(description="voxels")
    label_volume_ml: dict[str, LabelVolumes] = Field(description="by structure")
    notes: dict[str, int] = Field(description="reader's note -> cases")


class MissingData(Record):
    """One kind of missing data."""

    side: str
    partition: str
    what: str
    n_missing: int
    n: int
    handling: str


class SharedPatients(Record):
    """Patients in both datasets."""

    patients: list[str] = Field(description="patient ids")
    text: str


class ReportedLeakage(Leakage):
    """What training and test data share, with the patients compared once more."""

    source_target: SharedPatients | None = Field(None, description="patients in both datasets")


class ReportedCohort(Record):
    """One dataset, without what headers say of single patients."""

    name: str
    modality: str = Field(description="DICOM modality")
    licence: str | None
    source: str | None = Field(description="where the data come from")
    structures: list[str]
    spacing_credible: bool
    cases: list[CaseSummary]
    quarantined: list[QuarantinedCaseSummary]


class ReportData(Record):
    """Which cases were received, refused and used for what."""

    flow: dict[str, CaseFlow] = Field(description="source and target")
    steps: dict[str, FlowSteps] = Field(default={}, description="source and target")
    cohort: list[CohortPart] = Field(default=[])
    missing: list[MissingData] = Field(default=[])
    leakage: ReportedLeakage
    fingerprint: dict[str, str] = Field(description="of source and target")
    source: ReportedCohort
    target: ReportedCohort


class CeilingDice(Record):
    """What the ceiling reaches."""

    kind: str
    structures: dict[str, Number | None] = Field(description="structure -> mean Dice")


class ReferenceStandard(Record):
    """Against what the model was judged."""

    human: dict[str, str | None] = Field(description="what people wrote, by key")
    labelled_test_cases: int
    empty_references: dict[str, int] = Field(description="structure -> cases without it")
    patients_with: dict[str, int] = Field(
        default={}, description="structure -> patients who have it; version 0.1.0 lacks it"
    )
    patients: int | None = Field(None, description="version 0.1.0 lacks it")
    inter_rater: Estimate
    intra_rater: Estimate
    ceiling: CeilingDice


class ReportedModel(Record):
    """The model that is judged."""

    name: str
    method: str
    hyperparameters: dict[str, Plain] | None
    cite: str | None = Field(description="paper that the method is from")
    weights_sha256: dict[str, str] = Field(description="seed -> sha256 (hex) of weights.safetensors")
    parameters: int | None = Field(description="trainable numbers of the network")
    network: dict[str, Plain]


class ArmChoice(CheckpointChoice):
    """How the weights of one arm and seed were chosen."""

    arm: str
    seed: int


class ReportedSelection(Record):
    """How the deployed weights were chosen, and whether to adapt at all."""

    rule: str | None
    used_target_labels: bool
    promoted: bool | None = Field(description="null where the run did not choose between arms")
    reason: str | None
    registered: bool | None = Field(None, description="version 0.1.0 lacks it")
    seeds: dict[str, SeedSelection] = Field(description="seed -> its choice")
    arms: list[ArmChoice]


class ReferenceDistribution(Record):
    """One measurement over the test cases."""

    n: int
    unit: str | None
    quantiles: dict[str, Number | None] | None = Field(description="share -> value")
    values: list[Number | None] = Field(description="sorted")
    reason: str | None = Field(description=WHY)


class StopRule(Record):
    """When to stop and validate again."""

    id: str
    text: str


class MonitoringPlan(Record):
    """What the validated data looked like, and what to do when later data differ."""

    reference: str
    n: int = Field(description="test cases")
    distributions: dict[str, ReferenceDistribution]
    rules: list[StopRule]
    simulation: JudgedSimulation | None = Field(None, description="the alarm, tried")


class Regression(Record):
    """A patient whose Dice fell."""

    patient: str
    before: Number | None
    after: Number | None
    change: Number | None


class VersionChange(Record):
    """One structure against the version before."""

    n: int = Field(description="patients in both reports")
    wins: int
    losses: int
    ties: int
    estimate: Number | None = Field(description="mean change, Dice")
    ci: Limits
    p_sign_flip: Number | None
    regression_limit: Number = Field(description="fall of Dice from which a patient is named")
    regressions: list[Regression]
    reason: str | None = Field(description=WHY)


class PreviousVersion(Record):
    """This model and the one before it."""

    available: bool
    reason: str | None
    name: str | None
    version: int | None
    report_id: str | None
    verdict: str | None
    same_test_set: bool | None
    changed: dict[str, list[JsonValue]] = Field(description="setting -> [before, after]")
    structures: dict[str, VersionChange]
