"""Rows 42 to 44, 59, 61 and 63 to 65: streams that swell, archives that climb, and paths that are no files."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np

from support.corpus import row
from support.synthetic_dicom import oblique, save, slices, texture

ARRAY, AFFINE = texture((24, 18, 5)), oblique()


def nifti(**fields: object) -> bytes:
    """A good NIfTI, with header fields set to what they should not be."""
    made = nib.Nifti1Image(ARRAY.astype(np.int16), np.diag([-2.0, -2.0, 3.0, 1.0]))
    made.set_sform(made.affine, 1)
    data = bytearray(made.to_bytes())
    header = nib.Nifti1Header(bytes(data[:348]), check=False)
    for field, value in fields.items():
        header[field] = value
    data[:348] = header.binaryblock
    return bytes(data)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@row(42, "quarantine", "GZIP_TRUNCATED")
def gzip_truncated(folder: Path) -> Path:
    """A gzip stream that ends in its middle."""
    data = gzip.compress(nifti())
    return written(folder / "image.nii.gz", data[: len(data) // 2])


@row(42, "quarantine", "GZIP_TRUNCATED")
def gzip_without_its_end(folder: Path) -> Path:
    """A gzip stream with every voxel, but without the checksum and length at its end."""
    return written(folder / "image.nii.gz", gzip.compress(nifti())[:-8])


@row(42, "quarantine", "GZIP_TRUNCATED")
def gzip_damaged(folder: Path) -> Path:
    """A gzip stream whose checksum does not agree with its voxels."""
    data = bytearray(gzip.compress(nifti()))
    data[-8] ^= 1
    return written(folder / "image.nii.gz", bytes(data))


@row(43, "error", "INFLATE_LIMIT")
def gzip_bomb(folder: Path) -> Path:
    """1 MB that inflates to 1 GiB of zeros, as its header says."""
    head = nifti(dim=[3, 1024, 1024, 1024, 1, 1, 1, 1], datatype=2, bitpix=8)[:352]
    zeros = gzip.compress(bytes(16 << 20))  # gzip streams may follow one another (RFC 1952, 2.2)
    return written(folder / "image.nii.gz", gzip.compress(head) + zeros * 64)


@row(44, "error", "SIZE_CLAIM")
def dimensions(folder: Path) -> Path:
    """30,000 voxels along each axis in 4 kB."""
    return written(folder / "image.nii", nifti(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]))


@row(44, "error", "SIZE_CLAIM")
def dimensions_gzipped(folder: Path) -> Path:
    """30,000 voxels along each axis, gzipped."""
    return written(folder / "image.nii.gz", gzip.compress(nifti(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])))


@row(59, "quarantine", "SIZE_CLAIM", "NIFTI_INVALID")
def voxels_beyond_the_end(folder: Path) -> Path:
    """Voxels that begin behind the end of the file."""
    return written(folder / "image.nii", nifti(vox_offset=1e6))


@row(59, "quarantine", "NIFTI_INVALID")
def voxels_before_the_start(folder: Path) -> Path:
    """Voxels that begin before the file does."""
    return written(folder / "image.nii", nifti(vox_offset=-352))


@row(61, "fixed", "GZIP_NAME")
def plain_named_gz(folder: Path) -> Path:
    """A plain NIfTI that is called .nii.gz."""
    return written(folder / "image.nii.gz", nifti())


@row(63, "error", "NOT_DICOM")
def pickled(folder: Path) -> Path:
    """A pickled .npy: to load it is to run it."""
    path = folder / "image.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return path


@row(64, "error", "PATH_UNSAFE")
def link_out_of_the_folder(folder: Path) -> Path:
    """A slice that is a link to a file elsewhere."""
    inside, outside = folder / "inside", folder / "outside"
    save(slices(ARRAY, AFFINE), inside)
    outside.mkdir()
    (inside / "002.dcm").rename(outside / "002.dcm")
    (inside / "002.dcm").symlink_to(outside / "002.dcm")
    return inside


@row(64, "error", "PATH_UNSAFE")
def pipe(folder: Path) -> None:
    """A slice that is a pipe, which a reader would wait for until morning."""
    save(slices(ARRAY, AFFINE), folder)
    (folder / "002.dcm").unlink()
    os.mkfifo(folder / "002.dcm")


@row(64, "error", "PATH_UNSAFE")
def device(folder: Path) -> None:
    """A slice that is a link to an endless device."""
    save(slices(ARRAY, AFFINE), folder)
    (folder / "002.dcm").unlink()
    (folder / "002.dcm").symlink_to("/dev/zero")


@row(64, "error", "PATH_UNSAFE")
def name_of_no_text(folder: Path) -> None:
    """A slice whose name is no UTF-8."""
    save(slices(ARRAY, AFFINE), folder)
    os.rename(bytes(folder / "002.dcm"), bytes(folder) + b"/\xff\xfe.dcm")


@row(64, "error", "PATH_UNSAFE")
def folders_without_end(folder: Path) -> None:
    """A hundred folders, each in the one before."""
    save(slices(ARRAY, AFFINE), folder.joinpath(*["a"] * 100))


@row(65, "error", "NOT_DICOM")
def zip_that_climbs(folder: Path) -> Path:
    """A zip of a file that would lie outside: archives are never unpacked."""
    path = folder / "series.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../owned", "x")
        archive.writestr("/tmp/owned", "x")
    return path


@row(65, "error", "NOT_DICOM")
def tar_named_dicom(folder: Path) -> Path:
    """A tar of a link and a file behind it, called .dcm."""
    path = folder / "series.dcm"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
        archive.addfile(link)
        inner = tarfile.TarInfo("link/owned")
        inner.size = 1
        archive.addfile(inner, io.BytesIO(b"x"))
    return path


@row(65, "error", "NIFTI_INVALID")
def tar_gzipped(folder: Path) -> Path:
    """A gzipped tar where a NIfTI should be."""
    path = folder / "image.nii.gz"
    with tarfile.open(path, "w:gz") as archive:
        inner = tarfile.TarInfo("../../owned")
        inner.size = 2000
        archive.addfile(inner, io.BytesIO(bytes(2000)))
    return path
