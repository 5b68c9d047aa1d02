"""Train a network on a prepared dataset, one fold or all."""
