"""Spec: the YAML files that say what exists (datasets) and what to do with it (studies)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from xmed.errors import XmedError
from xmed.labels import LabelTable, Structure

Split = Literal["train", "select", "test"]
SPLITS: tuple[Split, ...] = ("train", "select", "test")
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StructureSpec(_Strict):
    """One labelled structure; SNOMED-CT codes are needed only to write DICOM SEG."""

    name: Name
    category: str | None = Field(None, description="SNOMED-CT category code, DICOM PS3.16 CID 7150")
    type: str | None = Field(None, description="SNOMED-CT type code, DICOM PS3.16 CID 7151 and kin")


class Layout(_Strict):
    """How files pair up below `root`: {case} is the case id, {patient} the patient when it differs."""

    image: str | None = Field(None, description="a NIfTI, a folder or glob of DICOM, or a picture; {case}, {patient}")
    label: str | None = Field(None, description="NIfTI, DICOM SEG or RTSTRUCT; {case}, {patient}")
    label_channel: int | None = Field(None, ge=0, description="which channel of a 4-D label file holds the labels")
    roi: str | None = Field(None, description="RTSTRUCT ROI name, when it differs from the structure's")
    label_outline: bool = Field(False, description="label pictures show outlines: what they enclose is filled")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.image is None and self.label is None:
            raise ValueError("a layout needs an image, a label, or both")
        return self


class Splits(_Strict):
    """Patients of each partition, disjoint."""

    train: list[str] = []
    select: list[str] = []
    test: list[str] = []

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        everyone = [*self.train, *self.select, *self.test]
        twice = sorted({patient for patient in everyone if everyone.count(patient) > 1})
        if twice:
            raise ValueError(f"patients in two partitions: {', '.join(twice)}")
        return self


class FractionSplits(_Strict):
    """Shares of the patients, drawn with a seed."""

    fraction: dict[Split, PositiveFloat]
    seed: int = 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(sum(self.fraction.values()) - 1.0) > 1e-6:
            raise ValueError(f"fractions add up to {sum(self.fraction.values()):g}, not 1")
        return self


class PhantomSpec(_Strict):
    """A dataset that xmed's own phantom scanner writes below `root` when it is not there yet."""

    modality: Literal["MR", "US"]
    patients: PositiveInt
    seed: int = 0


class MapsSpec(_Strict):
    """A dataset of label maps that a scene of xmed's own writes below `root` when it is not there yet."""

    scene: Name = Field(description="a file of appearance/scenes with a function `anatomy`")
    patients: PositiveInt
    seed: int = 0


class FileSpec(_Strict):
    """One file to fetch."""

    url: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DatasetSpec(_Strict):
    """WHAT exists: one dataset of one modality."""

    name: Name
    modality: Annotated[str, Field(pattern=r"^[A-Z]{2,4}$", description="DICOM modality: MR CT PT US ...")]
    licence: str = ""
    source: str = Field("", description="where the data comes from")
    files: list[FileSpec] = []
    root: str = Field(description="folder of the data; environment variables are expanded")
    layout: Layout
    labels: dict[PositiveInt, StructureSpec]
    splits: Splits | FractionSplits
    window: tuple[float, float] | None = Field(None, description="intensities are clipped to this before anything else")
    spacing_credible: bool = Field(True, description="false: header spacing is known to be wrong; no metric in mm")
    phantom: PhantomSpec | None = None
    maps: MapsSpec | None = None
    scene: Name | None = Field(
        None, description="what draws pictures from these label maps: a file of appearance/scenes"
    )

    @property
    def made(self) -> PhantomSpec | MapsSpec | None:
        """What xmed writes itself when it is not there."""
        return self.phantom or self.maps

    @property
    def label_table(self) -> LabelTable:
        return LabelTable(tuple(Structure(v, s.name, s.category, s.type) for v, s in sorted(self.labels.items())))

    def folder(self, data_root: Path | None = None) -> Path:
        """`root` with environment variables expanded, or `data_root` in its place.

        Raises XmedError PATH_NOT_FOUND when a variable is not set (not when the folder is missing).
        """
        if data_root is not None:
            return Path(data_root)
        expanded = os.path.expandvars(self.root)
        unset = re.findall(r"\$\{?(\w+)\}?", expanded)
        if unset:
            raise XmedError(
                "PATH_NOT_FOUND",
                f"dataset {self.name}: environment variable {unset[0]} is not set",
                f"root {self.root}",
                f"export {unset[0]}=… or pass --data-root",
            )
        return Path(expanded)


class GridSpec(_Strict):
    """The net's grid: voxel spacing, patch, and how many neighbouring slices a 2-D net sees on each side.

    Pictures have no scale: `fit` lays each one's field of view on that many voxels instead, whatever its size.
    """

    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = Field(
        None, description="voxel edges along i, j, k; beside `fit`, those of the label maps that a scene draws from"
    )
    fit: tuple[PositiveInt, PositiveInt, PositiveInt] | None = Field(
        None, description="voxels along i, j, k onto which the box of every field of view is resampled"
    )
    patch: tuple[PositiveInt, PositiveInt, PositiveInt]
    context: Annotated[int, Field(ge=0, le=8)] = 0

    @property
    def spatial_dims(self) -> Literal[2, 3]:
        """2 where the patch is one voxel thick along k, else 3."""
        return 2 if self.patch[2] == 1 else 3

    @property
    def channels(self) -> int:
        """Input channels of the net: the slice itself and its neighbours (2.5-D)."""
        return 1 + 2 * self.context

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.spacing_mm is None and self.fit is None:
            raise ValueError("a grid needs spacing_mm, or fit for pictures without a scale")
        if 1 in self.patch[:2]:
            raise ValueError("a patch may be one voxel thick along its last axis only")
        if self.context and self.spatial_dims == 3:
            raise ValueError("context (neighbouring slices) goes with a patch that is one voxel thick")
        return self


