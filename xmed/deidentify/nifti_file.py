"""NIfTI file: de-identifies a NIfTI file; voxels and geometry are kept, text fields and extensions are dropped."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import cast

import numpy as np
from nibabel.arrayproxy import ArrayProxy

from xmed.deidentify.dicom_file import CleanFile
from xmed.deidentify.key import Secret
from xmed.io.file_kinds import reader_errors
from xmed.io.nifti.file import parse_nifti

KEPT = ("dim", "datatype", "bitpix", "pixdim", "xyzt_units", "scl_slope", "scl_inter", "dim_info", "slice_start",
        "slice_end", "slice_code", "slice_duration", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
        "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z")  # fmt: skip
"""Fields of the header (nifti1.h) that are kept: shape, geometry and scaling."""


def clean_nifti(path: Path, below: Path, secret: Secret) -> CleanFile:
    """De-identify a NIfTI file; nothing is written.

    The stored voxels are kept bit by bit, and of the header the fields in KEPT. Every part of the path below `below`
    becomes a pseudonym, so that an image and its label map still have the same name.

    Raises:
        XmedError: The codes of `xmed.io.nifti.file.parse_nifti`.
    """
    parts = path.relative_to(below).parts
    stem = parts[-1].split(".nii")[0]
    names = [secret.name("file", part) for part in (*parts[:-1], stem)]
    pairs = tuple(("file", name, part) for name, part in zip(names, (*parts[:-1], stem)))
    with reader_errors("the file"):
        image = parse_nifti(path)
        old, new = image.header, type(image.header)(endianness="<")
        for field in KEPT:
            new[field] = old[field]
        new["vox_offset"] = new.single_vox_offset
        voxels = np.asanyarray(cast(ArrayProxy, image.dataobj).get_unscaled()).astype(new.get_data_dtype())
        content = new.binaryblock + b"\0" * (new.single_vox_offset - new.sizeof_hdr) + voxels.tobytes(order="F")
    return CleanFile("/".join(names) + ".nii.gz", gzip.compress(content, compresslevel=1, mtime=0), pairs)
