"""Score folders of predictions, and compare models."""
