"""Times a network as an ONNX file beside PyTorch, on the processor, with one thread each.

python scripts/time_onnx.py PACKAGE 256x256 512x512     # of sdunet export --onnx

Runs are interleaved; a row is the median of each, and of the ratios.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import onnxruntime
import torch

from sdunet.segmentation.export.onnx_file import ONNX
from sdunet.segmentation.models.trained_model import load_model

_ROUNDS = 15


def seconds_of(work: Callable[[], object]) -> float:
    """Return the seconds that something takes once."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print a row a size."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("package", type=Path)
    arguments.add_argument("sizes", nargs="+", help="such as 256x256")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.package)
    alone = onnxruntime.SessionOptions()
    alone.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(options.package / ONNX, alone)
    print("| size | PyTorch, ms | ONNX, ms | ONNX / PyTorch | largest difference of logits |")
    print("|---|---|---|---|---|")
    for size in options.sizes:
        image = torch.randn(1, len(model.plan.channels), *map(int, size.split("x")))
        given = {"image": image.numpy()}
        with torch.inference_mode():
            gap = (model.network(image) - torch.from_numpy(session.run(None, given)[0])).abs().max()
            rounds = [
                (
                    seconds_of(lambda image=image: model.network(image)),
                    seconds_of(lambda given=given: session.run(None, given)),
                )
                for _ in range(_ROUNDS)
            ]
        ours, theirs = (1000 * median(times) for times in zip(*rounds, strict=True))
        ratio = median(one[1] / one[0] for one in rounds)
        print(f"| {size} | {ours:.1f} | {theirs:.1f} | {ratio:.2f} | {float(gap):.1e} |")


if __name__ == "__main__":
    main()
