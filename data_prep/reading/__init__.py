"""The image and the label of a case, whatever files they are in."""
