"""NIfTI: voxels, header and place in the patient, read and written."""
