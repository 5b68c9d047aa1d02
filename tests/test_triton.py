"""The CUDA kernels compile for real cards and fit them."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="Triton exists for Linux only")

# In a process of its own: this one runs Triton in its interpreter.
CODE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from sdunet.ops import triton_backend as backend

ARRAYS = {"x", "above", "from_cells", "w_ih", "b_ih", "y", "gates", "grad_gates", "grad_lines"}
taps, padded, card = map(int, sys.argv[1:])
block = max(16, backend._BLOCK_NUMBERS // padded)
for kernel in (backend._sweep_lines, backend._sweep_back, backend._finish_line):
    wanted = {"KEEP": True, "TAPS": taps, "BLOCK": block, "PADDED": padded}
    constants = {name: wanted[name] for name in kernel.arg_names if name in wanted}
    signature = {
        name: "constexpr" if name in constants else "*fp32" if name in ARRAYS else "i32"
        for name in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    options = {"num_warps": backend._WARPS}
    target = GPUTarget("cuda", card, 32)
    compiled = triton.compile(source, target=target, options=options)
    print(kernel.__name__, compiled.metadata.shared, "st.local" in compiled.asm["ptx"])
"""


@pytest.mark.parametrize("card", [80, 90])
@pytest.mark.parametrize(("taps", "padded"), [(3, 16), (9, 16), (3, 64)])
def test_kernels_compile_and_fit_the_smallest_card(taps, padded, card):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    arguments = [str(n) for n in (taps, padded, card)]
    run = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    for line in run.stdout.splitlines():
        name, shared, spilled = line.split()
        assert int(shared) <= 48 * 1024, f"{name} needs {shared} bytes of shared memory"
        assert spilled == "False", f"{name} spills registers to memory"
