"""Where a command computes."""

import os
import re

import torch

from data_prep.core.errors import DataError


def choose_device(name: str | torch.device) -> str:
    """Return torch's name for `auto`, `cpu` or `gpu`; its own names `cuda` and `cuda:N` as well.

    Raises:
        DataError: CONFIG_DEVICE if a GPU is asked for and there is none, or for another name.
    """
    name = str(name)
    gpu = re.fullmatch(r"gpu|cuda(?::([0-9]{1,3}))?", name)
    if gpu is None and name not in ("auto", "cpu"):
        raise DataError("CONFIG_DEVICE", f"no device {name!r:.80}", "use auto, cpu or gpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpu and not count:
        raise DataError("CONFIG_DEVICE", "no GPU can be used here", "use cpu or auto")
    if gpu and gpu[1]:
        if int(gpu[1]) >= count:
            raise DataError("CONFIG_DEVICE", f"{name} of {count} GPUs", "count them from 0")
        return name
    return "cuda" if name != "cpu" and count else "cpu"


def own_device(name: str) -> str:
    """Return the device of this process: as `choose_device`, a GPU each under torchrun.

    Raises:
        DataError: as `choose_device`.
    """
    device = choose_device(name)
    own = device == "cuda" and torch.distributed.is_torchelastic_launched()
    return f"cuda:{os.environ['LOCAL_RANK']}" if own else device


def check_processes(devices: int, nodes: int) -> None:
    """Hold the processes that were started for a training to the number that it is set to.

    Others would each train in the same folder, or be one that never writes.

    Raises:
        DataError: CONFIG_DEVICES.
    """
    wanted = devices * nodes
    if torch.distributed.is_torchelastic_launched():
        started = int(os.environ["WORLD_SIZE"])
        if started != wanted:
            raise DataError(
                "CONFIG_DEVICES",
                f"torchrun started {started} processes, devices x nodes are {wanted}",
                f"set devices to those that each node starts, such as {started}",
            )
        return
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    if wanted == 1 and (rank := next((n for n in names if int(os.environ.get(n) or 0)), None)):
        raise DataError(
            "CONFIG_DEVICES",
            f"{rank} is {os.environ[rank]}, as in one of several processes; devices x nodes are 1",
            f"set devices, or unset {rank}",
        )


def own_part() -> tuple[int, int]:
    """Return the number of this process, and how many torchrun started; 0 and 1 without it."""
    if not torch.distributed.is_torchelastic_launched():
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
