"""The CUDA kernels compile for real cards and fit them; and lines too long for one program."""

import functools
import os
import subprocess
import sys

import pytest
import torch

from sdunet.ops import carry_sweep, carry_sweep_reference, triton_carry

pytest.importorskip("triton", reason="Triton exists for Linux only")

# In a process of its own: this one runs Triton in its interpreter.
CODE = """
import re
import subprocess
import sys
import tempfile
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from sdunet.ops import triton_backend, triton_carry

taps, features, groups, card = map(int, sys.argv[1:])
numbers = {"lines", "rows", "columns", "features", "t", "numbers", "first", "last", "number"}
sizes = {"TAPS": taps, "PADDED": features, "KEEP": True}
sizes["BLOCK"] = max(16, triton_backend._BLOCK_NUMBERS // features)
module = triton_backend
kernels = [(module._sweep_lines, sizes), (module._sweep_back, sizes), (module._finish_line, sizes)]
if groups:
    module = triton_carry
    sizes = {"C": features, "K": taps, "G": groups, "REVERSE": True}
    cells, width = module._block(10_000, features, taps)
    walk = {**sizes, "CELLS": cells, "CHANNELS": width}
    width = triton.next_power_of_2(features // groups)
    over = {**sizes, "CELLS": module._TILE[taps] // width, "CHANNELS": width}
    over["PADDED"] = triton.next_power_of_2(taps)
    kernels = [(module._carry_lines, walk), (module._carry_back, walk)]
    kernels += [(module._carry_terms, over), (module._made_back, over)]
for kernel, wanted in kernels:
    constants = {name: wanted[name] for name in kernel.arg_names if name in wanted}
    warps = triton_backend._WARPS
    if groups:
        warps = 4 if "PADDED" in wanted else module._warps(wanted["CELLS"], wanted["CHANNELS"])
    signature = {
        name: "constexpr" if name in constants else "i32" if name in numbers else "*fp32"
        for name in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    target = GPUTarget("cuda", card, 32)
    compiled = triton.compile(source, target=target, options={"num_warps": warps})
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        tool = triton.knobs.nvidia.cuobjdump.path
        usage = subprocess.check_output([tool, "--dump-resource-usage", file.name], text=True)
    stack = re.search(r"STACK:([0-9]+)", usage)[1]
    print(kernel.__name__, compiled.metadata.shared, "st.local" in compiled.asm["ptx"], stack)
"""


@pytest.mark.long
@pytest.mark.parametrize("card", [80, 90])
@pytest.mark.parametrize(
    ("taps", "features", "groups"), [(3, 16, 0), (9, 16, 0), (3, 64, 0), (3, 16, 4), (9, 16, 4)]
)
def test_kernels_compile_and_fit_the_smallest_card(taps, features, groups, card):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    arguments = [str(n) for n in (taps, features, groups, card)]
    run = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    for line in run.stdout.splitlines():
        name, shared, spilled, stack = line.split()
        assert int(shared) <= 48 * 1024, f"{name} needs {shared} bytes of shared memory"
        assert spilled == "False", f"{name} spills registers to memory"
        # What the assembler spills shows on the stack only. The GRU's kernels do spill there.
        assert not groups or stack == "0", f"{name} spills {stack} bytes a thread"


@pytest.mark.parametrize("most_steps", [0, 100], ids=["spread", "alone"])
@pytest.mark.parametrize("shape", [(2, 4, 9, 3), (1, 4, 3, 5, 3)], ids=str)
def test_lines_of_several_blocks_match_the_reference(shape, most_steps, monkeypatch):
    monkeypatch.setattr(triton_carry, "_CELLS", {3: 4, 9: 4})
    monkeypatch.setattr(triton_carry, "_CHANNELS", 2)
    monkeypatch.setattr(triton_carry, "_MOST_STEPS", most_steps)
    torch.manual_seed(0)
    channels, taps = shape[-1], 3 ** (len(shape) - 3)
    rows = 2 * channels + (taps - 1) * channels
    args = [torch.randn(size).double().requires_grad_() for size in (shape, (rows, channels), rows)]
    cotangent = torch.randn(shape).double()
    results = []
    for sweep in (functools.partial(carry_sweep, backend="triton"), carry_sweep_reference):
        y = sweep(*args)
        results.append((y, *torch.autograd.grad(y, args, cotangent)))
    torch.testing.assert_close(*results)
