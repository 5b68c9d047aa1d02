"""Kill `prepare` at random moments, and see that what it leaves is whole and that it goes on.

Runs are killed with SIGKILL; every array they leave must be complete. A dataset that was completed
must have the same bytes as one that was never disturbed.

python scripts/kill_prepare.py --times 50
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sdunet.runs.threads import waiting_policy

os.environ.update(waiting_policy())  # before torch is imported

import nibabel as nib
import numpy as np

from data_prep.config import DataConfig
from data_prep.dataset import load_dataset
from data_prep.errors import DataError
from data_prep.prepare import prepare

CODE = """
import os, signal, sys, threading
from data_prep.config import DataConfig
from data_prep.prepare import prepare

raw, out, after = sys.argv[1:]
threading.Timer(float(after), lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
prepare(raw, out, DataConfig())
os._exit(0)
"""


def make_raw(root: Path, cases: int = 12) -> None:
    """Write a small raw dataset of volumes."""
    for number in range(cases):
        noise = np.random.default_rng(number).integers(1, 900, (24, 24, 24)).astype(np.int16)
        for name, array in (("images", noise), ("labels", (noise > 450).astype(np.uint8))):
            (root / name).mkdir(parents=True, exist_ok=True)
            image = nib.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0]))
            image.set_qform(image.affine, 1)
            nib.save(image, root / name / f"case_{number}.nii.gz")


def files(root: Path) -> dict[str, bytes]:
    """Return every file below a folder but what killed runs leave for the next one to clear."""
    found = (path for path in root.rglob("*") if path.is_file())
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in found
        if ".sdunet" not in p.parts and p.name != "previous.json"
    }


def campaign(root: Path, times: int, seed: int) -> int:
    """Kill preparations until so many were killed; whenever one gets to its end, begin anew.

    Returns:
        How many that were killed before got to their end.

    Raises:
        AssertionError: if anything was left half-written, or an end differs.
    """
    make_raw(root / "raw")
    prepare(root / "raw", root / "whole", DataConfig())
    moments, killed, finished, disturbed = random.Random(seed), 0, 0, False
    while killed < times:
        after = f"{moments.uniform(0.001, 0.35):.3f}"
        run = [sys.executable, "-c", CODE, root / "raw", root / "out", after]
        was_killed = subprocess.run(run, check=False).returncode == -9
        killed, disturbed = killed + was_killed, disturbed or was_killed
        for path in (root / "out").rglob("*.npy"):
            if ".sdunet" not in path.parts:
                np.load(path)  # raises if it is cut
        try:
            load_dataset(root / "out")
        except DataError:
            continue
        finished, disturbed = finished + disturbed, False
        assert files(root / "out") == files(root / "whole")
        shutil.rmtree(root / "out")
    prepare(root / "raw", root / "out", DataConfig())
    assert files(root / "out") == files(root / "whole")
    return finished + disturbed


def main() -> None:
    """Run the campaign in a temporary folder."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--times", type=int, default=50)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        finished = campaign(Path(folder), options.times, options.seed)
    print(
        f"{options.times} runs killed: nothing half-written; the {finished} preparations they "
        "hit went on to their end, each with the bytes of one never disturbed"
    )


if __name__ == "__main__":
    main()
