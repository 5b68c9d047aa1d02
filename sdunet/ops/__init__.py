"""The sweeps: two operators, several backends each."""

from sdunet.ops.allocator import keep_freed_memory
from sdunet.ops.carry import carry_sweep
from sdunet.ops.dispatch import backends, missing_backends
from sdunet.ops.mix import gated_mix
from sdunet.ops.reference import carry_sweep_reference, sdn_sweep_reference
from sdunet.ops.sweep import sdn_sweep

__all__ = [
    "backends",
    "carry_sweep",
    "carry_sweep_reference",
    "gated_mix",
    "keep_freed_memory",
    "missing_backends",
    "sdn_sweep",
    "sdn_sweep_reference",
]
