"""Phantom: synthetic patients, an MR and an ultrasound of a varied pelvis, written as DICOM and NIfTI files."""

from xmed.phantom.pelvis import Anatomy
from xmed.phantom.write import names, patient, write

__all__ = ["Anatomy", "names", "patient", "write"]
