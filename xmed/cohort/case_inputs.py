"""Case inputs: the files of one case, the store keys that their bytes give, and the checks that a case must pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xmed.cohort.digest_index import FileState, file_state_of
from xmed.cohort.layout import CaseFiles
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

READER_VERSION = 4
"""Increased whenever xmed.io reads the same bytes differently: every key changes and every case is read again."""

DigestFunction = Callable[[Iterable[Path], LinkPolicy, dict[str, FileState]], str]
"""`digest` or `recall` of a `DigestIndex`."""


@dataclass(frozen=True)
class CaseInputs:
    """The input files of one case and the store keys that their bytes give.

    Attributes:
        image: The image: a path, or the files of a series; None for a label map alone.
        label: The label file, or None.
        image_key: Store key (sha256, hex) of the image, or None.
        label_key: Store key (sha256, hex) of the label map, or None.
        states: Path → state of each file when its bytes were digested.
    """

    image: Path | list[Path] | None
    label: Path | None
    image_key: str | None
    label_key: str | None
    states: dict[str, FileState] = field(default_factory=dict)

    @classmethod
    def of(
        cls, spec: DatasetSpec, reach: LinkPolicy, files: CaseFiles, split: Split, digest_files: DigestFunction
    ) -> CaseInputs:
        """Compute the store keys of a case; only bytes that `digest_files` does not know are read.

        Args:
            spec: The dataset spec.
            reach: The folders that files and links may lie in.
            files: The files of the case.
            split: The partition of the patient.
            digest_files: Gives the digest of a set of files.

        Raises:
            XmedError: IMAGE_MISSING, LABEL_MISSING (a test case of a layout with labels), MIXED_SERIES (several label
                files), EMPTY_FILE, PATH_UNSAFE (leaves `reach`, or is no ordinary file or folder), and the codes of
                `digest_files`.
        """
        layout = spec.layout
        if layout.image and not files.image:
            raise XmedError("IMAGE_MISSING", f"case {files.case}: no image", f"a file like {layout.image}")
        if layout.label and not files.label and (split == "test" or layout.image is None):
            raise XmedError("LABEL_MISSING", f"case {files.case}: no label", f"a file like {layout.label}")
        label = _label_file(files, reach)
        states: dict[str, FileState] = {}
        image_key = label_key = None
        if files.image:
            read_as = {"reader": READER_VERSION, "modality": spec.modality, "channel": layout.image_channel}
            image_key = digest({**read_as, "image": digest_files(files.image, reach, states)})
        if label is not None:
            table = [[s.value, s.name] for s in spec.label_table]
            read_as = {"reader": READER_VERSION, "table": table, "channel": layout.label_channel, "roi": layout.roi}
            read_as |= {"outline": True} if layout.label_outline else {}
            read_as |= {"empty": True} if layout.label_empty else {}
            label_key = digest({**read_as, "on": image_key, "label": digest_files((label,), reach, states)})
        image = files.image[0] if len(files.image) == 1 else list(files.image)
        return cls(image or None, label, image_key, label_key, states)

    @property
    def source(self) -> Path | list[Path] | None:
        """The image as a reader is given it.

        A folder is replaced by its list of files where a reader would find other files in it: readers follow no link
        out of a folder, while the links that a dataset permits were followed when its files were listed.
        """
        if not isinstance(self.image, Path) or not self.image.is_dir():
            return self.image
        folder = os.path.realpath(self.image)
        own = [Path(path) for path in self.states if Path(path).is_relative_to(folder)]
        return self.image if list(walk_with_problems(self.image)) == [(path, None) for path in own] else own

    def check_unchanged(self) -> None:
        """Check that every file is still the one whose bytes were digested.

        Raises:
            XmedError: INPUT_CHANGED.
        """
        for path, state in self.states.items():
            try:
                same = file_state_of(path) == state
            except OSError:
                same = False
            if not same:
                do = "ingest again when the transfer is done"
                raise XmedError("INPUT_CHANGED", f"{path} changed while it was read", "a file at rest", do)


class VolumeRead(NamedTuple):
    """A volume, the repairs that its reader made, and the header metadata that a report may show."""

    volume: Volume
    notes: list[Note]
    facts: dict[str, str]


class ReadRequest(NamedTuple):
    """The part of a dataset spec that affects how a case is read."""

    modality: str
    layout: Layout
    table: LabelTable


def read_and_check(spec: DatasetSpec, inputs: CaseInputs) -> tuple[VolumeRead | None, VolumeRead | None]:
    """Read a case's image and label map on one grid, in a separate process: if that dies, only this case is lost.

    Returns:
        The image and the label map, or None for each that the case does not have.

    Raises:
        XmedError: OOM, READER_TIMEOUT, READER_CRASHED, READER_FAILED, INPUT_CHANGED, MODALITY_MISMATCH, CONSTANT, or
            the code of the reader.
    """
    try:
        request = ReadRequest(spec.modality, spec.layout, spec.label_table)
        read = run_in_sandbox(_read_and_check, request, inputs.source, inputs.label)
    except XmedError:
        inputs.check_unchanged()  # a file that is still being copied looks truncated: report the true reason
        raise
    inputs.check_unchanged()
    return read


def _read_and_check(
    request: ReadRequest, image_at: Path | list[Path] | None, label_at: Path | None
) -> tuple[VolumeRead | None, VolumeRead | None]:
    """The same, in this process.

    Any exception that a reader does not foresee becomes READER_FAILED, so that one file never stops the others. Its
    message may quote a header that names a person: only its type is kept.
    """
    image = label = None
    try:
        if image_at is not None:
            with collect_notes() as notes:
                volume = read_image(image_at, request.modality, request.layout.image_channel)
            image = VolumeRead(volume, notes, read_header_metadata(image_at))
            _check_image(request.modality, image.volume)
        if label_at is not None:
            with collect_notes() as notes:
                label = VolumeRead(_read_label(request, label_at, image and image.volume), notes, {})
        if label is not None and not (request.layout.label_empty or label.volume.array.any()):
            do = "set layout.label_empty where this is an answer"
            raise XmedError("CONSTANT", "a label map without any structure", "one voxel of one, at least", do)
    except XmedError:
        raise
    except Exception as problem:
        raise XmedError(
            "READER_FAILED", f"the reader stopped with {type(problem).__name__}", "a readable case"
        ) from problem
    return image, label


def _read_label(request: ReadRequest, path: Path, image: Volume | None) -> Volume:
    layout, table = request.layout, request.table
    if image is not None:
        outline = layout.label_outline
        return read_label(path, image, table, channel=layout.label_channel, roi=layout.roi, outline=outline)
    alone = read_nifti(path, channel=layout.label_channel)
    return alone.with_array(table.check(alone.array))


def _check_image(modality: str, image: Volume) -> None:
    if image.modality not in (None, modality):
        raise XmedError("MODALITY_MISMATCH", f"an image of modality {image.modality}", f"{modality}, as the spec says")
    values = image.array if image.fov is None else image.array[image.fov]
    if values.size == 0 or np.min(values) == np.max(values):
        raise XmedError("CONSTANT", "every voxel has the same value", "an image with contrast", "export it again")


def _label_file(files: CaseFiles, reach: LinkPolicy) -> Path | None:
    """The one label path, or the one file in a label folder."""
    paths = list(files.label)
    if len(paths) == 1 and paths[0].is_dir() and reach.holds(paths[0]):
        listed = list(walk_with_problems(paths[0], reach))
        if unsafe := next((problem for _, problem in listed if problem and problem.code == "PATH_UNSAFE"), None):
            raise unsafe
        paths = [path for path, problem in listed if problem is None]
    if len(paths) > 1:
        raise XmedError("MIXED_SERIES", f"case {files.case}: {len(paths)} label files", "one", "narrow layout.label")
    return paths[0] if paths else None
