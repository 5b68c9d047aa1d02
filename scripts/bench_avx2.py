"""Time sweeps and networks with PyTorch and the kernels held to AVX2, on a processor with more.

python scripts/bench_avx2.py net --out bench_avx2
"""

import os
import sys

# Read when torch, oneDNN and MKL are loaded.
os.environ.update(
    ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", MKL_ENABLE_INSTRUCTIONS="AVX2"
)

from sdunet.__main__ import main
from sdunet.ops import cpu_library

if __name__ == "__main__":
    cpu_library.use_instructions("avx2")
    sys.exit(main(["bench", *sys.argv[1:]]))
