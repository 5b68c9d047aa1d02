"""Where a command computes."""

import os
import re
import socket
from collections.abc import Mapping

import torch

from data_prep.core.errors import DataError
from sdunet.runtime.threads import usable_cores


def choose_device(name: str | torch.device, option: str = "--device") -> str:
    """Return torch's name for `auto`, `cpu` or `gpu`; its own names `cuda` and `cuda:N` as well.

    Args:
        name: of the device.
        option: by which it is given.

    Raises:
        DataError: CONFIG_DEVICE if a GPU is asked for and there is none, or for another name.
    """
    name = str(name)
    gpu = re.fullmatch(r"gpu|cuda(?::([0-9]{1,3}))?", name)
    if gpu is None and name not in ("auto", "cpu"):
        raise DataError(
            "CONFIG_DEVICE", f"no device {name!r:.80}", f"set {option} to auto, cpu or gpu"
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpu and not count:
        raise DataError("CONFIG_DEVICE", "no GPU can be used here", f"set {option} to cpu or auto")
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


# What Lightning and torch make numbers of, some as they are imported.
_NUMBERS = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"),
    *("JSM_NAMESPACE_RANK", "MASTER_PORT"),
)


def check_environment() -> None:
    """Refuse variables that number processes and are no numbers, before Lightning is imported.

    Raises:
        DataError: CONFIG_DEVICES, with the first of them.
    """
    for name in _NUMBERS:
        text = os.environ.get(name, "0").strip()
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            found = f"{name} is {os.environ[name]!r:.80} in the environment, and no number from 0"
            raise DataError("CONFIG_DEVICES", found, f"unset {name}, or set it to a number")


def check_share(
    processes: tuple[int, int], shared: Mapping[str, int], device: str, name: str
) -> None:
    """Refuse more processes than have anything to do, before any is started.

    Args:
        processes: of each node, and nodes.
        shared: how many there are of what each process must have one of, by their names.
        device: that computes, `cpu` or a GPU of torch.
        name: of the setting of processes of a node.

    Raises:
        DataError: CONFIG_DEVICES.
    """
    each, nodes = processes
    for what, count in shared.items():
        if each * nodes > count:
            found = f"{each * nodes} processes for {count} {what}"
            raise DataError("CONFIG_DEVICES", found, f"use fewer {name}")
    kind, there = ("cores, and no GPU is used", usable_cores())
    if device != "cpu":
        kind, there = "GPUs", torch.cuda.device_count()
    if each > there:
        found = f"{each} processes of one machine on {there} {kind}"
        raise DataError("CONFIG_DEVICES", found, f"set {name} to {there}, or less")


def check_processes(
    devices: int,
    nodes: int,
    names: tuple[str, str] = ("trainer.devices", "trainer.num_nodes"),
) -> None:
    """Hold the processes that were started for a training to the number that it is set to.

    Others would each train in the same folder, be one that never writes, or wait for ever for those
    that nobody starts.

    Args:
        devices: processes of each node.
        nodes: computers.
        names: of these settings.

    Raises:
        DataError: CONFIG_DEVICES.
    """
    wanted, (of_devices, of_nodes) = devices * nodes, names
    asked = f"{of_devices} x {of_nodes} are {wanted}"
    started = _number("WORLD_SIZE")
    if torch.distributed.is_torchelastic_launched():
        if started != wanted:
            raise DataError(
                "CONFIG_DEVICES",
                f"torchrun started {started} processes, {asked}",
                f"set {of_devices} to those that each node starts, such as {started}",
            )
        return
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
    if wanted == 1 and (rank := next(filter(_number, ranks), None)):
        raise _left_over(rank, f"as in one of several processes; {asked}", of_devices)
    if started not in (0, wanted):
        raise _left_over("WORLD_SIZE", f"as of so many processes; {asked}", of_devices)
    if wanted > 1 and _number("NODE_RANK") >= nodes:
        raise _left_over("NODE_RANK", f"as of one of more nodes; {of_nodes} is {nodes}", of_nodes)
    if nodes > 1 and not _is_slurm():
        needed = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")  # of which Lightning makes up the rest
        if missing := [name for name in needed if not os.environ.get(name)]:
            raise DataError(
                "CONFIG_DEVICES",
                f"{of_nodes} is {nodes}, and nothing tells this process of the other nodes: "
                f"neither torchrun nor SLURM started it, and {', '.join(missing)} is not set",
                f"start it by torchrun or srun on each node, or set {of_nodes} to 1",
            )
    address = os.environ.get("MASTER_ADDR")
    if wanted > nodes == 1 and address and not _is_here(address):
        raise _left_over("MASTER_ADDR", f"which is not this machine; {of_nodes} is 1", of_nodes)


def _number(name: str) -> int:
    """Return a whole number of the environment; 0 where there is none."""
    text = os.environ.get(name, "").strip()
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _is_slurm() -> bool:
    """Tell whether SLURM starts the processes, which Lightning believes of no interactive job."""
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return "SLURM_NTASKS" in os.environ and not interactive


def _left_over(name: str, found: str, setting: str) -> DataError:
    found = f"{name} is {os.environ[name]}, {found}"
    return DataError("CONFIG_DEVICES", found, f"set {setting}, or unset {name}")


def _is_here(address: str) -> bool:
    """Tell whether an address is one of this machine: others cannot be listened at."""
    try:
        socket.create_server((address, 0)).close()
    except (OSError, UnicodeError):
        return False
    return True


def own_part() -> tuple[int, int]:
    """Return the number of this process, and how many torchrun started; 0 and 1 without it.

    Raises:
        DataError: CONFIG_DEVICES if the environment is not as torchrun leaves it.
    """
    if not torch.distributed.is_torchelastic_launched():
        return 0, 1
    told = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE")}
    numbers = [int(text) if text.isdecimal() and len(text) < 10 else -1 for text in told.values()]
    if not 0 <= numbers[0] < numbers[1]:
        found = ", ".join(f"{name} is {text!r:.40}" for name, text in told.items())
        fix = "start it by torchrun, or unset TORCHELASTIC_RUN_ID"
        raise DataError("CONFIG_DEVICES", f"{found}, as no torchrun leaves them", fix)
    return numbers[0], numbers[1]
