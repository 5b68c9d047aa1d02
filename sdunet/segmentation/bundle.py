"""Names that packages hold which were written before there was `sdunet.bundle`."""

from sdunet.bundle import network_of, trained_network

__all__ = ["network_of", "trained_network"]
