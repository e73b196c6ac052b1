"""Image: whatever a dataset spec points at, read by what it holds."""

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
    """A NIfTI, a DICOM series (folder, file or list of files) or a PNG or JPEG picture, as a Volume of `modality`.

    modality: DICOM modality; a DICOM series must state the same. channel: which volume of a DICOM series or a NIfTI
    that holds several, from 0. Ultrasound gets its field of view from its pixels where the file does not give one.

    Raises XmedError MODALITY_MISMATCH, NOT_DICOM for a file of no kind that xmed reads, and those of the one reader.
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
    """Ultrasound with the field of view that its pixels show; voxels that the file had no value for are outside."""
    if volume.modality != "US":
        return volume
    return replace(volume, fov=field_of_view(volume.array) & volume.inside)