class NetworkSpec(_Strict):
    """A network by name, with its feature widths."""

    name: str = "unet"
    channels: Annotated[list[PositiveInt], Field(min_length=3)] = [16, 32, 64, 96]
    input: Literal["intensity", "mind"] = Field("intensity", description="mind: the net sees self-similarity instead")
    members: PositiveInt = Field(1, description="networks whose probabilities are averaged")


class MethodSpec(BaseModel):
    """A method by name; every other key is one of its hyper-parameters."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: Name

    @property
    def hyperparameters(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Budget(_Strict):
    """How long one training may take."""

    steps: PositiveInt = 600
    batch: PositiveInt = 12
    learning_rate: PositiveFloat = 2e-3


class TaskSpec(_Strict):
    """How probabilities become a label map; the same for every arm of the study."""

    name: Literal["segmentation"] = "segmentation"
    largest_component: bool = Field(False, description="keep one connected piece of each structure: single organs only")


class Primary(_Strict):
    """The one number the study is about."""

    metric: Literal["dice", "nsd"] = "dice"
    structure: str


class Accept(_Strict):
    """What the adapted model must reach to pass."""

    gap_closed: float | None = None
    dice: float | None = None
    gain_over_trivial: float | None = None
    not_below_source_only: bool = True


class Protocol(_Strict):
    """Fixed and hashed before the test labels are read."""

    primary: Primary
    accept: Accept = Accept()
    nsd_tolerance_mm: PositiveFloat | None = Field(
        None, description="NSD tolerance; default: the largest native spacing"
    )


class Study(_Strict):
    """WHAT to do: one labelled source, one unlabelled target, one method."""

    name: Name
    source: str
    target: str
    structures: Annotated[list[str], Field(min_length=1)]
    grid: GridSpec
    network: NetworkSpec = NetworkSpec()
    task: TaskSpec = TaskSpec()
    method: MethodSpec
    budget: Budget = Budget()
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    protocol: Protocol
    register_as: Name

    @model_validator(mode="after")
    def _primary(self) -> Self:
        if self.protocol.primary.structure not in self.structures:
            raise ValueError(f"protocol.primary.structure is not one of structures: {', '.join(self.structures)}")
        return self


Spec = TypeVar("Spec", DatasetSpec, Study)


def spec_folders() -> list[Path]:
    """Where specs are looked for by name: ./data_specs, then the checkout's, then the installed package's own."""
    package = Path(__file__).resolve().parent
    return [Path("data_specs"), package.parent / "data_specs", package / "data_specs"]


def load_dataset(name_or_path: str | Path) -> DatasetSpec:
    """A dataset spec by name or by path. Raises XmedError SPEC_NOT_FOUND, SPEC_INVALID (every problem at once)."""
    return _load(DatasetSpec, _find(str(name_or_path), "", "dataset"))


def load_study(name_or_path: str | Path) -> Study:
    """A study by name or by path. Raises XmedError SPEC_NOT_FOUND, SPEC_INVALID (every problem at once)."""
    return _load(Study, _find(str(name_or_path), "studies", "study"))


def names(kind: Literal["dataset", "study"]) -> list[str]:
    """Every dataset or study that can be named."""
    below = "studies" if kind == "study" else ""
    return sorted({path.stem for folder in spec_folders() for path in (folder / below).glob("*.yaml")})


def _find(name_or_path: str, below: str, kind: Literal["dataset", "study"]) -> Path:
    if name_or_path.endswith((".yaml", ".yml")):
        candidates = [Path(name_or_path)]
    else:
        candidates = [folder / below / f"{name_or_path}.yaml" for folder in spec_folders()]
    for path in candidates:
        if path.is_file():
            return path
    known = ", ".join(names(kind)) or "none"
    raise XmedError("SPEC_NOT_FOUND", f"no {kind} '{name_or_path}'", f"a path to a YAML file, or one of: {known}")


def _load(model: type[Spec], path: Path) -> Spec:
    # ruamel reads YAML 1.2: 1e-3 is a number, `no` is a string, a key given twice is an error. PyYAML does none of it.
    try:
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as problem:
        raise XmedError("SPEC_INVALID", f"{path}: {problem}", "a YAML document") from problem
    if not isinstance(document, dict):
        raise XmedError("SPEC_INVALID", f"{path}: a {type(document).__name__}", "a mapping of keys to values")
    try:
        spec = model.model_validate(document)
    except ValidationError as problem:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}" for e in problem.errors()]
        raise XmedError(
            "SPEC_INVALID", f"{path}: " + "; ".join(lines), f"the schema that `xmed schema {model.__name__}` prints"
        ) from problem
    if spec.name != path.stem:
        raise XmedError("SPEC_INVALID", f"{path}: name: '{spec.name}'", f"the file's own name, '{path.stem}'")
    return spec
