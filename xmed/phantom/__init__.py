"""Phantom: two modalities of one procedurally varied pelvis, written as files that know nothing of each other."""

from xmed.phantom.pelvis import Pelvis
from xmed.phantom.write_phantom import draw_patient, patient_ids, write_patients

__all__ = ["Pelvis", "draw_patient", "patient_ids", "write_patients"]
