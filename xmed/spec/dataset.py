"""Dataset: the files of one modality, how images and labels pair up, what labels mean, and the partitions."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from xmed.errors import XmedError
from xmed.labels import LabelTable, Structure
from xmed.spec.archive_query import PacsSpec
from xmed.spec.strict import NAME, Count, Finite, Name, Seed, Strict

Split = Literal["train", "select", "test"]
SPLITS: tuple[Split, ...] = ("train", "select", "test")

MOST_CHANNELS = 32767
"""NIfTI stores the length of an axis as a 16-bit signed integer."""
BIDS_SUFFIX = {"MR": "T1w", "PT": "pet"}
"""Modality → suffix of the images of `layout: bids`; for other modalities the suffix is the modality's name."""


class StructureSpec(Strict):
    """One labelled structure; SNOMED-CT codes are needed only to write DICOM SEG."""

    name: Name
    category: str | None = Field(None, description="SNOMED-CT category code, DICOM PS3.16 CID 7150")
    type: str | None = Field(None, description="SNOMED-CT type code, DICOM PS3.16 CID 7151 and kin")


class Layout(Strict):
    """How files pair up below `root`: {case} is the case id, {patient} the patient id when it differs.

    `layout: bids` is short for {bids: T1w}, {bids: pet} and so on, depending on the modality. It stands for patterns of
    the Brain Imaging Data Structure 1.10: raw images, and discrete segmentations among the derivatives.
    """

    bids: Name | None = Field(None, description="suffix of the images of a BIDS dataset: T1w, T2w, FLAIR, pet ...")
    image: str | None = Field(None, description="a NIfTI, a folder or glob of DICOM, or a picture; {case}, {patient}")
    label: str | None = Field(None, description="NIfTI, DICOM SEG or RTSTRUCT; {case}, {patient}")
    image_channel: int | None = Field(
        None, ge=0, le=MOST_CHANNELS, description="which volume of a 4-D image: time point, b-value, echo"
    )
    label_channel: int | None = Field(
        None, ge=0, le=MOST_CHANNELS, description="which channel of a 4-D label file holds the labels"
    )
    roi: str | None = Field(None, description="RTSTRUCT ROI name, when it differs from the structure's")
    label_empty: bool = Field(False, description="a label map without any structure is an answer, not a mistake")
    label_outline: bool = Field(False, description="label pictures show outlines: what they enclose is filled")

    @model_validator(mode="before")
    @classmethod
    def _bids(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not data.get("bids"):
            return data
        image = f"sub-{{patient}}/**/{{case}}_{data['bids']}.nii*"
        return {"image": image, "label": "derivatives/**/sub-{patient}/**/{case}_*dseg.nii*", **data}

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.image and not self.label:
            raise ValueError("a layout needs an image, a label, or both")
        return self


class Splits(Strict):
    """Patients of each partition, disjoint."""

    train: list[str] = Field([])
    select: list[str] = Field([])
    test: list[str] = Field([])

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        counted = Counter([*self.train, *self.select, *self.test])
        twice = sorted(patient for patient, times in counted.items() if times > 1)
        if twice:
            raise ValueError(f"patients in two partitions: {', '.join(twice)}")
        return self


class FractionSplits(Strict):
    """Shares of the patients, drawn with a seed."""

    fraction: dict[Split, Annotated[float, Field(gt=0, le=1)]]
    seed: Seed = 0

    @model_validator(mode="after")
    def _sum_is_one(self) -> Self:
        if abs(sum(self.fraction.values()) - 1.0) > 1e-6:
            raise ValueError(f"fractions add up to {sum(self.fraction.values()):g}, not 1")
        return self


def _which(given: Any) -> str:
    """Which type of splits a spec contains, so that messages are about that type only."""
    drawn = "fraction" in given if isinstance(given, dict) else isinstance(given, FractionSplits)
    return "fractions" if drawn else "splits"


Extent = Literal["organs", "pelvis"]
"""What an image of the phantom shows."""


class PhantomSpec(Strict):
    """A dataset that xmed's own phantom writes into `root` when it does not exist yet."""

    modality: Literal["MR", "US", "CT"]
    patients: Count
    seed: Seed = 0
    people: Seed | None = Field(
        None,
        description="datasets with the same number here scan the same people, one id for each; by default every "
        "dataset has people of its own",
    )
    extent: Extent = Field(
        "organs", description="of MR and CT: slices around the organs, or the whole pelvis in 256 x 256 x 160 voxels"
    )
    distractors: bool = Field(
        False, description="whether people have cysts and masses that look like the organs and are not labelled"
    )


class MapsSpec(Strict):
    """A dataset of label maps that a scene writes into `root` when it does not exist yet."""

    scene: Name = Field(description="a file of rendering/scenes with a function `anatomy`")
    patients: Count
    seed: Seed = 0


class FileSpec(Strict):
    """One file to fetch into `root` and to check before it is read; archives (.zip, .tar.gz ...) are unpacked."""

    url: Annotated[str, Field(pattern=r"^https://[^/\s]+/\S+$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    to: Name | None = Field(None, description="its name below `root`; by default the last part of the URL")

    @property
    def name(self) -> str:
        """The name of the file below `root`."""
        return self.to or Path(unquote(urlsplit(self.url).path)).name

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not re.fullmatch(NAME, self.name):
            raise ValueError(f"the URL gives the file the name '{self.name}': give it another one with `to`")
        return self


def _inside(given: Any) -> Any:
    if given != "inside":
        described = "nothing" if given is None else "a mapping" if isinstance(given, dict) else repr(given)[:60]
        raise ValueError(f"{described} stands there, expected is inside, or a list of folders such as [/archive/ct]")
    return given


def _link_folder(text: str) -> str:
    """Check a folder that links may lead into, as it is written in a spec; ValueError for an invalid one."""
    if not text.startswith(("/", "~", "$")):
        raise ValueError(f"'{text[:60]}' is no absolute folder: begin with /, ~ or ${{VARIABLE}}")
    if ".." in text.split("/"):
        raise ValueError(f"'{text[:60]}' goes up again with ..: name the folder itself")
    if not text.strip("/."):
        raise ValueError(f"'{text[:60]}' would permit every file of the machine: name the folder of the data")
    return text


LinkFolders = list[Annotated[str, AfterValidator(_link_folder)]]


def _which_links(given: Any) -> str:
    return "folders" if isinstance(given, list | tuple) else "inside"


class DatasetSpec(Strict):
    """One dataset of one modality."""

    name: Name
    modality: Annotated[str, Field(pattern=r"^[A-Z]{2,4}$", description="DICOM modality: MR CT PT US ...")]
    licence: str = ""
    source: str = Field("", description="where the data comes from")
    files: list[FileSpec] = Field([])
    root: str = Field(description="folder of the data; environment variables are expanded")
    links: Annotated[
        Annotated[Literal["inside"], BeforeValidator(_inside), Tag("inside")] | Annotated[LinkFolders, Tag("folders")],
        Discriminator(_which_links),
        Field(
            description="where symbolic links below `root` may lead: inside (of root; from within a DICOM folder, of "
            "that folder), or also into the absolute folders of a list; environment variables and ~ are expanded"
        ),
    ] = "inside"
    layout: Layout
    labels: dict[Annotated[int, Field(ge=1, lt=2**31)], StructureSpec]
    splits: Annotated[
        Annotated[Splits, Tag("splits")] | Annotated[FractionSplits, Tag("fractions")], Discriminator(_which)
    ]
    window: tuple[Finite, Finite] | None = Field(
        None, description="intensities are clipped to this before anything else"
    )
    spacing_credible: bool = Field(True, description="false: header spacing is known to be wrong; no metric in mm")
    phantom: PhantomSpec | None = None
    maps: MapsSpec | None = None
    pacs: PacsSpec | None = Field(None, description="fetch the files from a picture archive to below `root`")
    pseudonyms: bool | None = Field(
        None, description="case and patient ids become keyed pseudonyms; by default where splits are drawn, not named"
    )
    scene: Name | None = Field(
        None, description="what draws pictures from these label maps: a file of rendering/scenes"
    )

    @model_validator(mode="before")
    @classmethod
    def _bids(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("layout") != "bids":
            return data
        modality = str(data.get("modality"))
        return {**data, "layout": {"bids": BIDS_SUFFIX.get(modality, modality.lower())}}

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.window and not self.window[0] < self.window[1]:
            raise ValueError(f"window: {self.window[0]:g} is not below {self.window[1]:g}")
        return self

    @model_validator(mode="after")
    def _hidden(self) -> Self:
        if self.pseudonyms and isinstance(self.splits, Splits):
            raise ValueError("splits that name patients cannot hide them: without `pseudonyms`, or with fractions")
        return self

    @property
    def made(self) -> PhantomSpec | MapsSpec | None:
        """The data that xmed generates when they do not exist, or None."""
        return self.phantom or self.maps

    @property
    def label_table(self) -> LabelTable:
        """The label table of `labels`."""
        return LabelTable(tuple(Structure(v, s.name, s.category, s.type) for v, s in sorted(self.labels.items())))

    def folder(self, data_root: Path | None = None) -> Path:
        """Find the folder of the data.

        Args:
            data_root: A folder in place of the spec's `root`.

        Returns:
            The folder: `data_root` if given, else `root` with environment variables and `~` expanded.

        Raises:
            XmedError: PATH_NOT_FOUND when a variable is not set; whether the folder exists is not checked.
        """
        if data_root is not None:
            return Path(os.path.expanduser(data_root))
        return self._expanded("root", self.root, " or pass --data-root")

    def link_folders(self) -> tuple[Path, ...]:
        """Find the folders that links may lead to: `links` of the spec.

        Returns:
            The folders, expanded and resolved; empty where links must stay inside the root.

        Raises:
            XmedError: PATH_NOT_FOUND for a folder that does not exist, or whose environment variable is not set.
        """
        folders = []
        for text in () if self.links == "inside" else self.links:
            folder = os.path.realpath(path := self._expanded("links", text))
            if not os.path.isdir(folder) or not path.is_absolute() or folder == "/":
                what = f"dataset {self.name}: links names {text}, which is " + ("/" if folder == "/" else "no folder")
                do = "mount it, or take it out of `links`"
                raise XmedError("PATH_NOT_FOUND", what, "an absolute folder that links may lead into", do)
            folders.append(Path(folder))
        return tuple(folders)

    def _expanded(self, key: str, text: str, instead: str = "") -> Path:
        """A path of the spec, with environment variables and `~` expanded."""
        expanded = os.path.expanduser(os.path.expandvars(text))
        unset = re.findall(r"\$\{?(\w+)\}?", expanded)
        if unset:
            what = f"dataset {self.name}: environment variable {unset[0]} is not set"
            raise XmedError("PATH_NOT_FOUND", what, f"{key} {text}", f"export {unset[0]}=…{instead}")
        return Path(expanded)
