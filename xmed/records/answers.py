"""Answers: what the jobs of `xmed.app` return, and what the commands that call them print with --json."""

from __future__ import annotations

from pydantic import Field

from xmed.records.data_summary import ReaderNote
from xmed.records.model_version import RelinkedVersion
from xmed.records.record import AnswerRecord, Number, Record
from xmed.records.report_results import ResultSummary
from xmed.records.run_state import RegisteredVersion


class ValidatedRun(AnswerRecord):
    """What `validate` returns: a finished model, measured on other data."""

    run: str = Field(description="id of the run")
    folder: str = Field(description="folder of the run")
    report: str = Field(description="path of report.html")
    verdict: str | None = Field(None, description="pass, fail or inconclusive; printed by commands")
    summary: ResultSummary | None = Field(None, description="`summary` of report.json; printed by commands")


class AdaptedRun(ValidatedRun):
    """What `adapt` returns: a study that ran to its end."""

    registered: RegisteredVersion = Field(description="what became of the adapted model in the registry")


class ComparedRun(AnswerRecord):
    """What `compare` returns: several methods, trained and ranked."""

    run: str = Field(description="id of the run")
    folder: str = Field(description="folder of the run, with comparison.json")
    page: str = Field(description="path of comparison.html")


class DriftPage(AnswerRecord):
    """What `drift` returns: where the result of a drift check is."""

    folder: str = Field(description="folder with drift.json")
    report: str = Field(description="path of drift.html")


class SentFile(AnswerRecord):
    """One file that was sent to an archive."""

    file: str = Field(description="path of the file")
    status: str = Field(description="what the archive answered")


class PredictedFile(AnswerRecord):
    """What `predict_file` returns: one image, segmented into a file."""

    output: str = Field(description="path of the label map")
    measurements: str | None = Field(description="path of the DICOM SR; null where none was written")
    model: str = Field(description="the model as it was named")
    weights_sha256: str | None = Field(description="sha256 (hex) of weights.safetensors")
    shape: list[int] = Field(description="voxels along i, j, k")
    spacing_mm: list[Number] = Field(description="voxel size along i, j, k, mm")
    voxels: dict[str, int] = Field(description="structure -> predicted voxels")
    notes: list[ReaderNote] = Field(description="what was corrected while reading the image")
    volume_ml: dict[str, Number] | None = Field(description="structure -> volume, ml; null for an ultrasound film")
    largest_area_cm2: dict[str, Number] | None = Field(
        None, description="structure -> largest area in a frame, cm²; of an ultrasound film alone"
    )
    sent: list[SentFile] | None = Field(None, description="what an archive answered; only where files were sent")


class PublishedRun(AnswerRecord):
    """A run that was copied to a shared store."""

    url: str = Field(description="folder of the run in the store")
    files: int = Field(description="files of the run")
    copied: int = Field(description="files that were not there before")
    bytes: int = Field(description="size of all files, bytes")
    sha256: str = Field(description="sha256 (hex) of the list of files with their checksums")


class ReportCheck(AnswerRecord):
    """Whether every number and checksum of a report came out again."""

    ok: bool
    folder: str = Field(description="the folder that was checked")
    deep: bool = Field(description="whether the stored predictions were measured again")
    problems: list[str] = Field(description="one sentence each")


class ChecklistCounts(Record):
    """How many of the 44 items of the CLAIM checklist have which status."""

    filled: int
    human_required: int = Field(description="items that wait for a person")
    not_applicable: int


class RebuiltReport(AnswerRecord):
    """A report that was built again."""

    run: str = Field(description="id of the run")
    report: str = Field(description="path of report.html")
    report_id: str = Field(description="sha256 (hex) of the report without time and place")
    verdict: str = Field(description="pass, fail or inconclusive")
    claim: ChecklistCounts
    versions: list[RelinkedVersion] = Field(description="registered versions of this run")


class WithheldFile(Record):
    """A file that was not copied."""

    file: str = Field(description="pseudonym of its path, which only the crosswalk resolves")
    code: str = Field(description="error code")
    message: str = Field(description="what was found, without names")


class DeidentifiedFolder(AnswerRecord):
    """What de-identification copied and withheld."""

    written: int = Field(description="files written")
    patients: int = Field(description="patients in the output")
    skipped: int = Field(description="files of other kinds")
    withheld: list[WithheldFile]
    key: str | None = Field(description="path of the key, where this run made it")
    codes: dict[str, int] = Field(description="error code -> files withheld with it")
    output: str = Field(description="the folder with the copies")


class RefusalCause(Record):
    """Why a registration was refused."""

    code: str = Field(description="error code")
    what: str = Field(description="what was found")


class RefusedRegistration(AnswerRecord):
    """A registration that was refused."""

    refused: RefusalCause


class ExportedBundle(AnswerRecord):
    """A model that was exported for other software."""

    folder: str = Field(description="folder of the bundle")
    differs: list[str] = Field(description="in what its predictions differ from those of xmed, one sentence each")
    check: list[str] = Field(description="commands of the other software that check the bundle")


class AuditCheck(AnswerRecord):
    """Whether the audit log is whole."""

    ok: bool
    records: int = Field(description="records in the log")
    problems: list[str] = Field(description="one sentence each, with the number of the record")
    signed: bool = Field(description="whether there is a key, so that signatures are checked")


class ScheduledStudy(AnswerRecord):
    """One schedule, as `xmed schedule` lists it."""

    study: str
    schedule: str = Field(description="cron expression, or what is waited for")
    timezone: str | None = Field(description="of the cron expression")
    active: bool
    next: str | None = Field(description="next run, ISO 8601, local time")
    last: str | None = Field(description="state of the last run, in Prefect's words")
    last_at: str | None = Field(description="start of the last run, ISO 8601, local time")
    last_said: str | None = Field(description="message of the last run")
