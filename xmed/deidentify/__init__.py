"""Deidentify: copies of DICOM and NIfTI files without identifiers, built from allowed attributes, pseudonyms by key."""

from xmed.deidentify.crosswalk import Crosswalk
from xmed.deidentify.deidentify_folder import Outcome, Withheld, deidentify
from xmed.deidentify.description import explain, lines
from xmed.deidentify.dicom_file import Face, Policy, clean_header
from xmed.deidentify.key import Secret

__all__ = [
    "Crosswalk",
    "Face",
    "Outcome",
    "Policy",
    "Secret",
    "Withheld",
    "clean_header",
    "deidentify",
    "explain",
    "lines",
]
