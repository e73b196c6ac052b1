"""Decathlon: reads a dataset.json of the Medical Segmentation Decathlon or of nnU-Net (v1, v2) as a dataset spec.

The folder of the file gives the dataset's name and root. Only the labelled images (`imagesTr`) are used. They are split
by patient into 60 % train, 15 % select and 25 % test with seed 0, because the format has no such partitions. For other
partitions, one of several channels, or regions, write a YAML spec.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from xmed.errors import XmedError
from xmed.files import documents
from xmed.spec.dataset import DatasetSpec
from xmed.spec.strict import validation_messages

SPLITS = {"fraction": {"train": 0.6, "select": 0.15, "test": 0.25}, "seed": 0}
_MODALITIES = {
    "MR": r"mri?|t[12]w?|t1ce|t1gd|t2\*|flair|adc|dwi|swi|pd|mp2?rage|bold|cine.*mri?",
    "CT": r"ct|cbct|cta",
    "PT": r"pet|pt|suv|fdg.*",
    "US": r"us|ultra-?sound",
}
"""DICOM modality → channel names that datasets use; the format itself prescribes only CT."""


def read_decathlon(path: Path) -> DatasetSpec:
    """Read a dataset.json as a dataset spec.

    Raises:
        XmedError: SPEC_NOT_FOUND, SPEC_INVALID.
    """
    document = documents.read_json(path, "SPEC_INVALID", documents.MAX_YAML, "SPEC_NOT_FOUND")
    channels = document.get("channel_names", document.get("modality")) if isinstance(document, dict) else None
    if not isinstance(channels, dict) or not isinstance(document.get("labels"), dict):
        raise _invalid(path, "names no channels or no labels", "channel_names (or modality) and labels")
    if len(channels) != 1:
        listed = ", ".join(f"{number}: {name}" for number, name in list(channels.items())[:9])
        raise _invalid(path, f"has {len(channels)} channels ({listed})", "one modality in one channel")
    with documents.guarded(str(path), "SPEC_INVALID", "a dataset.json of nnU-Net or the Decathlon"):
        documents.refuse_characters(document)
        described = _as_spec(document, str(next(iter(channels.values()))), path)
    try:
        return DatasetSpec.model_validate(described)
    except ValidationError as problem:
        what = "; ".join(validation_messages(problem, DatasetSpec, described))
        raise _invalid(path, what, "what a dataset has") from problem


def _as_spec(document: dict[str, Any], channel: str, path: Path) -> dict[str, Any]:
    """The content of a dataset spec for a dataset.json."""
    root = path.resolve().parent
    return {
        "name": _plain(root.name),
        "modality": _modality(channel, path),
        "licence": str(document.get("licence", document.get("license", ""))),
        "source": str(document.get("reference", "")),
        "root": str(root),
        "layout": _layout(document, root, path),
        "labels": _labels(document["labels"], path),
        "splits": SPLITS,
    }


def _modality(channel: str, path: Path) -> str:
    for modality, names in _MODALITIES.items():
        if re.fullmatch(names, channel.strip().lower()):
            return modality
    raise _invalid(path, f"calls its channel '{channel}'", "a name that tells its modality (CT, T1, PET, US ...)")


def _labels(labels: dict[str, Any], path: Path) -> dict[int, dict[str, str]]:
    """Value → structure, from name → value (nnU-Net v2) or value → name; value 0, background, is left out."""
    pairs = [(value, name) if not _is_label_value(name) else (name, value) for name, value in labels.items()]
    structures = {}
    for value, name in pairs:
        if not _is_label_value(value) or not isinstance(name, str) or name == "ignore":
            raise _invalid(
                path, f"has the label {name}: {value}", "one value for each structure, no regions, no ignore"
            )
        if int(value):
            structures[int(value)] = {"name": _plain(name)}
    if not structures:
        raise _invalid(path, "names no structure beside the background", "labels with a value of 1 or more")
    return structures


def _is_label_value(value: Any) -> bool:
    """Whether this is a label value: the format writes them as numbers, or as text where they are keys."""
    return isinstance(value, int | str) and re.fullmatch("[0-9]{1,9}", str(value)) is not None


def _layout(document: dict[str, Any], root: Path, path: Path) -> dict[str, str]:
    """Patterns for images and labels; nnU-Net adds the channel, _0000, to an image's name without listing it."""
    listed = document.get("training")
    if not listed and listed in (None, [], 0):  # nnU-Net v2 lists no files
        ending = document.get("file_ending", ".nii.gz")
        if not isinstance(ending, str) or not re.fullmatch(r"(\.[A-Za-z0-9]+)+", ending):
            raise _invalid(path, "has a file_ending that is none", "one such as .nii.gz")
        return {"image": f"imagesTr/{{case}}_0000{ending}", "label": f"labelsTr/{{case}}{ending}"}
    first = listed[0] if isinstance(listed, list) else None
    if not isinstance(first, dict) or not all(_below(first.get(key)) for key in ("image", "label")):
        raise _invalid(path, "pairs its files in a way of its own", 'training: [{"image": …, "label": …}], below it')
    image, label = (PurePosixPath(first[key]) for key in ("image", "label"))
    ending = "".join(PurePosixPath(label.name).suffixes[-2:]) if label.name.endswith(".gz") else label.suffix
    channel = "" if (root / image).exists() else "_0000"
    return {"image": f"{image.parent}/{{case}}{channel}{ending}", "label": f"{label.parent}/{{case}}{ending}"}


def _below(name: Any) -> bool:
    """Whether this is the name of a file below the dataset's folder, of a length that file systems allow (PATH_MAX)."""
    path = PurePosixPath(name) if isinstance(name, str) and 0 < len(name) < 4096 else None
    if path is None or path.is_absolute() or ".." in path.parts:
        return False
    return path.name != "" and all(len(part.encode()) < 256 for part in path.parts)


def _plain(name: str) -> str:
    """The name with characters that are not allowed in specs replaced."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "dataset"


def _invalid(path: Path, what: str, expected: str) -> XmedError:
    return XmedError("SPEC_INVALID", f"{path} {what}", expected, "write a YAML spec for it: see data_specs/")
