"""Read and write medical images.

DICOM, NIfTI and picture files become a `Volume`. Volumes are written as NIfTI, DICOM Segmentation (SEG) and DICOM
Structured Report (SR).
"""

from xmed.io.dicom.header_metadata import read_header_metadata
from xmed.io.dicom.series import read_series, read_volumes
from xmed.io.image import read_image
from xmed.io.inspect import Finding, inspect
from xmed.io.label import read_label
from xmed.io.nifti.file import read_nifti, write_nifti
from xmed.io.objects.write_seg import Algorithm, check_seg, write_seg
from xmed.io.objects.write_sr import write_sr
from xmed.io.pictures.picture import read_picture

__all__ = [
    "Algorithm",
    "Finding",
    "check_seg",
    "inspect",
    "read_header_metadata",
    "read_image",
    "read_label",
    "read_nifti",
    "read_picture",
    "read_series",
    "read_volumes",
    "write_nifti",
    "write_seg",
    "write_sr",
]
