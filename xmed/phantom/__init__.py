"""Phantom: two modalities of one procedurally varied pelvis, written as files that know nothing of each other."""

from xmed.phantom.pelvis import Anatomy
from xmed.phantom.write import names, patient, write

__all__ = ["Anatomy", "names", "patient", "write"]
