"""Where a command computes."""

import torch

from data_prep.errors import DataError


def choose_device(name: str) -> str:
    """Return torch's name for `auto`, `cpu` or `gpu`.

    Raises:
        DataError: CONFIG_DEVICE if a GPU is asked for and there is none.
    """
    if name == "gpu" and not torch.cuda.is_available():
        raise DataError("CONFIG_DEVICE", "no GPU can be used here", "use cpu or auto")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
