"""What folders of a dataset hold, by their names."""
