"""What torch's bare errors are called here, so that users read what to do."""

import torch

from data_prep.core.errors import DataError
from data_prep.core.memory_limits import TORCH_FULL

_MEMORY = (TORCH_FULL, "CUDA error: out of memory", "ALLOC_FAILED")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether the memory of a device was too small."""
    return isinstance(error, torch.OutOfMemoryError) or any(w in str(error) for w in _MEMORY)


def not_finite(found: str) -> DataError:
    """Return the error of a training, or of a model it left, that gives NaN or infinity."""
    return DataError(
        "RUN_NONFINITE",
        found,
        "train anew with a lower training.learning_rate, or with training.precision 32-true",
    )


def named(error: RuntimeError) -> DataError | None:
    """Return what an error of a training is called; `None` where it is none that users can mend."""
    text = str(error).strip()
    if is_out_of_memory(error):
        return DataError(
            "RUN_MEMORY",
            text.splitlines()[0][:200],
            "close other programs, or lower training.batch_size or dataset.patch_size",
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
