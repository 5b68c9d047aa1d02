"""The memory that patches are planned for where the user names none."""

import torch

_DEFAULT_GB = 8.0  # without a GPU, where time is short before memory is
_USABLE = 0.9  # the rest is for the context of CUDA and for what torch leaves between tensors


def memory_of_device() -> float:
    """Return what the smallest GPU here can give to training, or 8 without one, in GB (1e9 bytes).

    Halves of a GB are rounded down, so that cards of one kind plan alike.
    """
    if not torch.cuda.is_available():
        return _DEFAULT_GB
    devices = range(torch.cuda.device_count())
    smallest = min(torch.cuda.get_device_properties(device).total_memory for device in devices)
    return max(smallest * _USABLE // 5e8 / 2, 0.5)
