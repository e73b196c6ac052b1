"""Stored entry: the files of one entry of the store: image.npy, fov.npy and meta.json."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from xmed.errors import XmedError
from xmed.files.digest import is_intact, seal_document
from xmed.io.notes import Note
from xmed.records.stored_volume import StoredVolume
from xmed.volume import Grid, Volume


def narrowest_type(array: np.ndarray) -> np.ndarray:
    """Convert values to the narrowest type that holds them.

    Args:
        array: Values (i, j, k).

    Returns:
        The same values as int8, int16, int32, uint8, uint16 or float32, in Fortran order (i varies fastest), as
        scanners write them, so that they are written without a copy.
    """
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    elif array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.dtype.itemsize == 8 or array.dtype == np.uint32:
        fits = array.size == 0 or (array.min() >= -(2**31) and array.max() < 2**31)
        array = array.astype(np.int32 if fits else np.float32)
    return np.asfortranarray(array, dtype=array.dtype.newbyteorder("="))


def voxel_digest(volume: Volume) -> str:
    """Digest the voxels of a volume, whatever file they came from.

    Args:
        volume: The volume.

    Returns:
        sha256 (hex) of voxel type, shape, values (i varies fastest) and field of view.
    """
    head = f"{volume.array.dtype.str} {volume.array.shape} ".encode()
    total = hashlib.sha256(head)
    total.update(np.ascontiguousarray(volume.array.T).data)
    if volume.fov is not None:
        total.update(np.packbits(volume.fov).data)
    return total.hexdigest()


def open_entry(folder: Path, meta: StoredVolume) -> Volume:
    """Open the volume in an entry's files.

    Args:
        folder: Folder of the entry.
        meta: Its document.

    Returns:
        The volume, memory-mapped. Damaged files make this raise whatever NumPy or Volume raise.
    """
    array, fov = _array(folder / "image.npy"), None
    if list(array.shape) != meta.shape:
        raise ValueError("another shape")
    if meta.fov:
        bits = np.unpackbits(_array(folder / "fov.npy"), count=array.size)
        fov = bits.reshape(array.shape).astype(bool)
    return Volume(array, np.array(meta.affine), meta.frame, meta.modality, fov)


def _array(path: Path) -> np.ndarray:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError("no ordinary file")  # reading a named pipe would block
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: allocates no more than the file
    return array


def is_entry_document(document: Any, key: str) -> bool:
    """Tell whether a document is what `write_entry` wrote for this key.

    A document of version 0.1.0 has no seal; there the voxel edges must agree with the affine.

    Args:
        document: What meta.json holds.
        key: Key of the entry.

    Returns:
        Whether it is unchanged.
    """
    if not isinstance(document, dict):
        return False
    try:
        if "seal" in document:
            return is_intact(document, key)
        edges = Grid(tuple(document["shape"]), np.array(document["affine"]), document["frame"]).spacing
        complete = {"modality", "fov", "sha256"} <= document.keys() and np.shape(document["spacing_mm"]) == (3,)
        return complete and bool(np.allclose(edges, document["spacing_mm"], rtol=1e-6, atol=0))
    except (KeyError, TypeError, ValueError, XmedError):
        return False


def write_entry(folder: Path, key: str, volume: Volume, notes: Sequence[Note], facts: Mapping[str, str]) -> None:
    """Write the files of an entry; their bytes are on the disk when this returns.

    Args:
        folder: A new folder.
        key: Key of the entry.
        volume: The volume.
        notes: What its reader corrected.
        facts: Header metadata.
    """
    arrays = {"image.npy": volume.array}
    if volume.fov is not None:
        arrays["fov.npy"] = np.packbits(volume.fov)
    for name, array in arrays.items():
        with (folder / name).open("xb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):  # a thousand series would displace other cached files
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    # Of a DICOM header only what `read_header_metadata` selects is stored, with keyed UIDs: nothing else can leak.
    meta = {
        "shape": list(volume.array.shape),
        "spacing_mm": list(volume.spacing),
        "affine": volume.affine.tolist(),
        "frame": volume.frame,
        "modality": volume.modality,
        "fov": volume.fov is not None,
        "sha256": voxel_digest(volume),
        "notes": [asdict(note) for note in notes],
        "facts": dict(facts),
    }
    with (folder / "meta.json").open("x", encoding="utf-8") as text:
        json.dump(seal_document(meta, key), text, allow_nan=False)
        text.flush()
        os.fsync(text.fileno())
