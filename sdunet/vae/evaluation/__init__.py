"""Bounds, samples and disentanglement of a trained VAE."""
