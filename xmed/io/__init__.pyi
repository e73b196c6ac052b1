from .dicom.header_metadata import read_header_metadata as read_header_metadata
from .dicom.series import read_series as read_series, read_volumes as read_volumes
from .image import read_image as read_image
from .inspect import Finding as Finding, inspect as inspect
from .label import read_label as read_label
from .nifti.file import read_nifti as read_nifti, write_nifti as write_nifti
from .objects.write_seg import Algorithm as Algorithm, check_seg as check_seg, write_seg as write_seg
from .objects.write_sr import write_sr as write_sr
from .pictures.picture import read_picture as read_picture
