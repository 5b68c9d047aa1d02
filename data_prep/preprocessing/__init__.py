"""From a scan to the grid and intensities a network sees, and back."""
