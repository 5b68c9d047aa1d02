"""The folder of a run: what a training writes there, and which training it is of."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.parse import usable
from data_prep.files.hashed_json import read_hashed
from data_prep.files.output_folder import RECORD, Output, own_folder
from data_prep.prepared.dataset import Dataset
from sdunet.runtime.callbacks import CURVE, METRICS
from sdunet.runtime.checkpoint import PREVIOUS, STATE, check_unchanged, states
from sdunet.segmentation.config import TaskConfig, TrainingConfig, network_config
from sdunet.segmentation.models.run_settings import FREE, SETTINGS
from sdunet.segmentation.models.seen_cases import TRAINING_CASES
from sdunet.segmentation.models.trained_model import DESCRIPTION, WEIGHTS

VALIDATION_CASES = "validation_cases.txt"
_LISTS = (VALIDATION_CASES, TRAINING_CASES)
_FILES = (DESCRIPTION, WEIGHTS, STATE, PREVIOUS, *_LISTS, SETTINGS, RECORD, METRICS, CURVE)


def hash_set(dataset: Dataset) -> str:
    """Return the SHA-256 of a dataset, whatever the fold."""
    return sha256((dataset.root / "dataset.json").read_bytes()).hexdigest()


def hash_data(dataset: Dataset, fold: int | None) -> str:
    """Return the SHA-256 of what a fold of a dataset is trained on, see `Dataset.sides`."""
    described = (dataset.root / "dataset.json").read_bytes()
    described += json.dumps(dataset.sides(fold)).encode()
    return sha256(described).hexdigest()


def settings_for(task: TaskConfig, dataset: Dataset, fold: int | None) -> dict[str, Any]:
    """Return the settings of a run, as JSON will hold them."""
    settings = {
        "fold": fold,
        "data_sha256": hash_data(dataset, fold),
        "set_sha256": hash_set(dataset),
        "network": asdict(task.network),
        "training": asdict(task.training),
        "trainer": asdict(task.trainer),
    }
    return json.loads(json.dumps(settings))  # lists for tuples, as they will be read


def own_run(out: Path, resume: bool) -> AbstractContextManager[Output]:
    """Make the folder that of this run, which goes on from a state even if that is damaged."""
    return own_folder(out, "train", part=None, adopt=_FILES if resume else None)


def has_trained(out: Path) -> bool:
    """Tell whether a training left anything to lose in the folder `out`."""
    return bool(states(out)) or (out / WEIGHTS).exists()


def check_run_folder(out: Path, settings: Mapping[str, Any], resume: bool) -> None:
    """Refuse a folder that holds a run, or to go on with one of other settings.

    Raises:
        DataError: RUN_EXISTS, or CONFIG_RESUME with what differs; OUT_CHANGED if a file is of
            another run; RUN_SETTINGS if the settings cannot be read.
    """
    if not resume:
        if has_trained(out):
            raise DataError(
                "RUN_EXISTS", f"a run is already in {out}", "give another --out, or --resume"
            )
        return
    with usable("RUN_SETTINGS", out / SETTINGS, "train anew"):
        before = read_hashed(out / SETTINGS)
        before["training"] = json.loads(json.dumps(asdict(TrainingConfig()))) | before["training"]
        before["network"] = json.loads(json.dumps(asdict(network_config(before["network"]))))
        for name in FREE:
            before["training"][name] = settings["training"][name]
        differing = [
            f"{section}.{name}: {before[section][name]!r} then, {now!r} now"
            for section in ("network", "training", "trainer")
            for name, now in settings[section].items()
            if before[section][name] != now
        ]
        differing += [
            f"{name}: {before.get(name)!r} then, {settings.get(name)!r} now"
            for name in ("fold", "data_sha256", "init_sha256")
            if before.get(name) != settings.get(name)
        ]
    check_unchanged(out, _FILES)
    if differing:
        raise DataError(
            "CONFIG_RESUME",
            f"the run in {out} has other settings: {'; '.join(differing)}",
            "resume it with its own, or start a new run in another --out",
        )
