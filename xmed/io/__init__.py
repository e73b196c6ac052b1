"""Read and write medical images.

DICOM, NIfTI and picture files become a `Volume`. Volumes are written as NIfTI, DICOM Segmentation (SEG) and DICOM
Structured Report (SR).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
