"""Report front: what report.json says of criteria, verdict, headline, intended use, failures and the CLAIM items."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import Number, Record
from xmed.records.report_cases import INTERVAL, Limits
from xmed.records.report_results import DICE, WHY


class JudgedCriterion(Record):
    """One acceptance criterion, with the value that was reached."""

    id: str
    text: str
    value: Number | bool | None
    threshold: Number | bool | None
    holds: bool | None = Field(description="null where it cannot be judged")
    reason: str | None = Field(description="why it is not met or cannot be judged")
    interval: Limits = Field(None, description=INTERVAL)
    note: str | None = Field(None, description="what to know where it is met")


class KeyNumber(Record):
    """One of the six numbers of the first page."""

    id: str
    label: str
    value: Number | None
    ci: Limits
    unit: str | None
    n: int = Field(description="patients")
    path: str = Field(description="keys of the number in the document, with dots")
    reason: str | None = Field(description=WHY)
    signed: Number | None = Field(None, description="the value with its sign, of the volume bias")
    ci_of: str | None = Field(None, description="what the interval is of")


class PrimaryEndpoint(Record):
    """The primary endpoint."""

    metric: str
    structure: str
    estimate: Number | None
    ci: Limits
    n: int = Field(description="patients")
    n_failed: int = Field(description="cases without a usable prediction")
    sentence: str
    non_inferiority: str


class WorstCase(Record):
    """One of the worst cases."""

    case: str
    patient: str
    structure: str
    dice: Number | None = Field(description=DICE)
    cause: str | None
    anchor: str


class Headline(Record):
    """Numbers and sentences of the first page."""

    structure: str
    arm: str
    sentence: str
    strip: list[KeyNumber]
    endpoint: PrimaryEndpoint
    worst: list[WorstCase]
    limitations: list[str]


class VerdictBanner(Record):
    """The verdict, why, and of what model, data and protocol."""

    verdict: str
    exploratory: bool
    reasons: list[str]
    use: str
    model: str
    weights_sha256: str | None = Field(description="sha256 (hex) of weights.safetensors")
    data_fingerprint: str
    protocol_sha256: str
    date: str | None = Field(description="ISO 8601, UTC")


class AxisRange(Record):
    """Lowest and highest value along i, j, k."""

    min: list[Number]
    max: list[Number]


class TestedRange(Record):
    """The images and patients that the model was tested on."""

    __test__ = False  # no test class, whatever pytest takes the name for
    modality: str = Field(description="DICOM modality")
    structures: list[str]
    spacing_mm: AxisRange | None = Field(description="voxel size, mm")
    size_mm: AxisRange | None = Field(description="field of view, mm")
    patients: int
    vendors: list[str]


class Risk(Record):
    """One risk, after ISO 14971."""

    hazard: str
    cause: str
    control: str
    evidence: str = Field(description="anchor on the page")


class IntendedUse(Record):
    """What the model is for, and where it was tested."""

    anchor: str
    human: dict[str, str | None] = Field(description="what people wrote, by key")
    machine: TestedRange
    out_of_scope: list[str]
    risks: list[Risk]


class Limitations(Record):
    """What speaks against relying on the numbers."""

    human: str | None = Field(description="what people wrote")
    machine: list[str] = Field(description="what follows from the numbers")


class FailedCases(Record):
    """Failed cases of one arm and structure."""

    n_failed: int
    n_cases: int
    rate: Number | None = Field(description="0 to 1")
    ci: Limits = Field(description="[low, high], 95 %, exact (Clopper–Pearson)")
    reason: str | None = Field(None, description=WHY)


class CauseCount(Record):
    """How often one cause occurs."""

    code: str
    n: int = Field(description="predictions with it")
    n_primary: int = Field(description="predictions of which it is the first cause")
    cases: list[str]


class FailedPrediction(Record):
    """The worst seed's prediction of one case and structure."""

    case: str
    patient: str
    anchor: str
    structure: str
    seed: int | None
    dice: Number | None = Field(description=DICE)
    status: str
    failed: bool
    causes: list[str] = Field(description="codes, the primary one first")
    text: str = Field(description="the numbers behind them")


class FailureAnalysis(Record):
    """Every prediction that failed or is poor."""

    definition: str
    tau: Number = Field(description="Dice below which a prediction is poor")
    looked_at: str
    by_arm: dict[str, dict[str, FailedCases]] = Field(description="arm -> structure -> failed cases")
    rules: dict[str, str] = Field(description="cause -> its rule")
    causes: list[CauseCount]
    worst: list[FailedPrediction]
    random: list[str] = Field(description="case ids")
    failed: list[FailedPrediction | str] = Field(description="version 0.1.0 lists case ids alone")


class CaseRating(Record):
    """How a person judged one prediction."""

    case: str
    rating: int = Field(description="1 good, 2 doubtful, 3 bad")
    comment: str = ""


class RatingSummary(Record):
    """What people judged of single predictions."""

    provided: bool
    reason: str | None
    file: str | None
    sha256: str | None
    rater: str | None
    n: int = Field(description="rated cases")
    of: int = Field(description="test cases")
    by_rating: dict[str, int]
    items: list[CaseRating]


class ClaimItem(Record):
    """One item of CLAIM 2024."""

    item: int = Field(description="1 to 44")
    title: str
    status: str = Field(description="filled, human_required or not_applicable")
    text: str
    anchor: str
    by: str | None = Field(None, description="people, machine, or both")
    machine: str | None = Field(None, description="what the run's numbers say")


class CitedReference(Record):
    """One reference of the methods text."""

    n: int
    key: str
    text: str
    doi: str | None
    bibtex: str


class MethodsText(Record):
    """The methods section of a manuscript."""

    paragraphs: list[str]
    references: list[CitedReference]
    licence: str


class AuthorAnswers(Record):
    """What people wrote of the study, and what they were asked."""

    file: str | None = None
    sha256: str | None = Field(None, description="sha256 (hex) of the file")
    items: dict[str, str | None] = Field(default={}, description="key -> text; null where nobody wrote it")
    questions: dict[str, str] = Field(default={}, alias="asked", description="key -> what is asked for")
    missing: list[str] = Field(default=[], description="keys without a text")
