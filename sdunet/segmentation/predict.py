"""A name that packages hold which were written before there was `sdunet.bundle`."""

from sdunet.bundle import predict

__all__ = ["predict"]
