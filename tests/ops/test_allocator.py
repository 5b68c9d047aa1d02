"""Freed memory is kept: after a few large tensors the next needs no fresh pages."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from sdunet.ops import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(20_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
# The C library may hold back seven slivers beside freed tensors before it joins them.
print([faults() for _ in range(12)][-1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_kept_memory_is_not_mapped_again():
    returned, kept = (
        int(subprocess.run([sys.executable, "-c", CODE, how], capture_output=True).stdout)
        for how in ("returned", "kept")
    )
    assert kept < 100 < 10_000 < returned
