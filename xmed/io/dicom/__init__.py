"""DICOM: files become instances, instances become series, and series become volumes or a reason why not."""
