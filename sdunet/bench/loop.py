"""The sweep as the published code runs it, where the source tree that holds it is at hand."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from torch import Tensor, nn

from sdunet.layers import Sweep

_FILE = Path(__file__).parents[2] / "scripts" / "grucell_loop.py"
MISSING = "left out: scripts/grucell_loop.py is not beside this installation"


class LoopSweep(nn.Module):
    """Drop-in for `Sweep` in images that runs the published loop with the same weights."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__()
        self.direction = sweep.direction
        self.cell = sweep.cell
        self.run = _module().sweep_in_place

    def forward(self, x: Tensor) -> Tensor:
        """Return the swept map, shaped like `x`."""
        return self.run(x, [self.cell], [self.direction])


def has_loop() -> bool:
    """Return whether the published loop is at hand."""
    return _FILE.exists()


def _module() -> ModuleType:
    name = _FILE.stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _FILE)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
