"""Trained networks as packages for others."""
