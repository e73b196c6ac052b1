"""Read an image file of any supported format, as a dataset spec names it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xmed.errors import XmedError
from xmed.io.dicom.series import read_series
from xmed.io.field_of_view import field_of_view
from xmed.io.file_kinds import Source, file_kind
from xmed.io.nifti.file import read_nifti
from xmed.io.pictures.picture import read_picture
from xmed.volume import Volume


def read_image(path: Source, modality: str, channel: int | None = None) -> Volume:
    """Read a NIfTI file, a DICOM series, or a PNG or JPEG picture as a Volume.

    The format is told from the content of the file. Ultrasound images get their field of view from the pixel values
    where the file does not define one.

    Args:
        path: A file, a folder with one DICOM series, or a list of DICOM files.
        modality: DICOM modality, such as "MR". A DICOM series must state the same one.
        channel: Which volume to take, from 0, if a DICOM series or a NIfTI file holds several.

    Returns:
        The image, array of shape (i, j, k), affine in LPS+ millimetres.

    Raises:
        XmedError: MODALITY_MISMATCH, NOT_DICOM for an unknown format, and the codes of `read_series`, `read_nifti` and
            `read_picture`.
    """
    single = Path(path) if isinstance(path, str | Path) else None
    if single is None or single.is_dir():
        volume = read_series(path, channel, modality)
    else:
        kind = file_kind(single)
        if kind == "nifti":
            volume = _with_sector(read_nifti(single, modality, channel))
        elif kind == "picture":
            volume = _with_sector(read_picture(single, modality))
        else:
            volume = read_series(single, channel)
    if volume.modality != modality:
        raise XmedError(
            "MODALITY_MISMATCH", f"a series of modality {volume.modality}", modality, "correct the dataset spec"
        )
    return volume


def _with_sector(volume: Volume) -> Volume:
    """Add the field of view to an ultrasound volume; voxels without a value in the file stay outside."""
    if volume.modality != "US":
        return volume
    return replace(volume, fov=field_of_view(volume.array) & volume.inside)
