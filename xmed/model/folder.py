"""A model folder: weights.safetensors and its card, model.json. Both are checked before they are used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from xmed.errors import XmedError
from xmed.files import documents
from xmed.files.digest import file_digest, folder_digest
from xmed.records.model_card import ModelCard
from xmed.records.record import parse

WEIGHTS, CARD = "weights.safetensors", ModelCard.FILE
CARD_LIMIT = 1 << 20
"""Largest size of model.json in bytes; xmed writes a few thousand."""
NOTHING_EXPECTED: Mapping[str, str] = MappingProxyType({})


def is_model(folder: Path) -> bool:
    """Return whether a folder looks like a model folder.

    Args:
        folder: The folder.

    Returns:
        Whether it has a model.json.
    """
    return (folder / CARD).is_file()


def read_card(folder: Path) -> ModelCard:
    """Read the card of a model folder. The weights are not looked at.

    Args:
        folder: The model folder.

    Returns:
        The card, with all values within bounds.

    Raises:
        XmedError: MODEL_INVALID where model.json is missing, too large, not JSON, or lacks what a model needs.
    """
    document = documents.read_json(folder / CARD, "MODEL_INVALID", CARD_LIMIT, "MODEL_INVALID")
    return parse(ModelCard, document, str(folder / CARD), "MODEL_INVALID")


def check_model(folder: Path, expected: Mapping[str, str] = NOTHING_EXPECTED) -> ModelCard:
    """Check that the weights match the checksum in model.json, and return its content.

    Args:
        folder: The model folder.
        expected: `weights_sha256`, and `model_sha256` of the whole folder, as far as they are recorded elsewhere.
            model.json alone says which structure a label value stands for and how long a voxel is.

    Returns:
        The content of model.json.

    Raises:
        XmedError: MODEL_INVALID where a file is missing, a link, or not JSON, or a checksum is missing or different.
    """
    for name in (WEIGHTS, CARD):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise XmedError("MODEL_INVALID", f"{folder}: no file {name}", f"{WEIGHTS} and {CARD}, no links")
    card, weights = read_card(folder), file_digest(folder / WEIGHTS)
    _require_same(folder / WEIGHTS, weights, card.weights_sha256)
    _require_same(folder / WEIGHTS, weights, expected.get("weights_sha256", card.weights_sha256))
    if "model_sha256" in expected:
        _require_same(folder, folder_digest(folder), expected["model_sha256"])
    return card


def _require_same(path: Path, checksum: str, expected: str) -> None:
    if checksum != expected:
        found_text, expected_text = f"{path} has sha256 {checksum[:12]}…", f"sha256 {expected[:12]}…"
        raise XmedError(
            "MODEL_INVALID", found_text, expected_text, "do not use it: it is not the model that was validated"
        )
