"""Drift: monitor.json, what a model was validated on in numbers; drift.json, new data held against it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from xmed.records.record import Number, Record


class Measurements(Record):
    """What an image, or a patient, and the model's answer look like in numbers that name nobody."""

    numbers: dict[str, dict[str, Number]] = Field(description="group -> name -> value; units: `numbers` of drift.json")
    categories: dict[str, str] = Field(description="acquisition, from the DICOM header")
    embedding: list[Number] = Field(description="mean of the network's deepest block, one number per channel")


class DisturbedTrial(Record):
    """How soon the alarm rule sees one disturbance, in simulation."""

    id: str
    text: str
    level: str = Field(description="with its unit")
    seen: Number = Field(description="share of the repeats in which it is seen, 0 to 1")
    delay: int | None = Field(description="patients until the alarm (median); null where fewer than half were seen")


class CalmTrial(Record):
    """How often the alarm rule is wrong where nothing has changed."""

    alarms: int
    rate: Number = Field(description="share of the repeats, 0 to 1")


class TrialSize(Record):
    """How many patients and repeats a trial of the alarm rule has."""

    n_reference: int = Field(description="patients on the reference side")
    n_new: int = Field(description="new patients")
    repeats: int


class Simulation(TrialSize):
    """The alarm rule tried out on the target's own patients."""

    in_control: CalmTrial | None = Field(description="null where there are too few patients")
    disturbed: list[DisturbedTrial]
    reason: str | None = Field(description="why there is no result")
    allowed: Number | None = Field(
        None, description="share of false alarms that the rule allows, 0 to 1; of drift.json"
    )


class JudgedDisturbedTrial(DisturbedTrial):
    """The same with its interval."""

    ci: list[Number] | None = Field(None, description="[low, high] of `seen`, 95 %, exact (Clopper–Pearson)")


class JudgedCalmTrial(CalmTrial):
    """The same with its interval, and what follows from it."""

    ci: list[Number] | None = Field(None, description="[low, high] of `rate`, 95 %, exact (Clopper–Pearson)")
    text: str = Field(default="", description="whether the rule was wrong more often than it allows")


class JudgedSimulation(TrialSize):
    """The trial of the alarm rule with exact intervals; without them where there was no trial."""

    in_control: JudgedCalmTrial | None = Field(description="null where there are too few patients")
    disturbed: list[JudgedDisturbedTrial]
    reason: str | None = Field(description="why there is no result")
    allowed: Number | None = Field(
        None, description="share of false alarms that the rule allows, 0 to 1; of drift.json"
    )


class ValidationReference(Record):
    """monitor.json: what new data are held against. Nobody is named."""

    FILE: ClassVar[str] = "monitor.json"
    schema_: str = Field(alias="schema", description="edition of this document")
    of: str = Field(description="sha256 (hex) of model, data and code: with others it is made anew")
    rule: str = Field(description="the alarm rule in words")
    study: str
    run: str
    weights_sha256: str = Field(description="sha256 (hex) of weights.safetensors")
    dataset: str
    fingerprint: str = Field(description="of the dataset")
    modality: str = Field(description="DICOM modality")
    credible: bool = Field(description="whether headers give true voxel sizes")
    structures: list[str]
    cases: int = Field(description="test images that were read")
    refused: int = Field(description="test images that were not")
    patients: list[Measurements] = Field(description="in an order that says nothing about anybody")
    errors: dict[str, list[Number]] = Field(description="structure -> per patient the largest |confidence − Dice|")
    tau: Number = Field(description="Dice below which a result counts as failed")
    simulation: Simulation


class CheckedModel(Record):
    """The model of a drift check."""

    reference: str = Field(description="models:/name/version or @alias; of a folder its last part")
    study: str
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="sha256 (hex) of weights.safetensors")
    modality: str = Field(description="DICOM modality")


class CheckedInput(Record):
    """The new data of a drift check."""

    name: str
    cases: int = Field(ge=0, description="readable or not")
    patients: int = Field(ge=0, description="of readable cases")
    fingerprint: str


class CheckedAgainst(Record):
    """The validation data of a drift check."""

    dataset: str
    study: str
    run: str
    fingerprint: str
    refused: int = Field(ge=0, description="test images that could not be read")
    cases: int = Field(ge=0, description="test images that could be read")
    patients: int = Field(ge=0)


