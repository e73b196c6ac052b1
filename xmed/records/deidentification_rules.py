"""Deidentification rules: what `xmed deidentify --explain` prints. Keys are sentences, since people read them."""

from __future__ import annotations

from pydantic import Field

from xmed.records.record import AnswerRecord, Record


class MadeAnew(Record):
    """What a copy gets that was not in the original."""

    patient: str = Field(alias="PatientName, PatientID")
    manufacturer: str = Field(alias="Manufacturer")
    file_meta: str = Field(alias="file meta information, preamble")
    names: str = Field(alias="file and folder names")


class ScreenRules(Record):
    """Pictures of an ultrasound screen."""

    kinds: list[str] = Field(description="SOP classes")
    copied: str = Field(alias="kept", description="pixels that are copied")
    withheld: str = Field(description="when the file is not copied")


class SliceRules(Record):
    """Slices of MR, CT and PET."""

    kinds: list[str] = Field(description="SOP classes")
    copied: str = Field(alias="kept", description="pixels that are copied")


class NiftiRules(Record):
    """NIfTI headers."""

    copied: list[str] = Field(alias="kept", description="fields that are copied")
    dropped: str = Field(description="what is not copied")


class DeidentificationRules(AnswerRecord):
    """Every rule of de-identification."""

    attributes: dict[str, dict[str, str]] = Field(description="group -> DICOM keyword -> rule")
    patient: dict[str, str] = Field(alias="of the patient, in positron emission alone", description="keyword -> rule")
    private: dict[str, str] = Field(alias="private, which scale stored values", description="element -> rule")
    empty: list[str] = Field(alias="empty where nothing crosses", description="DICOM keywords")
    made_anew: MadeAnew = Field(alias="made anew")
    time: str
    time_zones: str = Field(alias="time zones")
    quantities: str
    key: str
    screens: ScreenRules
    slices: SliceRules
    other_kinds: str = Field(alias="every other kind")
    writing: str
    faces: str
    nifti: NiftiRules
    method_codes: dict[str, str] = Field(
        alias="method codes (PS3.16 CID 7050)", description="code -> its meaning, of the methods that are used"
    )
