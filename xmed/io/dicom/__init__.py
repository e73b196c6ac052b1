"""Read DICOM image series, and write the series of the phantom."""
