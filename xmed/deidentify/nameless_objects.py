"""Write a segmentation and a measurement report of an image whose headers name nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmed.deidentify.dicom_file import clean_header
from xmed.deidentify.key import Secret
from xmed.io import Algorithm, write_seg, write_sr
from xmed.labels import LabelTable
from xmed.volume import Volume

Replaced = tuple[str, str, str]
"""As `clean_header` returns it: a pseudonym with what it stands for."""


def write_nameless_objects(
    labels: Volume, source: Path | list[Path], table: LabelTable, folder: Path, by: Algorithm, secret: Secret
) -> list[Replaced]:
    """Write seg.dcm (Segmentation) and sr.dcm (TID 1500) of a label map. It reads the source: call it in a sandbox.

    Args:
        labels: Label map (i, j, k) on the grid of the source.
        source: The DICOM files of the image, or their folder.
        table: The structures by their label value.
        folder: Where both files are written.
        by: Who drew the label map.
        secret: The key of pseudonyms.

    Returns:
        The pseudonyms that were used, with what they stand for.

    Raises:
        XmedError: The code of what cannot be read or written.
    """
    pairs: list[Replaced] = []

    def header(image: Any) -> Any:
        clean, replaced = clean_header(image, secret)
        pairs.extend(replaced)
        return clean

    write_seg(labels, source, table, folder / "seg.dcm", by, header)
    write_sr(labels, folder / "seg.dcm", table, folder / "sr.dcm", by)
    return pairs
