"""Memory and time of predicting one large scan with five classes, as resampled and as it is.

Writes a 512x512x400 int16 scan and an untrained network of few features into a temporary folder,
since what is measured is the memory beside the network.

python scripts/bench_predict.py
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sdunet.runtime.threads import waiting_policy

os.environ.update(waiting_policy())  # before torch is imported

import nibabel as nib
import numpy as np
import torch

from data_prep.core.config import Plan
from sdunet.runtime.safetensors_io import write_weights
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.models.trained_model import WEIGHTS, network_for, save_description

SPACING = (0.8, 0.8, 1.0)
LABELS = {"background": 0, "a": 1, "b": 2, "c": 3, "d": 4}
NETWORK = NetworkConfig(features=(2, 4), num_features=2)
CODE = """
import re, sys, time
from pathlib import Path
from sdunet.segmentation import predict as module
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict

def rss():  # ru_maxrss would begin with the peak of the parent
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1e6

load = module.load_ensemble

def loaded(*arguments, **options):
    ensemble = load(*arguments, **options)
    global before, started
    before, started = rss(), time.perf_counter()
    return ensemble

module.load_ensemble = loaded
predict(sys.argv[1], sys.argv[2], sys.argv[3], options=PredictOptions(max_ram=float(sys.argv[4])))
print(time.perf_counter() - started, rss() - before)
"""


def write_scan(path: Path, size: tuple[int, ...]) -> None:
    """Write noise with a gradient, as a CT in two bytes a voxel."""
    values = np.random.default_rng(0).normal(0, 300, size).astype(np.int16)
    values += np.arange(size[0], dtype=np.int16)[:, None, None]
    image = nib.Nifti1Image(values, np.diag([*SPACING, 1.0]))
    image.set_qform(image.affine, 1)
    nib.save(image, path)


def write_model(folder: Path, spacing: tuple[float, ...], patch: int) -> None:
    """Write an untrained network of five classes."""
    torch.manual_seed(0)  # how noisy its labels are decides how long they take to be packed
    plan = Plan(3, ("CT",), LABELS, {}, "zscore", spacing, (patch,) * 3)
    write_weights(folder / WEIGHTS, network_for(NETWORK, plan).state_dict())
    save_description(folder, NETWORK, plan, 0.25, ())


def main() -> None:
    """Measure both."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--size", type=int, nargs=3, default=(512, 512, 400))
    arguments.add_argument("--patch", type=int, default=128)
    arguments.add_argument("--max-ram", type=float, default=4.0)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_scan(root / "scan.nii", tuple(options.size))
        for name, spacing in (("resampled to 1.5 mm", (1.5, 1.5, 1.5)), ("as it is", SPACING)):
            model = root / name.replace(" ", "_")
            model.mkdir()
            write_model(model, spacing, options.patch)
            run = [sys.executable, "-c", CODE, model, root / "scan.nii", model / "out"]
            run.append(str(options.max_ram))
            said = subprocess.check_output(run, text=True)
            seconds, gigabytes = map(float, said.split())
            print(f"{name}: {seconds:.0f} s, at a peak of {gigabytes:.2f} GB beside the network")


if __name__ == "__main__":
    main()
