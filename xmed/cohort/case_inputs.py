"""Case inputs: the files of one case with the keys of what is read from them; and the checks a case must pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xmed.cohort.digest_index import Stamp, stamp_of
from xmed.cohort.layout import Found
from xmed.errors import XmedError
from xmed.files.digest import digest
from xmed.io import read_header_metadata, read_image, read_label, read_nifti
from xmed.io.file_kinds import walk_with_problems
from xmed.io.links import LinkPolicy
from xmed.io.notes import Note, collect_notes
from xmed.io.sandbox.worker import run_in_sandbox
from xmed.labels import LabelTable
from xmed.spec import DatasetSpec, Layout, Split
from xmed.volume import Volume

READER = 4
"""Raised whenever xmed.io begins to read the same bytes differently: every key changes, every case is read anew."""

DigestFiles = Callable[[Iterable[Path], LinkPolicy, dict[str, Stamp]], str]


@dataclass(frozen=True)
class Inputs:
    """One case's image (a path, or the files of a series) and label, and the store keys that their bytes give."""

    image: Path | list[Path] | None
    label: Path | None
    image_key: str | None
    label_key: str | None
    stamps: dict[str, Stamp] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: DatasetSpec, reach: LinkPolicy, files: Found, split: Split, digest_files: DigestFiles) -> Inputs:
        """Look once at every input byte that `digest_files`, `digest` or `recall` of an Index, does not know.

        Raises XmedError IMAGE_MISSING, LABEL_MISSING (a test case of a layout with labels), MIXED_SERIES (several
        label files), EMPTY_FILE, PATH_UNSAFE (leaves `reach`, or is no ordinary file or folder), and what
        `digest_files` does.
        """
        layout = spec.layout
        if layout.image and not files.image:
            raise XmedError("IMAGE_MISSING", f"case {files.case}: no image", f"a file like {layout.image}")
        if layout.label and not files.label and (split == "test" or layout.image is None):
            raise XmedError("LABEL_MISSING", f"case {files.case}: no label", f"a file like {layout.label}")
        label = _only(files, reach)
        stamps: dict[str, Stamp] = {}
        image_key = label_key = None
        if files.image:
            asked = {"reader": READER, "modality": spec.modality, "channel": layout.image_channel}
            image_key = digest({**asked, "image": digest_files(files.image, reach, stamps)})
        if label is not None:
            table = [[s.value, s.name] for s in spec.label_table]
            asked = {"reader": READER, "table": table, "channel": layout.label_channel, "roi": layout.roi}
            asked |= {"outline": True} if layout.label_outline else {}
            asked |= {"empty": True} if layout.label_empty else {}
            label_key = digest({**asked, "on": image_key, "label": digest_files((label,), reach, stamps)})
        image = files.image[0] if len(files.image) == 1 else list(files.image)
        return cls(image or None, label, image_key, label_key, stamps)

    @property
    def source(self) -> Path | list[Path] | None:
        """The image as a reader takes it: in place of a folder its files, where a reader would find others in it.

        A reader that is given a folder follows no link out of it: what a dataset's links reach was decided before.
        """
        if not isinstance(self.image, Path) or not self.image.is_dir():
            return self.image
        folder = os.path.realpath(self.image)
        own = [Path(path) for path in self.stamps if Path(path).is_relative_to(folder)]
        return self.image if list(walk_with_problems(self.image)) == [(path, None) for path in own] else own

    def unchanged(self) -> None:
        """Raises XmedError INPUT_CHANGED when a file is no longer the one whose bytes were hashed."""
        for path, stamp in self.stamps.items():
            try:
                same = stamp_of(path) == stamp
            except OSError:
                same = False
            if not same:
                do = "ingest again when the transfer is done"
                raise XmedError("INPUT_CHANGED", f"{path} changed while it was read", "a file at rest", do)


class Read(NamedTuple):
    """A volume, what its reader put right, and what its header says that a report may show."""

    volume: Volume
    notes: list[Note]
    facts: dict[str, str]


class Asked(NamedTuple):
    """What of a dataset spec matters to the reading of a case."""

    modality: str
    layout: Layout
    table: LabelTable


def read_and_check(spec: DatasetSpec, inputs: Inputs) -> tuple[Read | None, Read | None]:
    """A case's image and label map on one grid, read in a guarded process: whatever kills it costs this case alone.

    Raises OOM, READER_TIMEOUT, READER_CRASHED, INPUT_CHANGED, and as `_read_and_check` does.
    """
    try:
        asked = Asked(spec.modality, spec.layout, spec.label_table)
        read = run_in_sandbox(_read_and_check, asked, inputs.source, inputs.label)
    except XmedError:
        inputs.unchanged()  # a file still arriving looks truncated: say the truth about it
        raise
    inputs.unchanged()
    return read


def _read_and_check(
    asked: Asked, image_at: Path | list[Path] | None, label_at: Path | None
) -> tuple[Read | None, Read | None]:
    """The same, in this process.

    Raises XmedError with the reader's code, or MODALITY_MISMATCH, CONSTANT; whatever else goes wrong in a reader
    becomes READER_FAILED, so that one odd file never stops the others. Its message may quote a header that names a
    person: only its kind is kept.
    """
    image = label = None
    try:
        if image_at is not None:
            with collect_notes() as notes:
                volume = read_image(image_at, asked.modality, asked.layout.image_channel)
            image = Read(volume, notes, read_header_metadata(image_at))
            _check(asked.modality, image.volume)
        if label_at is not None:
            with collect_notes() as notes:
                label = Read(_label(asked, label_at, image and image.volume), notes, {})
        if label is not None and not (asked.layout.label_empty or label.volume.array.any()):
            do = "set layout.label_empty where this is an answer"
            raise XmedError("CONSTANT", "a label map without any structure", "one voxel of one, at least", do)
    except XmedError:
        raise
    except Exception as problem:
        raise XmedError(
            "READER_FAILED", f"the reader stopped with {type(problem).__name__}", "a readable case"
        ) from problem
    return image, label


def _label(asked: Asked, path: Path, image: Volume | None) -> Volume:
    layout, table = asked.layout, asked.table
    if image is not None:
        drawn = layout.label_outline
        return read_label(path, image, table, channel=layout.label_channel, roi=layout.roi, outline=drawn)
    alone = read_nifti(path, channel=layout.label_channel)
    return alone.with_array(table.check(alone.array))


def _check(modality: str, image: Volume) -> None:
    if image.modality not in (None, modality):
        raise XmedError("MODALITY_MISMATCH", f"an image of modality {image.modality}", f"{modality}, as the spec says")
    seen = image.array if image.fov is None else image.array[image.fov]
    if seen.size == 0 or np.min(seen) == np.max(seen):
        raise XmedError("CONSTANT", "every voxel has the same value", "an image with contrast", "export it again")


def _only(files: Found, reach: LinkPolicy) -> Path | None:
    """The one label path, or the one file in a label folder."""
    paths = list(files.label)
    if len(paths) == 1 and paths[0].is_dir() and reach.holds(paths[0]):
        found = list(walk_with_problems(paths[0], reach))
        if unsafe := next((problem for _, problem in found if problem and problem.code == "PATH_UNSAFE"), None):
            raise unsafe
        paths = [path for path, problem in found if problem is None]
    if len(paths) > 1:
        raise XmedError("MIXED_SERIES", f"case {files.case}: {len(paths)} label files", "one", "narrow layout.label")
    return paths[0] if paths else None
