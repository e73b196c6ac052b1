"""Input and output: DICOM, NIfTI and pictures come in as Volumes; NIfTI and DICOM SEG go out."""

from xmed.io.dicom import read_series
from xmed.io.image import read_image
from xmed.io.inspect import Finding, inspect
from xmed.io.label import read_label
from xmed.io.nifti import read_nifti, write_nifti
from xmed.io.picture import read_picture
from xmed.io.seg_object import write_seg

__all__ = [
    "Finding",
    "inspect",
    "read_image",
    "read_label",
    "read_nifti",
    "read_picture",
    "read_series",
    "write_nifti",
    "write_seg",
]
