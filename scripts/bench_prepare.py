"""Time and memory of preparing one large CT, beside the bare resampling it contains.

Writes a 512x512x300 int16 scan with a label into a temporary folder and resamples it to 1.5 mm.

python scripts/bench_prepare.py
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sdunet.runtime.threads import waiting_policy

os.environ.update(waiting_policy())  # before torch is imported

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from data_prep.core.scan import Scan
from data_prep.preprocessing.grid import grid_of, to_grid

SPACING = (0.75, 0.75, 1.0)
TARGET = (1.5, 1.5, 1.5)


def scan(size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth CT with some noise, and a label of two classes."""
    random = np.random.default_rng(0)
    coarse = random.normal(0, 300, (8, 8, 8))
    image = ndimage.zoom(coarse, np.divide(size, 8), order=1)
    image = (image + random.normal(0, 20, size)).astype(np.int16)
    label = np.zeros(size, np.uint8)
    label[tuple(slice(n // 4, n // 2) for n in size)] = 1
    label[tuple(slice(n // 2, 3 * n // 4) for n in size)] = 2
    return image, label


def median_of(run: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of a few runs, one before them left out."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def compare(size: tuple[int, ...], repeats: int) -> None:
    """Print the time of our resampling beside that of bare ones."""
    image, label = scan(size)
    one = Scan(image[None], np.diag([*SPACING, 1.0]))
    grid = grid_of(one, TARGET)
    zoom = np.divide(grid.size, size)
    floats = torch.from_numpy(image.astype(np.float32))[None, None]
    theta = torch.eye(3, 4)[None]

    def bare_torch() -> torch.Tensor:
        places = F.affine_grid(theta, [1, 1, *grid.size], align_corners=True)
        return F.grid_sample(floats, places, align_corners=True, padding_mode="border")

    contenders = {
        "scipy.ndimage.zoom, order 1": lambda: ndimage.zoom(
            image.astype(np.float32), zoom, order=1
        ),
        "torch grid_sample": bare_torch,
        "image to the plan's grid": lambda: to_grid(one.array, grid),
        "label to the plan's grid": lambda: to_grid(label[None], grid, label=True),
    }
    for name, run in contenders.items():
        print(f"{name:<30}{median_of(run, repeats):.2f} s", flush=True)


def write_scans(raw: Path, size: tuple[int, ...]) -> None:
    """Write two such scans with their labels."""
    for number in range(2):
        for name, array in zip(("images", "labels"), scan(size), strict=True):
            (raw / name).mkdir(parents=True, exist_ok=True)
            shown = np.roll(array, number, 0)
            image = nib.Nifti1Image(shown, np.diag([*SPACING, 1.0]))
            image.set_qform(image.affine, 1)
            nib.save(image, raw / f"{name}/scan_{number}.nii")


def peak(size: tuple[int, ...]) -> None:
    """Prepare two such scans, and print seconds and the memory that took beside the imports."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # A process starts with the peak of its parent, so the parent makes no scans itself.
        writer = multiprocessing.get_context("spawn").Process(
            target=write_scans, args=(root / "raw", size)
        )
        writer.start()
        writer.join()
        code = (
            "import resource, sys, time; from data_prep.core.config import DataConfig;"
            "from data_prep.prepared.prepare import prepare;"
            "rss = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20;"
            "before, started = rss(), time.perf_counter();"
            f"prepare(sys.argv[1], sys.argv[2], DataConfig(spacing={TARGET}, folds=2,"
            "labels={'background': 0, 'a': 1, 'b': 2}, channels=('CT',)));"
            "print(time.perf_counter() - started, rss() - before)"
        )
        run = [sys.executable, "-c", code, root / "raw", root / "out"]
        seconds, gibibytes = map(float, subprocess.check_output(run, text=True).split())
    volume = 4 * np.prod(size) / 2**30
    print(f"two scans checked, prepared and written in {seconds:.1f} s, at a peak of "
          f"{gibibytes:.2f} GiB: {gibibytes / volume:.1f} times one as float32")  # fmt: skip


def main() -> None:
    """Run both."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--size", type=int, nargs=3, default=(512, 512, 300))
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()
    peak(tuple(options.size))
    compare(tuple(options.size), options.repeats)


if __name__ == "__main__":
    main()
