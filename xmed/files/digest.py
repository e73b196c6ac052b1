"""Digest: sha256 (hex) of documents, arrays, files and folders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np  # imported where arrays are digested: reading a spec should not load NumPy

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
