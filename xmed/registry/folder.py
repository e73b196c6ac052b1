"""Folder: a model on disk, weights.safetensors beside model.json, checked before anything of it is parsed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from xmed.errors import XmedError

WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"
LARGEST = 1 << 20
"""Bytes of model.json; xmed writes some thousand."""


def is_model(folder: Path) -> bool:
    """Whether a folder says of itself that it holds a model."""
    return (folder / DESCRIPTION).is_file()


def check_model(folder: Path, expected_sha256: str | None = None) -> dict[str, Any]:
    """What model.json says, once the weights match the checksum it names (and `expected_sha256`, when given).

    Raises XmedError MODEL_INVALID: a file is missing, a link, or not JSON; the checksum is missing or another one.
    """
    for name in (WEIGHTS, DESCRIPTION):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise XmedError("MODEL_INVALID", f"{folder}: no file {name}", f"{WEIGHTS} and {DESCRIPTION}, no links")
    if (size := (folder / DESCRIPTION).stat().st_size) > LARGEST:
        raise XmedError("MODEL_INVALID", f"{folder / DESCRIPTION} has {size} bytes", f"{LARGEST} at most")
    try:
        document = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise XmedError("MODEL_INVALID", f"{folder / DESCRIPTION}: {problem}", "a JSON document") from problem
    said = document.get("weights_sha256") if isinstance(document, dict) else None
    with (folder / WEIGHTS).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    for wanted in (said, expected_sha256 or said):
        if found != wanted:
            raise XmedError(
                "MODEL_INVALID",
                f"{folder / WEIGHTS} has sha256 {found[:12]}…",
                f"sha256 {str(wanted)[:12]}…",
                "do not use it: the weights are not the ones that were validated",
            )
    return dict(document)
