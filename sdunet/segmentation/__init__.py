"""Train, predict, evaluate and review segmentation networks."""
