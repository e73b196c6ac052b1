"""A phantom: three modalities of procedurally varied pelvises, written as files that have nothing else in common."""

from xmed.phantom.pelvis import Pelvis
from xmed.phantom.write_phantom import draw_patient, patient_ids, write_patients

__all__ = ["Pelvis", "draw_patient", "patient_ids", "write_patients"]
