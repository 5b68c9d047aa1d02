"""What torch's bare errors are called here, so that users read what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from data_prep.core.errors import DataError, words_of
from data_prep.core.memory_limits import TORCH_FULL

SMALLER = "training.batch_size or dataset.patch_size"  # settings of a segmentation
_MEMORY = (TORCH_FULL, "alloc_cpu", "CUDA error: out of memory", "ALLOC_FAILED")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether the memory of a device was too small."""
    return isinstance(error, torch.OutOfMemoryError) or any(w in str(error) for w in _MEMORY)


@contextmanager
def lightning_errors() -> Iterator[None]:
    """Name what Lightning refuses.

    Raises:
        DataError: CONFIG_DEVICES for what SLURM starts otherwise than it is set.
    """
    try:
        yield
    except RuntimeError as error:
        if "SLURM" not in str(error):
            raise
        fix = "start it by srun with --ntasks-per-node, or without tasks"
        raise DataError("CONFIG_DEVICES", words_of(error), fix) from error


@contextmanager
def fit_errors(smaller: str) -> Iterator[None]:
    """Name what a training raises, see `named`, and tell Ctrl-C from an end of the process.

    Args:
        smaller: settings that take less memory when lowered.

    Raises:
        DataError: as `named`.
        KeyboardInterrupt: for what Lightning makes of Ctrl-C.
    """
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    except RuntimeError as error:
        if (known := named(error, smaller)) is None:
            raise
        raise known from error


@contextmanager
def memory_errors(fix: str) -> Iterator[None]:
    """Name what torch and NumPy raise where memory ends.

    Args:
        fix: what a user can do about it.

    Raises:
        DataError: RUN_MEMORY.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not is_out_of_memory(error):
            raise
        words = str(error).strip() or "memory is full"
        raise DataError("RUN_MEMORY", words.splitlines()[0][:200], fix) from error


def not_finite(found: str) -> DataError:
    """Return the error of a training, or of a model it left, that gives NaN or infinity."""
    return DataError(
        "RUN_NONFINITE",
        found,
        "train anew with a lower training.learning_rate, or with training.precision 32-true",
    )


def named(error: RuntimeError, smaller: str = SMALLER) -> DataError | None:
    """Return what an error of a training is called; `None` where it is none that users can mend."""
    text = str(error).strip()
    if is_out_of_memory(error):
        return DataError(
            "RUN_MEMORY",
            text.splitlines()[0][:200],
            f"close other programs, or lower {smaller}",
        )
    if "DataLoader worker" in text:
        return DataError(
            "RUN_LOADER",
            f"a worker that loads data ended: {text.splitlines()[-1][:300]}",
            "mend what it says, or set training.workers to 0",
        )
    if "loading state_dict" in text:
        return DataError(
            "MODEL_WEIGHTS", "the state of a training of another network", "train anew"
        )
    return None
