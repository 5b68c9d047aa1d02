"""The sweep: one operator, several backends."""

from sdunet.ops.memory import keep_freed_memory
from sdunet.ops.reference import sdn_sweep_reference
from sdunet.ops.sweep import backends, missing_backends, sdn_sweep

__all__ = ["backends", "keep_freed_memory", "missing_backends", "sdn_sweep", "sdn_sweep_reference"]
