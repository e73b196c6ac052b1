"""Stored volume: meta.json of an entry of the store, which describes a volume without its voxels."""

from __future__ import annotations

from pydantic import Field

from xmed.records.data_summary import ReaderNote
from xmed.records.record import Number, Record


class StoredVolume(Record):
    """meta.json of a store entry."""

    shape: list[int] = Field(description="voxels along i, j, k")
    spacing_mm: list[Number] = Field(description="voxel size along i, j, k, mm")
    affine: list[list[Number]] = Field(description="4×4 matrix from voxel index to patient coordinates, mm, LPS+")
    frame: str | None = Field(description="frame of reference, as a pseudonym")
    modality: str | None = Field(description="DICOM modality")
    fov: bool = Field(description="whether the entry has a mask of the field of view")
    sha256: str = Field(description="sha256 (hex) of voxel type, shape, values and field of view")
    notes: list[ReaderNote] = Field(default=[], description="what reading noticed and corrected")
    facts: dict[str, str] = Field(default={}, description="header metadata, with keyed UIDs; version 0.1.0 lacks it")
    seal: str | None = Field(None, description="sha256 (hex) of the document; version 0.1.0 wrote none")
