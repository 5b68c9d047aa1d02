"""Where a command computes."""

import os

import torch

from data_prep.core.errors import DataError


def choose_device(name: str) -> str:
    """Return torch's name for `auto`, `cpu` or `gpu`.

    Raises:
        DataError: CONFIG_DEVICE if a GPU is asked for and there is none.
    """
    if name == "gpu" and not torch.cuda.is_available():
        raise DataError("CONFIG_DEVICE", "no GPU can be used here", "use cpu or auto")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def own_device(name: str) -> str:
    """Return the device of this process: as `choose_device`, a GPU each under torchrun.

    Raises:
        DataError: as `choose_device`.
    """
    device = choose_device(name)
    own = device == "cuda" and torch.distributed.is_torchelastic_launched()
    return f"cuda:{os.environ['LOCAL_RANK']}" if own else device


def own_part() -> tuple[int, int]:
    """Return the number of this process, and how many torchrun started; 0 and 1 without it."""
    if not torch.distributed.is_torchelastic_launched():
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
