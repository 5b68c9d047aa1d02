"""Tables that stored values of DICOM stand for others by: palettes, and measured values."""
