"""Data summary: data.json, both cohorts of a run without their voxels, and what stands on both sides of a split."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from xmed.records.record import Number, Record


class ReaderNote(Record):
    """One thing that reading noticed and repaired."""

    code: str = Field(description="code of the note")
    text: str = Field(default="", description="what was found and what was done, without names")


class CaseSummary(Record):
    """One case that was read."""

    case: str = Field(description="case id")
    patient: str = Field(description="patient id")
    split: str = Field(description="train, select or test")
    has_label: bool = Field(description="whether it has a reference segmentation")
    shape: list[int] | None = Field(None, description="voxels along i, j, k")
    spacing_mm: list[Number] | None = Field(None, description="voxel size along i, j, k, mm")
    notes: list[ReaderNote] = Field(default=[], description="what reading noticed and repaired")
    facts: dict[str, str] = Field(default={}, description="acquisition, from the DICOM header; nothing of the patient")
    label_ml: dict[str, Number] = Field(default={}, description="structure -> volume, ml; of source cases alone")


class QuarantinedCaseSummary(Record):
    """One case that was refused."""

    case: str
    patient: str
    split: str
    code: str = Field(description="error code")
    message: str = Field(description="why, in one sentence")


class CaseFlow(Record):
    """How many cases there were, and what became of them."""

    n_found: int = Field(alias="found")
    readable: int
    quarantined: int
    train: int
    select: int
    test: int


class CohortSummary(Record):
    """One dataset as it was ingested."""

    name: str = Field(default="")
    modality: str = Field(default="", description="DICOM modality; unknown for training data that are not here")
    licence: str | None = None
    source: str | None = Field(None, description="where the data come from")
    fingerprint: str = Field(description="sha256 (hex) of every case's digests and of the spec")
    merkle_root: str | None = Field(None, description="root (hex) of a hash tree over the stored images and labels")
    files: int | None = Field(None, description="stored images and labels")
    structures: list[str] = Field(default=[], description="of the dataset's label table")
    spacing_credible: bool = Field(True, description="whether headers give true voxel sizes")
    cases: list[CaseSummary] = Field(default=[])
    quarantined: list[QuarantinedCaseSummary] = Field(default=[])
    flow: CaseFlow | None = Field(None, description="how many cases became of those that were found")


class NearPair(Record):
    """Two images that look alike."""

    learned: str = Field(description="case that was learned or chosen from")
    dataset: str = Field(description="its dataset")
    tested: str = Field(description="test case")
    correlation: Number = Field(description="of their 16×16×16 thumbnails, -1 to 1")


class LeakageCheck(Record):
    """One way in which training and test data were compared."""

    id: str
    text: str = Field(description="what was compared")
    between: str = Field(description="which two sides")
    n_learned: int
    n_tested: int
    n_shared: int | None = Field(alias="found", description="matches; null where nothing could be compared")
    reason: str | None = Field(description="why nothing could be compared")
    limit: Number | None = Field(description="correlation from which on two images count as near duplicates")
    closest: NearPair | None = Field(description="the most similar pair, of near duplicates")


class Leakage(Record):
    """What training and test data share; empty lists where nothing was found."""

    patient_overlap: list[str] = Field(default=[], description="patient ids")
    study_overlap: list[str] = Field(default=[], description="DICOM study UIDs")
    series_overlap: list[str] = Field(default=[], description="DICOM series UIDs")
    pixel_overlap: list[str] = Field(default=[], description="sha256 (hex) of voxels")
    near_duplicates: list[NearPair] = Field(default=[])
    checks: list[LeakageCheck] = Field(default=[], description="version 0.1.0 lacks them")


class DataSummary(Record):
    """data.json: the source, the target, and the comparison of training with test data."""

    FILE: ClassVar[str] = "data.json"
    source: CohortSummary
    target: CohortSummary
    leakage: Leakage = Leakage()
