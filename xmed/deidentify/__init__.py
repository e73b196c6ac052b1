"""Deidentify: writes copies of images without identity, built from permitted attributes, with keyed pseudonyms."""

from xmed.deidentify.deidentify_folder import Outcome, Withheld, deidentify_files
from xmed.deidentify.description import explain_rules, explanation_lines
from xmed.deidentify.dicom_file import Face, Policy, clean_header
from xmed.deidentify.key import Crosswalk, Secret

__all__ = [
    "Crosswalk",
    "Face",
    "Outcome",
    "Policy",
    "Secret",
    "Withheld",
    "clean_header",
    "deidentify_files",
    "explain_rules",
    "explanation_lines",
]