class AlarmRule(Record):
    """The rule and its limits."""

    text: str
    alpha: Number = Field(description="chance of a false alarm, both tests together")
    images: Number = Field(description="largest p of the test of images")
    unreadable: Number = Field(description="largest p of the test of unreadable images")
    least_patients: int | None = Field(description="fewest new patients that can decide; null: no number can")
    simulation: JudgedSimulation | None = Field(description="as in monitor.json, with 95 % intervals")


class GroupCheck(Record):
    """One group of measurements: whether it has changed."""

    id: str
    text: str
    mmd2: Number | None = Field(description="squared maximum mean discrepancy (Gretton et al., JMLR 2012)")
    p: Number | None = Field(ge=0, le=1)
    p_adjusted: Number | None = Field(ge=0, le=1, description="for all groups (Westfall and Young)")
    changed: bool
    reason: str | None = Field(description="why there is no number")


class RefusedCase(Record):
    """One new case that could not be read."""

    case: str
    code: str = Field(description="error code")
    message: str


class Unreadable(Record):
    """New images that could not be read."""

    n: int = Field(ge=0)
    of: int = Field(ge=0)
    p: Number | None = Field(ge=0, le=1, description="Fisher's exact test, one-sided")
    by_code: dict[str, int]
    cases: list[RefusedCase]


class NumberSpread(Record):
    """A measurement over the patients of one side, or a category's counts."""

    n: int | None = Field(None, ge=0, description="patients")
    quantiles: dict[str, Number] | None = None
    values: list[Number] | None = Field(None, description="sorted")
    counts: dict[str, int] | None = Field(None, description="category -> patients")


class NumberShift(Record):
    """One measurement on both sides."""

    group: str
    name: str
    unit: str | None
    reference: NumberSpread | None
    new: NumberSpread | None
    psi: Number | None = Field(description="population stability index; null below 100 patients a side")
    statistic: Number | None = Field(description="Kolmogorov-Smirnov D, or chi²")
    p: Number | None = Field(ge=0, le=1)
    p_holm: Number | None = Field(ge=0, le=1, description="for all measurements (Holm)")
    method: str | None = None
    reason: str | None = None


class DiceExpectation(Record):
    """What Dice to expect of one structure without a label."""

    method: str
    cohort: str = Field(description="on what it was calibrated")
    calibrated_on: int = Field(description="patients")
    mean: Number | None = Field(description="expected Dice, 0 to 1")
    n: int = Field(description="new patients")
    half_width: Number | None = Field(description="of one patient's interval, in Dice")
    alpha: Number = Field(description="share of patients outside their interval")
    tau: Number = Field(description="Dice below which a result counts as failed")
    may_be_below_tau: int | None = Field(description="patients whose interval reaches below tau")
    exchangeable: bool | None = Field(description="whether the new images are like the old ones; null: not tested")
    warning: str | None
    reason: str | None


class PatientStructure(Record):
    """One structure of one new patient."""

    volume: Number = Field(description="ml; share of the field of view where spacing is not credible")
    confidence: Number = Field(description="soft Dice confidence, 0 to 1")
    interval: list[Number] | None = Field(description="[low, high]: where the Dice is to be expected")


class PatientCheck(Record):
    """One new patient."""

    patient: str
    structures: dict[str, PatientStructure]


class DriftCheck(Record):
    """drift.json: whether new, unlabelled data are still what a model was validated on."""

    FILE: ClassVar[str] = "drift.json"
    schema_: Literal["xmed-drift/1"] = Field(alias="schema", description="edition of this document")
    xmed: str = Field(description="version")
    created: str = Field(description="ISO 8601, UTC")
    model: CheckedModel
    input: CheckedInput
    reference: CheckedAgainst
    rule: AlarmRule
    verdict: Literal["alarm", "no_alarm", "undecided"]
    reason: str
    do: str = Field(description="what to do now")
    p: Number | None = Field(ge=0, le=1, description="of the test of images, all groups together")
    groups: list[GroupCheck]
    unreadable: Unreadable
    numbers: list[NumberShift]
    estimate: dict[str, DiceExpectation] = Field(description="structure -> expected Dice")
    patients: list[PatientCheck]
