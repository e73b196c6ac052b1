"""Check a model folder (weights.safetensors and model.json) before anything in it is parsed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import file_digest, folder_digest

WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"
NOTHING: Mapping[str, str] = MappingProxyType({})
LARGEST = 1 << 20
"""Largest size of model.json in bytes; xmed writes some thousand."""


def is_model(folder: Path) -> bool:
    """Return whether a folder looks like a model folder."""
    return (folder / DESCRIPTION).is_file()


def check_model(folder: Path, expected: Mapping[str, str] = NOTHING) -> dict[str, Any]:
    """Return the content of model.json after the weights match the checksum that it names.

    Args:
        folder: The model folder.
        expected: `weights_sha256`, and `model_sha256` of the whole folder, as far as they are recorded elsewhere.
            model.json alone says which structure a label value stands for and how long a voxel is.

    Raises:
        XmedError: MODEL_INVALID where a file is missing, a link, or not JSON, or a checksum is missing or different.
    """
    for name in (WEIGHTS, DESCRIPTION):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise XmedError("MODEL_INVALID", f"{folder}: no file {name}", f"{WEIGHTS} and {DESCRIPTION}, no links")
    value = documents.read_json(folder / DESCRIPTION, "MODEL_INVALID", LARGEST, "MODEL_INVALID")
    document: dict[str, Any] = documents.mapping(value, str(folder / DESCRIPTION), "MODEL_INVALID")
    said = document.get("weights_sha256")
    weights = file_digest(folder / WEIGHTS)
    _same(folder / WEIGHTS, weights, said)
    _same(folder / WEIGHTS, weights, expected.get("weights_sha256", said))
    if "model_sha256" in expected:
        _same(folder, folder_digest(folder), expected["model_sha256"])
    return dict(document)


def _same(path: Path, found: str, expected: str | None) -> None:
    if found != expected:
        what, wanted = f"{path} has sha256 {found[:12]}…", f"sha256 {str(expected)[:12]}…"
        raise XmedError("MODEL_INVALID", what, wanted, "do not use it: it is not the model that was validated")
