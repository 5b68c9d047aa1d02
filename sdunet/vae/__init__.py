"""Variational autoencoders whose decoder sweeps: the density benchmark on the SDN core."""
