"""DICOM: series of slices, and the labels that refer to them."""
