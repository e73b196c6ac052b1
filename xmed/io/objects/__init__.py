"""Read and write DICOM objects that refer to images: segmentations, structure sets and measurement reports."""
