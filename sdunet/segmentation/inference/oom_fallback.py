"""What a prediction does when the memory of a device is full: smaller steps, then the processor."""

from collections.abc import Callable

import torch
from torch import Tensor

from data_prep.core.errors import DataError, words_of
from sdunet.runtime.torch_errors import is_out_of_memory
from sdunet.segmentation.inference.sliding_window import WindowPredictor


class Fallback:
    """Calls a predictor of windows; out of memory, window by window, and then on the processor.

    Args:
        windows: gives the probabilities of windows.
        say: is told once of each step back.
    """

    def __init__(self, windows: WindowPredictor, say: Callable[[str], None]) -> None:
        self.windows = windows
        self.say = say
        self.batch: int | None = None

    def __call__(self, windows: Tensor) -> Tensor:
        """Return the probabilities of windows `(N, C, ...)`.

        Raises:
            DataError: PRED_MEMORY if not even one window fits the memory of the processor.
        """
        try:
            parts = windows.split(self.batch or len(windows))
            return torch.cat([self.windows(part) for part in parts])
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self._step_back(windows, error)
        return self(windows)

    def _step_back(self, windows: Tensor, error: RuntimeError) -> None:
        if self.batch is None and len(windows) > 1:
            self.batch = 1
            self.say("out of GPU memory: windows are predicted one by one from here on")
        elif self.windows.device.type != "cpu":
            self.windows.device = torch.device("cpu")
            for network in self.windows.networks:
                network.cpu()
            torch.cuda.empty_cache()
            self.say("out of GPU memory: this and all further scans are predicted on the CPU")
        else:
            raise DataError(
                "PRED_MEMORY",
                f"no memory for one window: {words_of(error)}",
                "close other programs, or train with a smaller dataset.patch_size",
            ) from error
