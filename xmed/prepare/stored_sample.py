"""Stored sample: a sample whose arrays lie on the disk in compressed chunks, so that a patch is read without the rest.

<folder>/  sample.json   image.b2nd  fov.b2nd  [label.b2nd]  [foreground-<value>.b2nd]

Arrays are in the format of Blosc2 (blosc.org), as nnU-Net stores them. A folder is complete or absent.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import torch
from torch import Tensor

from xmed.files.atomic import write_atomically
from xmed.files.digest import file_digest
from xmed.prepare.sample import Layer, Sample
from xmed.volume import Grid

DOCUMENT = "sample.json"
FORMAT = 1
"""Changes when folders of before can no longer be read."""
CHUNK, BLOCK = (64, 64, 64), (16, 16, 32)
"""Voxels of a chunk and of the blocks in it. A crop of 120³ was read in 7 to 11 ms, 3 ms when it lay in memory; a whole
volume of 256×256×200 in 0.1 s (one thread)."""
CODEC = blosc2.Codec.LZ4
"""Three times as fast to write as Zstandard at level 3, which saves 12 % of the size of an image."""
OPEN_ARRAYS = 256
"""Arrays whose headers are kept at once; each read opens the file anew."""


@lru_cache(maxsize=OPEN_ARRAYS)
def _open(path: Path) -> blosc2.NDArray:
    # Not mapped into memory: of twelve mapped volumes 540 MiB stayed in the process, of these 7 MiB. A crop of 80³
    # takes 4.4 ms of processor time in place of 3.1.
    return blosc2.open(str(path), mode="r", dparams={"nthreads": 1})


@dataclass(frozen=True)
class StoredArray:
    """An array on the disk, of which parts are read.

    Attributes:
        path: Its file.
        shape: Its shape.
        some: Whether any of its values is not zero.
    """

    path: Path
    shape: tuple[int, ...]
    some: bool

    def __getitem__(self, where: Any) -> Tensor:
        """Read a part: an index or a slice for each axis."""
        return torch.from_numpy(np.array(_open(self.path)[where]))

    def __len__(self) -> int:
        return self.shape[0]

    def any(self) -> bool:
        """Whether any of the values is not zero."""
        return self.some

    def whole(self) -> np.ndarray:
        """Read all of it."""
        return np.asarray(_open(self.path)[...])


class StoredSample(Sample):
    """A Sample in a folder. Each use of `image`, `fov` or `label` reads the whole array; nothing of it is kept.

    Args:
        folder: The folder, written by `write_sample`.
        case: Case id, which the folder does not hold.
        fluid: See `Sample`.
    """

    def __init__(self, folder: Path, case: str, fluid: Mapping[int, bool] | None = None) -> None:
        document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
        affine, shape = np.array(document["affine"]), tuple(document["shape"])
        arrays = {
            name: StoredArray(folder / f"{name}.b2nd", tuple(facts["shape"]), facts["some"])
            for name, facts in document["arrays"].items()
        }
        for name, value in (
            ("folder", folder), ("case", case), ("grid", Grid(shape, affine, document["frame"])), ("arrays", arrays),
            ("lowest", document["darkest"]), ("fluid", fluid or {}),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    folder: Path
    arrays: dict[str, StoredArray]
    lowest: float

    @property
    def image(self) -> np.ndarray:  # read when it is asked for
        """Normalised intensities, float32 (i, j, k)."""
        return self.arrays["image"].whole()

    @property
    def fov(self) -> np.ndarray:  # read when it is asked for
        """Field of view, bool (i, j, k)."""
        return self.arrays["fov"].whole()

    @property
    def label(self) -> np.ndarray | None:  # read when it is asked for
        """Reference label map, uint8 (i, j, k), or None."""
        return self.arrays["label"].whole() if "label" in self.arrays else None

    @property
    def darkest(self) -> float:
        """The lowest intensity."""
        return self.lowest

    def layers(self) -> list[Layer]:
        """The arrays that patches are cut from: image, field of view and, of a labelled sample, label map."""
        return [self.arrays[name] for name in ("image", "fov", "label") if name in self.arrays]

    def foreground(self) -> list[Layer]:
        """For each structure of the label map the flat indices of its voxels, int32."""
        return [array for name, array in self.arrays.items() if name.startswith("foreground-")]


def write_sample(sample: Sample, folder: Path) -> None:
    """Write a sample into a new folder; the document comes last.

    Args:
        sample: The sample. Its case id is not written.
        folder: An empty or absent folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"image": sample.image, "fov": sample.fov}
    if sample.label is not None:
        arrays["label"] = sample.label
        arrays |= {f"foreground-{n}": np.asarray(spots) for n, spots in enumerate(sample.foreground(), start=1)}
    facts = {}
    for name, array in arrays.items():
        path = folder / f"{name}.b2nd"
        _write(path, np.ascontiguousarray(array))
        facts[name] = {"shape": list(array.shape), "some": bool(array.any()), "sha256": file_digest(path)}
    document = {
        "format": FORMAT, "shape": list(sample.grid.shape), "affine": sample.grid.affine.tolist(),
        "frame": sample.grid.frame, "darkest": sample.darkest, "arrays": facts,
    }  # fmt: skip
    write_atomically(folder / DOCUMENT, json.dumps(document))


def store_sample(sample: Sample, folder: Path) -> StoredSample:
    """Write a sample into a folder, in place of what is there, and return it as it lies there.

    Args:
        sample: The sample.
        folder: The folder.

    Returns:
        The sample on the disk.
    """
    shutil.rmtree(folder, ignore_errors=True)
    write_sample(sample, folder)
    return StoredSample(folder, sample.case, sample.fluid)


def is_complete(folder: Path) -> bool:
    """Whether a folder holds a sample of this format, and each of its arrays is as it was written."""
    try:
        document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
        arrays = document["arrays"].items() if document["format"] == FORMAT else [("", {"sha256": ""})]
        return all(file_digest(folder / f"{name}.b2nd") == facts["sha256"] for name, facts in arrays)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(path: Path, array: np.ndarray) -> None:
    sizes = (CHUNK, BLOCK) if array.ndim == 3 else ((1 << 18,), (1 << 14,))
    chunks, blocks = (tuple(min(n, max(whole, 1)) for n, whole in zip(size, array.shape)) for size in sizes)
    parameters = {"codec": CODEC, "clevel": 5, "nthreads": 1}
    blosc2.asarray(array, urlpath=str(path), mode="w", chunks=chunks, blocks=blocks, cparams=parameters)
