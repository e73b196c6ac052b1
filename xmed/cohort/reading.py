"""Inputs: the files of one case with the keys of what is read from them; and the checks a case must pass."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xmed.cohort.layout import Found
from xmed.errors import XmedError
from xmed.io import read_image, read_label, read_nifti
from xmed.run import digest
from xmed.spec import DatasetSpec, Split
from xmed.volume import Volume

READER = 1
"""Raised whenever xmed.io begins to read the same bytes differently: every key changes, every case is read anew."""

Stamp = tuple[int, int]


@dataclass(frozen=True)
class Inputs:
    """One case's image (a path, or the files of a series) and label, and the store keys that their bytes give."""

    image: Path | list[Path] | None
    label: Path | None
    image_key: str | None
    label_key: str | None
    stamps: dict[Path, Stamp] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: DatasetSpec, root: Path, files: Found, split: Split) -> Inputs:
        """Look at every input byte once.

        Raises XmedError IMAGE_MISSING, LABEL_MISSING (a test case of a layout with labels), MIXED_SERIES (several
        label files), EMPTY_FILE, PATH_UNSAFE (leaves the root, or is no ordinary file or folder).
        """
        layout = spec.layout
        if layout.image and not files.image:
            raise XmedError("IMAGE_MISSING", f"case {files.case}: no image", f"a file like {layout.image}")
        if layout.label and not files.label and (split == "test" or layout.image is None):
            raise XmedError("LABEL_MISSING", f"case {files.case}: no label", f"a file like {layout.label}")
        label = _only(files)
        stamps: dict[Path, Stamp] = {}
        image_key = label_key = None
        if files.image:
            asked = {"reader": READER, "modality": spec.modality}
            image_key = digest({**asked, "image": _hashes(files.image, root, stamps)})
        if label is not None:
            table = [[s.value, s.name] for s in spec.label_table]
            asked = {"reader": READER, "table": table, "channel": layout.label_channel, "roi": layout.roi}
            asked |= {"outline": True} if layout.label_outline else {}
            label_key = digest({**asked, "on": image_key, "label": _hashes((label,), root, stamps)})
        image = files.image[0] if len(files.image) == 1 else list(files.image)
        return cls(image or None, label, image_key, label_key, stamps)

    def unchanged(self) -> None:
        """Raises XmedError INPUT_CHANGED when a file is no longer the one whose bytes were hashed."""
        for path, stamp in self.stamps.items():
            if not path.is_file() or _stamp(path) != stamp:
                do = "ingest again when the transfer is done"
                raise XmedError("INPUT_CHANGED", f"{path} changed while it was read", "a file at rest", do)


def read_and_check(spec: DatasetSpec, inputs: Inputs) -> tuple[Volume | None, Volume | None]:
    """A case's image and label map on one grid.

    Raises XmedError with the reader's code, or MODALITY_MISMATCH, CONSTANT, INPUT_CHANGED; whatever else goes wrong in
    a reader becomes READER_FAILED, so that one odd file never stops the others. Its message may quote a header that
    names a person: only its kind is kept.
    """
    try:
        image = None if inputs.image is None else read_image(inputs.image, spec.modality)
        if image is not None:
            _check(spec, image)
        label = None if inputs.label is None else _label(spec, inputs.label, image)
    except XmedError:
        inputs.unchanged()  # a file still arriving looks truncated: say the truth about it
        raise
    except Exception as problem:
        raise XmedError(
            "READER_FAILED", f"the reader stopped with {type(problem).__name__}", "a readable case"
        ) from problem
    inputs.unchanged()
    return image, label


def _label(spec: DatasetSpec, path: Path, image: Volume | None) -> Volume:
    layout, table = spec.layout, spec.label_table
    if image is not None:
        drawn = layout.label_outline
        return read_label(path, image, table, channel=layout.label_channel, roi=layout.roi, outline=drawn)
    alone = read_nifti(path, channel=layout.label_channel)
    return alone.with_array(table.check(alone.array))


def _check(spec: DatasetSpec, image: Volume) -> None:
    if image.modality not in (None, spec.modality):
        raise XmedError(
            "MODALITY_MISMATCH", f"an image of modality {image.modality}", f"{spec.modality}, as the spec says"
        )
    seen = image.array if image.fov is None else image.array[image.fov]
    if seen.size == 0 or np.min(seen) == np.max(seen):
        raise XmedError("CONSTANT", "every voxel has the same value", "an image with contrast", "export it again")


def _only(files: Found) -> Path | None:
    """The one label path, or the one file in a label folder."""
    paths = list(files.label)
    if len(paths) == 1 and paths[0].is_dir():
        paths = list(_files(paths[0]))
    if len(paths) > 1:
        raise XmedError("MIXED_SERIES", f"case {files.case}: {len(paths)} label files", "one", "narrow layout.label")
    return paths[0] if paths else None


def _files(path: Path) -> Iterator[Path]:
    """A file itself, or every file below a folder."""
    if not path.is_dir():
        yield path
        return
    yield from (inner for inner in sorted(path.rglob("*")) if not inner.is_dir() and not inner.name.startswith("."))


def _hashes(paths: tuple[Path, ...], root: Path, stamps: dict[Path, Stamp]) -> list[str]:
    """sha256 of each file, sorted: neither names nor their order matter to the readers."""
    base = root.resolve()
    out = []
    for path in (inner for outer in paths for inner in _files(outer)):
        try:
            out.append(_hash(path, base, stamps))
        except OSError as problem:
            raise XmedError("READER_FAILED", f"{path}: {problem.strerror}", "a file that can be read") from problem
    return sorted(out)


def _hash(path: Path, base: Path, stamps: dict[Path, Stamp]) -> str:
    if not path.resolve().is_relative_to(base) or not stat.S_ISREG(path.stat().st_mode):
        raise XmedError("PATH_UNSAFE", f"{path}", f"an ordinary file below {base}", "copy the file in")
    stamps[path] = _stamp(path)
    if stamps[path][0] == 0:
        raise XmedError("EMPTY_FILE", f"{path} has no bytes", "a file with contents", "copy it again")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> Stamp:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns
