"""Provenance: what was asked of a run, with what it was made, what went wrong, and which model it validates."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from xmed.records.record import ListRecord, Plain, Record


class FixedProtocol(Record):
    """protocol.json: what counts as success, fixed and hashed before any target label is read.

    What is hashed is kept as it was written: every key but `sha256` and `fixed_at`.
    """

    FILE: ClassVar[str] = "protocol.json"
    name: str = Field(default="", description="study")
    source: str = Field(default="", description="dataset")
    target: str = Field(default="", description="dataset")
    structures: list[str] = Field(default=[])
    protocol: dict[str, Plain] = Field(default={}, description="the study's protocol, defaults included")
    sha256: str = Field(description="sha256 (hex) of the keys above")
    fixed_at: str = Field(default="", description="ISO 8601, UTC")


class ComparedMethods(ListRecord[list[str]]):
    """methods.json: the methods that a comparison compares; an ordinary run has none."""

    FILE: ClassVar[str] = "methods.json"


class SourceCode(Record):
    """How the working copy differs from its commit; null outside a checkout."""

    dirty: bool | None
    diff_sha256: str | None = Field(description="sha256 (hex) of the difference")


class RunEnvironment(Record):
    """environment.json: software, machine and times. A package that is not installed has no version: null."""

    FILE: ClassVar[str] = "environment.json"
    xmed: str | None = Field(None, description="version")
    python: str | None = Field(None, description="version")
    torch: str | None = Field(None, description="version")
    monai: str | None = Field(None, description="version")
    numpy: str | None = Field(None, description="version")
    scipy: str | None = Field(None, description="version")
    pydicom: str | None = Field(None, description="version")
    highdicom: str | None = Field(None, description="version")
    nibabel: str | None = Field(None, description="version")
    SimpleITK: str | None = Field(None, description="version")
    mlflow: str | None = Field(None, description="version")
    prefect: str | None = Field(None, description="version")
    platform: str | None = Field(None, description="operating system")
    cpu: str | None = Field(None, description="the processor's name")
    device: str | None = Field(None, description="torch devices that trained")
    threads: int | None = Field(None, description="processors that the process may use")
    started: str | None = Field(None, description="ISO 8601, UTC; documents that people wrote may lack it")
    finished: str | None = Field(None, description="ISO 8601, UTC")
    command: str | None = Field(None, description="command line; null where a program or a schedule started it")
    git: str | None = Field(None, description="commit, with a + where the working copy differs")
    source_code: SourceCode | None = None
    packages: dict[str, str | None] = Field(default={}, description="every installed package and its version")
    lock_sha256: str | None = Field(None, description="sha256 (hex) of constraints.txt")
    determinism: dict[str, Plain] = Field(default={}, description="torch settings that decide about repeatability")
    system: dict[str, Plain] = Field(default={}, description="GPU, driver, threads, container")


class RunError(Record):
    """A test case that could not be predicted or measured."""

    code: str = Field(description="error code")
    message: str
    where: str = Field(description="arm, seed and case")


class RunErrors(ListRecord[list[RunError]]):
    """errors.json"""

    FILE: ClassVar[str] = "errors.json"


class TrainingData(Record):
    """Which dataset a model was trained on."""

    name: str | None = Field(description="null where the model's card does not say")
    fingerprint: str | None


class TrainingSides(Record):
    """Both datasets of a training."""

    source: TrainingData
    target: TrainingData


class ValidatedModel(Record):
    """external.json: the finished model that a run validates, where no training took place."""

    FILE: ClassVar[str] = "external.json"
    model: str = Field(description="models:/name/version or @alias; of a folder its last part")
    name: str | None = Field(None, description="registered name; a folder has none")
    version: str | None = Field(None, description="registered version; a folder has none")
    weights_sha256: str = Field(description="sha256 (hex) of weights.safetensors")
    study: str = Field(description="study that made it")
    run: str | None = Field(description="run that made it")
    protocol_sha256: str | None = Field(description="sha256 (hex) of the protocol that it was made under")
    training: TrainingSides


class PriorCase(Record):
    """One test case of the version before."""

    case: str
    patient: str
    dice: dict[str, float | int | None] = Field(description="structure -> Dice, 0 to 1")


class PriorVersion(Record):
    """prior.json: the report of the version of this model before this one."""

    FILE: ClassVar[str] = "prior.json"
    name: str = Field(description="registered model")
    version: int | None
    report_id: str
    verdict: str = Field(description="pass, fail or inconclusive")
    fingerprint: str = Field(description="of its test data")
    study: dict[str, Plain] = Field(description="the parts of its study that are compared")
    cases: list[PriorCase]


class AuthorText(Record):
    """text.json: what people wrote of a study."""

    FILE: ClassVar[str] = "text.json"
    file: str = Field(description="name of the YAML file")
    sha256: str = Field(description="sha256 (hex) of that file")
    items: dict[str, str] = Field(description="topic -> text")
