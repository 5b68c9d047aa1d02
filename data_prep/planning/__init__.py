"""Choose spacing, intensities, patch size and folds for a dataset."""
