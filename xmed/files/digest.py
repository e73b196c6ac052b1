"""Digest: sha256 (hex) of documents, arrays, files and folders, by which a change is seen."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np  # only for arrays, which whoever reads a spec has none of

LEFT_BEHIND = ("__pycache__", "registered_model_meta")
"""What running a package, or fetching it from MLflow, leaves in it."""


def digest(document: Any) -> str:
    """Of a JSON document in its canonical form: sorted keys, no spaces, no NaN."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def array_digest(array: np.ndarray) -> str:
    """Of an array's type, shape and values: the same for the same label map, however it is packed."""
    import numpy as np

    total = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Of the names and bytes of all files below a folder."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    kept = sorted(name for name in files if not set(name.parts) & set(LEFT_BEHIND))
    return digest([[name.as_posix(), file_digest(files[name])] for name in kept])
