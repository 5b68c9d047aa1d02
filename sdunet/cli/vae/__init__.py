"""The commands of `sdunet vae`."""
