"""Objects: DICOM segmentations, structure sets and measurement reports, read and written."""
