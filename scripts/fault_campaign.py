"""Kill training and prediction at random moments; see that nothing is lost and nothing changes.

Every state and model that a killed run leaves must load. Resumed until it gets to its end, it must
have made the same bytes as a run that was never disturbed. Temporary files lie on the same file
system and, where there is one in memory, on another.

python scripts/fault_campaign.py --times 30
"""

import argparse
import multiprocessing
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from sdunet.runs.threads import waiting_policy

os.environ.update(waiting_policy())  # before torch is imported

import numpy as np
import torch
from PIL import Image

from data_prep.config import DataConfig
from data_prep.errors import DataError
from data_prep.prepare import prepare
from sdunet.runs.checkpoint import PREVIOUS, STATE, states
from sdunet.runs.weights import read_tensors
from sdunet.segmentation.config import NetworkConfig, TaskConfig, TrainingConfig
from sdunet.segmentation.model import WEIGHTS, load_model
from sdunet.segmentation.predict import PredictOptions, predict
from sdunet.segmentation.train import train

TASK = TaskConfig(
    DataConfig(labels={"background": 0, "disc": 1}, label_map={255: 1}, folds=3),
    NetworkConfig(features=(4, 6, 8), num_features=3, dropout=0.1),
    TrainingConfig(epochs=3, batch_size=2, device="cpu", ema=0.9, save_steps=1),
)
_OTHER = Path("/dev/shm")


def make_raw(root: Path, cases: int = 6) -> None:
    """Write small pictures of discs."""
    rows, columns = np.indices((48, 48))
    for number in range(cases):
        random_ = np.random.default_rng(number)
        disc = np.hypot(rows - random_.integers(15, 33), columns - 24) < 9
        image = (disc * 120 + random_.normal(60, 20, disc.shape)).clip(0, 255)
        for name, array in (("images", image), ("masks", disc * 255)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(root / name / f"disc_{number}.png")


def _same_everywhere(temporary: str) -> None:
    tempfile.tempdir = temporary
    torch.set_num_threads(1)  # sums over several threads round in another way


def _train(root: Path, out: Path, temporary: str) -> None:
    _same_everywhere(temporary)
    train(TASK, root / "set", out, resume=bool(states(out)))


def _predict(root: Path, out: Path, temporary: str) -> None:
    _same_everywhere(temporary)
    predict(root / "whole", root / "raw", out, options=PredictOptions(resume=True))


def killed(work: Callable[..., None], arguments: tuple, after: float | None) -> bool:
    """Run in a process of its own, kill it after some seconds, and tell whether that was in time.

    With `None` it comes to its end.

    Raises:
        AssertionError: if it failed by itself.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sdunet.segmentation.train", "sdunet.segmentation.predict"])
    process = context.Process(target=work, args=arguments)
    process.start()
    process.join(after)
    process.kill()
    process.join()
    assert process.exitcode in (0, -9), f"ended with {process.exitcode}"
    return process.exitcode == -9


def weights_in(run: Path) -> dict[str, bytes]:
    """Return the tensors of the state and of the best model of a run."""
    found = {}
    for name in (STATE, WEIGHTS):
        tensors, _ = read_tensors(run / name)
        found |= {f"{name} {key}": tensor.numpy().tobytes() for key, tensor in tensors.items()}
    return found


def check_loads(run: Path) -> None:
    """Load whatever a killed training left.

    Raises:
        AssertionError: if a file under its final name is not whole.
    """
    for path in [run / name for name in (STATE, PREVIOUS, WEIGHTS) if (run / name).exists()]:
        try:
            read_tensors(path)
        except DataError as error:
            raise AssertionError(f"{path.name} was left half-written") from error
    if (run / WEIGHTS).exists():
        load_model(run)


def kill_training(root: Path, times: int, seed: int, temporary: str) -> int:
    """Kill trainings until so many were killed; return how many of those got to their end.

    Raises:
        AssertionError: if anything was lost or differs.
    """
    moments, kills, ends, disturbed = random.Random(seed), 0, 0, False
    out = root / "run"
    want = weights_in(root / "whole")
    while kills < times or disturbed:
        after = moments.uniform(0.1, 1.5) if kills < times else None
        was_killed = killed(_train, (root, out, temporary), after)
        kills, disturbed = kills + was_killed, disturbed or was_killed
        check_loads(out)
        if (out / "run.json").exists():
            assert weights_in(out) == want, "a resumed run ended elsewhere"
            ends, disturbed = ends + disturbed, False
            shutil.rmtree(out)
    return ends


def kill_prediction(root: Path, times: int, seed: int, temporary: str) -> int:
    """Kill predictions until so many were killed; return how many of those got to their end.

    Raises:
        AssertionError: if anything was lost or differs.
    """
    moments, kills, ends, disturbed = random.Random(seed), 0, 0, False
    out = root / "predicted"
    want = {path.name: path.read_bytes() for path in (root / "whole_predicted").glob("*.png")}
    while kills < times or disturbed:
        after = moments.uniform(0.02, 0.3) if kills < times else None
        was_killed = killed(_predict, (root, out, temporary), after)
        kills, disturbed = kills + was_killed, disturbed or was_killed
        for path in out.glob("*.png"):
            assert path.read_bytes() == want[path.name], f"{path.name} is not what it should be"
        if {path.name for path in out.glob("*.png")} == set(want):
            ends, disturbed = ends + disturbed, False
            shutil.rmtree(out)
    return ends


def prepare_all(root: Path) -> None:
    """Make data, an undisturbed run, and its predictions."""
    make_raw(root / "raw")
    prepare(root / "raw", root / "set", TASK.dataset)
    killed(_train, (root, root / "whole", str(root)), after=None)
    killed(_predict, (root, root / "whole_predicted", str(root)), after=None)


def main() -> None:
    """Run the campaign in a temporary folder."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--times", type=int, default=30, help="kills of each kind")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepare_all(root)
        places = {"the same file system": folder}
        if _OTHER.is_dir():
            places["another file system"] = str(_OTHER)
        for number, (name, temporary) in enumerate(places.items()):
            seed = options.seed + number
            for what, kill in (("training", kill_training), ("prediction", kill_prediction)):
                ends = kill(root, options.times, seed, temporary)
                print(
                    f"{what}, temporary files on {name}: {options.times} kills, nothing half-"
                    f"written; the {ends} runs they hit went on to their end, as if undisturbed",
                    flush=True,
                )


if __name__ == "__main__":
    main()
