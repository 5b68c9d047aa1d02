"""Every command that writes, on data so small that each takes about a second, to be killed at it.

A command is what a user types, and how somebody would read what it left.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from data_prep.checks.run import check
from data_prep.core.config import DataConfig
from data_prep.core.parse import read_json
from data_prep.files.file_tree import open_tree
from data_prep.planning.plan_json import read_plan
from data_prep.prepared.dataset import load_dataset
from sdunet.segmentation.evaluation.compare_models import read_scores
from sdunet.segmentation.evaluation.pairing import open_pairs
from sdunet.segmentation.models.integrity import verify
from sdunet.segmentation.models.trained_model import load_model
from sdunet.vae.data.packed import load_packed

TASK = {
    "dataset": {"labels": {"background": 0, "disc": 1}, "label_map": {255: 1}, "folds": 3},
    "network": {"features": [4, 6, 8], "num_features": 3, "dropout": 0.1},
    "training": {"epochs": 2, "batch_size": 2, "device": "cpu", "ema": 0.9, "save_steps": 1},
}
VAE = {
    "images": {"channels": 1, "size": [6, 8]},
    "ladder": {
        **{"depth": 2, "downsample_at": [0], "z_channels": 2, "h_channels": 4},
        **{"context_channels": 4, "sdn_max_scale": 8, "sdn_features": 3},
    },
    "training": {"epochs": 2, "batch_size": 10, "device": "cpu"},
}
_TWICE = "is there"  # what a command says of a result that it does not replace


@dataclass(frozen=True)
class Command:
    """A command that writes to the folder `out`; other folders are those of `made_by`.

    Attributes:
        lines: what a user types; several are typed at the same time.
        read: reads what is there as if it were whole; raises, or returns false, if it is not.
        again: added when it is run again, if `begun` is in `out`; without it, if it is.
        begun: name of a file.
        made_by: folder of a result that `out` begins as.
        once: refuses to write where a whole result is.
    """

    lines: tuple[str, ...]
    read: Callable[[Path], object]
    again: str = ""
    begun: str = ""
    made_by: str = ""
    once: bool = False


def _file(name: str) -> Callable[[Path], object]:
    return lambda out: (out / name).read_bytes()


def _record(name: str) -> Callable[[Path], object]:
    return lambda out: read_json(out / name)


def _set_of_all(out: Path) -> None:
    check(out, DataConfig()).require_usable()


def _every_prediction(out: Path) -> None:
    pairs = open_pairs(out, out.parent / "raw")
    found = [pairs.read(case).problem for case in pairs.cases]
    for problem in (*pairs.problems, *found):
        if problem:
            raise problem


def _every_score(out: Path) -> None:
    _, problems = read_scores([out, out.parent / "scores"], ["killed", "whole"])
    if problems:
        raise problems[0]


_SET = "--config task.json"
_PREDICT = "predict --model run -i raw -o {out} --device cpu"
_COMPARE = "compare scores scores_too --names one two --metrics dice"
_PAGE = "--images raw --ref raw --pred predictions predictions"

# In this order: a command may read what those before it made.
COMMANDS = {
    "check --fix": Command(("check volumes --fix {out}",), _set_of_all),
    "convert": Command(("convert volumes -o {out} --to monai",), _set_of_all),
    "plan": Command(
        ("plan volumes -o {out}/plan.json",), lambda out: read_plan(out / "plan.json"), once=True
    ),
    "prepare": Command((f"prepare raw -o {{out}} {_SET}",), load_dataset),
    "prepare, volumes": Command(("prepare volumes -o {out}",), load_dataset),
    "train": Command(
        (f"train --data set --out {{out}} {_SET}",),
        _record("run.json"),
        "--resume",
        "settings.json",
    ),
    "postprocess": Command(
        ("postprocess --model {out} --data set",), _record("postprocess.json"), made_by="run"
    ),
    "predict": Command((_PREDICT,), _every_prediction, "--resume"),
    "predict, in parts": Command(
        tuple(f"{_PREDICT} --shard {part}/2" for part in range(2)), _every_prediction, "--resume"
    ),
    "predict, with probabilities": Command(
        (f"{_PREDICT} --probabilities --uncertainty",), _every_prediction, "--resume"
    ),
    "evaluate": Command(("evaluate --pred predictions --ref raw -o {out}",), _every_score),
    "overlay": Command(
        ("overlay --images raw --ref raw --pred predictions -o {out}",), _file("review.html")
    ),
    "compare": Command((f"{_COMPARE} {_PAGE} -o {{out}}",), _file("review.html")),
    "export": Command(
        ("export --model run -o {out}/package",),
        lambda out: load_model(out / "package"),
        once=True,
    ),
    "export --zip": Command(
        ("export --model run -o {out}/package.zip --zip",),
        lambda out: verify(open_tree(out / "package.zip")),
        once=True,
    ),
    "demo": Command(("demo --out {out}",), _file("overlays/review.html")),
    "vae prepare": Command(("vae prepare noise.npz -o {out}",), load_packed, once=True),
    "vae train": Command(
        ("vae train --data packed --out {out} --config vae.json",),
        _record("run.json"),
        "--resume",
        "last.safetensors",
    ),
    "vae evaluate": Command(
        ("vae evaluate --model {out} --data packed --device cpu",),
        _record("evaluation.json"),
        made_by="vae",
    ),
    "vae sample": Command(
        ("vae sample --model vae -o {out} --count 4 --device cpu",), _file("samples_1.png")
    ),
}  # fmt: skip
# Results that others read, and the command that makes each.
NEEDED = {
    "set": "prepare",
    "run": "train",
    "predictions": "predict, with probabilities",
    "scores": "evaluate",
    "scores_too": "evaluate",
    "packed": "vae prepare",
    "vae": "vae train",
}


def make_inputs(root: Path, cases: int = 6) -> None:
    """Write pictures of discs, volumes of noise, small images, and settings."""
    rows, columns = np.indices((48, 48))
    for number in range(cases):
        random = np.random.default_rng(number)
        disc = np.hypot(rows - random.integers(15, 33), columns - 24) < 9
        image = (disc * 120 + random.normal(60, 20, disc.shape)).clip(0, 255)
        noise = random.integers(1, 900, (24, 24, 24)).astype(np.int16)
        for folder, array in (("images", image), ("masks", disc * 255)):
            path = root / "raw" / folder / f"disc_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(path)
        for folder, array in (("images", noise), ("labels", (noise > 450).astype(np.uint8))):
            path = root / "volumes" / folder / f"case_{number}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 8)).astype(np.uint8)
    np.savez(root / "noise.npz", train=images, test=images[:8])
    for name, settings in (("task", TASK), ("vae", VAE)):
        (root / f"{name}.json").write_text(json.dumps(settings))
