"""Deidentify: copies that name nobody, built from what is permitted; keyed, so that who belongs together still does."""

from xmed.deidentify.crosswalk import Crosswalk
from xmed.deidentify.dicom import Face, Policy, clean_header
from xmed.deidentify.explain import explain, lines
from xmed.deidentify.folder import Outcome, Withheld, deidentify
from xmed.deidentify.secret import Secret

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
