"""Evaluation: what was measured on the test cases: rows, conventions, disturbed volumes, DICOM objects."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from xmed.records.record import ListRecord, Number, Record


class CalibrationSums(Record):
    """Calibration of one structure of one case as sums, from which every calibration number is computed.

    See `xmed.metrics.calibration.Calibration`.
    """

    cells: list[list[Number]] = Field(description="[bin, voxels, sum of probabilities, voxels of the structure]")
    squared: Number = Field(description="sum of squared errors of the probabilities (Brier)")
    logarithmic: Number = Field(description="sum of negative log-likelihoods, natural logarithm")


class CaseRow(Record):
    """One arm, seed, case and structure, measured on the scanner's own grid. Null values come with a reason."""

    arm: str = Field(description="trained or trivial arm, or a method's name in a comparison")
    seed: int | None = Field(description="null for trivial arms, which have none")
    case: str = Field(description="case id")
    patient: str = Field(description="patient id")
    structure: str = Field(description="name of the structure")
    dice: Number | None = Field(description="Dice, 0 to 1")
    nsd: Number | None = Field(description="normalised surface Dice at the study's tolerance, 0 to 1")
    hd95_mm: Number | None = Field(description="95th percentile of surface distances, mm")
    hd_mm: Number | None = Field(description="largest surface distance, mm")
    assd_mm: Number | None = Field(description="average symmetric surface distance, mm")
    volume_ml: Number | None = Field(description="predicted volume, ml")
    reference_volume_ml: Number | None = Field(description="volume of the reference, ml")
    components: int = Field(description="connected pieces of the prediction")
    reason: str | None = Field(None, description="why a number is null, or why there is no prediction")
    status: Literal["ok", "empty_prediction", "missing", "error"] = Field(description="whether there is a prediction")
    centre_off_mm: Number | None = Field(None, description="distance between the centres of mass, mm")
    centre_inside: bool | None = Field(None, description="whether the centre lies in the reference's bounding box")
    largest_share: Number | None = Field(None, description="of the predicted voxels in their largest piece, 0 to 1")
    reference_empty: bool | None = Field(None, description="whether the reference lacks the structure")
    voxels: int | None = Field(None, description="predicted voxels; version 0.1.0 lacks them")
    reference_voxels: int | None = Field(None, description="voxels of the reference; version 0.1.0 lacks them")
    reference_sha256: str | None = Field(None, description="sha256 (hex) of the reference's label map")
    prediction_sha256: str | None = Field(None, description="sha256 (hex) of the predicted label map; trained arms")
    confidence: Number | None = Field(None, description="soft Dice confidence, 0 to 1 (arXiv 2402.10665); adapted arm")
    calibration: CalibrationSums | None = Field(None, description="of the adapted arm")
    rule: str | None = Field(None, description="the rule of a trivial arm, in words")


class CaseRows(ListRecord[list[CaseRow]]):
    """rows.json: every arm, seed, test case and structure."""

    FILE: ClassVar[str] = "rows.json"


class JudgedArm(Record):
    """judged.json beside an arm's model: its rows, kept so that they are measured once."""

    FILE: ClassVar[str] = "judged.json"
    of: str = Field(description="sha256 (hex) of model, data, conventions and code: with others it is measured anew")
    rows: list[CaseRow] = Field(description="as in rows.json")


class MetricConventions(Record):
    """metrics.json: how the numbers of rows.json were measured."""

    FILE: ClassVar[str] = "metrics.json"
    conventions: dict[str, JsonValue] = Field(default={}, description="topic -> convention, in words")
    nsd_tolerance_mm: Number | None = Field(None, description="tolerance of the normalised surface Dice, mm")
    spacing_credible: bool = Field(True, description="whether headers give true voxel sizes")


class ImageDescription(Record):
    """Grey values of one image, as read, over the voxels in the field of view."""

    mean: Number
    sd: Number = Field(description="standard deviation")
    p05: Number | None = Field(None, description="5th percentile")
    p50: Number | None = Field(None, description="median")
    p95: Number | None = Field(None, description="95th percentile")
    in_view: Number | None = Field(None, description="share of the image in the field of view, 0 to 1")


class TestImages(ListRecord[dict[str, ImageDescription]]):
    """reference.json: test case -> what its image looks like."""

    __test__ = False  # no test class, whatever pytest takes the name for
    FILE: ClassVar[str] = "reference.json"


class DisturbanceKind(Record):
    """One way in which test volumes are disturbed."""

    text: str = Field(description="what it is, in words")
    levels: list[str] = Field(description="its three levels, with their unit")


class DisturbedScore(Record):
    """Dice of the adapted model on one disturbed test volume."""

    disturbance: str = Field(description="kind, or none")
    severity: int = Field(description="1 to 3; 0 for the volume as it is")
    case: str
    structure: str
    dice: Number | None = Field(description="Dice, 0 to 1; null where both masks are empty")


class Robustness(Record):
    """robustness.json: the adapted model of one seed on disturbed test volumes."""

    FILE: ClassVar[str] = "robustness.json"
    of: str = Field(description="sha256 (hex) of model, data, levels and code: with others it is measured anew")
    seed: int
    cases: list[str] = Field(description="the disturbed test cases")
    disturbances: dict[str, DisturbanceKind]
    rows: list[DisturbedScore]


class CaseObjects(Record):
    """DICOM objects of one test case."""

    case: str
    reason: str | None = Field(description="why there are none: code and sentence")
    seg: str | None = Field(None, description="sha256 (hex) of objects/CASE.seg.dcm (Segmentation)")
    sr: str | None = Field(None, description="sha256 (hex) of objects/CASE.sr.dcm (Structured Report, TID 1500)")


class DicomObjects(Record):
    """objects.json: what the adapted model drew and measured, as DICOM that names nobody."""

    FILE: ClassVar[str] = "objects.json"
    of: str = Field(description="sha256 (hex) of model, data and code: with others they are written anew")
    seed: int
    cases: list[CaseObjects]
