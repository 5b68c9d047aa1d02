"""Train a VAE on a packed image set."""
