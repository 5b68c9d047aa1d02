"""Freed memory is kept: after a few large tensors the next needs no fresh pages."""

import subprocess
import sys

import pytest

CODE = """
import resource, torch
from sdunet.ops import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(20_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
# The C library may hold back seven slivers beside freed tensors before it joins them.
print([faults() for _ in range(12)][-1])
assert keep_freed_memory()
print([faults() for _ in range(12)][-1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_kept_memory_is_not_mapped_again():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    returned, kept = map(int, done.stdout.split())
    assert kept < 100 < 10_000 < returned
