"""Digest: sha256 (hex) of documents, arrays, files and folders; a sealed document contains its own.

A seal protects against disk errors, editors and scripts, not against fraud: whoever can write a document can seal it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np  # imported where arrays are digested: reading a spec should not load NumPy
    from pydantic import JsonValue


LEFT_BEHIND = ("__pycache__", "registered_model_meta")
"""Names that running a package, or fetching it from MLflow, adds to its folder."""


def digest(document: Any) -> str:
    """Hash a JSON document in canonical form: sorted keys, no spaces.

    Args:
        document: The document as plain JSON values.

    Returns:
        sha256 (hex).

    Raises:
        ValueError: For NaN or infinite numbers.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def array_digest(array: np.ndarray) -> str:
    """Hash an array's type, shape and values in C order.

    Args:
        array: The array, of any shape.

    Returns:
        sha256 (hex).
    """
    import numpy as np

    total = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """Hash a file's bytes.

    Args:
        path: The file.

    Returns:
        sha256 (hex).
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Hash the names and bytes of all files below a folder, without `LEFT_BEHIND`.

    Args:
        folder: The folder.

    Returns:
        sha256 (hex).
    """
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    names = sorted(name for name in files if not set(name.parts) & set(LEFT_BEHIND))
    return digest([[name.as_posix(), file_digest(files[name])] for name in names])


def seal_document(document: Mapping[str, JsonValue], about: str) -> dict[str, JsonValue]:
    """Add the `seal` to a document.

    Args:
        document: The document.
        about: What it belongs to, so that it cannot be exchanged with the document of something else.

    Returns:
        The document with its seal.
    """
    return {**document, "seal": _seal(document, about)}


def is_intact(document: Mapping[str, JsonValue], about: str) -> bool:
    """Check whether a sealed document is unchanged.

    Args:
        document: The document with its seal.
        about: What it belongs to, as it was sealed.

    Returns:
        Whether the seal fits.

    Raises:
        KeyError: For a document without a seal.
    """
    return bool(document["seal"] == _seal({key: value for key, value in document.items() if key != "seal"}, about))


def _seal(document: Mapping[str, JsonValue], about: str) -> str:
    return digest(
        [about, json.loads(json.dumps(dict(document), allow_nan=False))]
    )  # as it will be read: keys become text
