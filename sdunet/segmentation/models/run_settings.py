"""The settings a run was begun with, which stand beside its weights and in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.core.parse import usable
from data_prep.files.hashed_json import read_hashed
from data_prep.files.written_files import is_there
from sdunet.runtime.safetensors_io import check_run

SETTINGS = "settings.json"  # that a run was trained with, written when it begins
# Settings that a resumed run may change. More epochs also stretch the fall of the learning rate.
FREE = (
    "epochs",
    "patience",
    "max_time",
    "workers",
    "device",
    "save_steps",
    "logger",
    "tensorboard",
)


def is_of_all(settings: Mapping[str, Any]) -> bool:
    """Tell whether a run was trained on all cases, so that none validated it."""
    return "fold" in settings and settings["fold"] is None


def own_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells a run from every other: all that it may not change when resumed."""
    training = {n: value for n, value in settings["training"].items() if n not in FREE}
    return {"command": "train", **settings, "training": training}


def check_weights(weights: Path) -> None:
    """Refuse weights of another run than the settings beside them are of.

    Packages have no settings, and weights of earlier versions do not tell.

    Raises:
        DataError: RUN_OTHER, with what differs; RUN_SETTINGS if the settings are damaged.
    """
    path = weights.with_name(SETTINGS)
    if not is_there(path):
        return
    with usable("RUN_SETTINGS", path, "train anew"):
        own = own_settings(read_hashed(path))
    check_run(weights, own)
