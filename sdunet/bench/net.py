"""A training step of the SDU-Net beside that of the same U-Net and of MONAI's networks."""

import copy
from collections.abc import Callable
from functools import partial
from typing import get_args

import torch
import torch.nn.functional as F
from monai.networks.nets import AttentionUnet, BasicUNet, BasicUNetPlusPlus, SwinUNETR
from torch import Tensor, nn

from sdunet.bench.published_loop import LoopSweep
from sdunet.bench.sweep import Row
from sdunet.bench.timing import interleave, listed, peak_extra_bytes
from sdunet.cells import CellName
from sdunet.layers import Sweep
from sdunet.nets.unet import SDUNet

_FEATURES = (16, 32, 64, 128, 256)
_VOLUME_FEATURES = (16, 32, 64, 128)
BASELINE = "unet, same widths"
# It sweeps where the authors' network does.
_AUTHORS = partial(
    SDUNet,
    *(2, 1, 2, _FEATURES),
    sdn_encoder=(0, 2, 3, 4),
    sdn_decoder=(0, 2, 3),
    num_features=16,
)
_GATE = 4.0  # times the error of the definition in float32

Size = tuple[int, ...]  # of a batch of images, (N, 1, ...)
FULL: tuple[Size, Size] = (4, 1, 256, 256), (1, 1, 32, 64, 64)
QUICK: tuple[Size, Size] = (1, 1, 64, 64), (1, 1, 16, 16, 16)
Makers = dict[str, Callable[[], nn.Module]]


def our_networks() -> Makers:
    """Makers of those contenders on images that are of this package."""
    ours = partial(SDUNet, 2, 1, 2, _FEATURES)
    found: Makers = {BASELINE: partial(ours, sdn_decoder=())}
    for cell in get_args(CellName):
        found[f"sdunet, {cell}"] = partial(ours, cell=cell)
        found[f"sdunet, {cell}, authors' levels"] = partial(_AUTHORS, cell=cell)
    return found


def networks(with_loop: bool) -> Makers:
    """Makers of the contenders on images, of the same widths where they can be."""
    basic = (*_FEATURES, _FEATURES[0])
    found = our_networks() | {
        "MONAI BasicUNet": partial(BasicUNet, 2, 1, 2, basic),
        "MONAI BasicUNetPlusPlus": partial(BasicUNetPlusPlus, 2, 1, 2, basic),
        "MONAI AttentionUnet": partial(AttentionUnet, 2, 1, 2, _FEATURES, (2, 2, 2, 2)),
        "MONAI SwinUNETR": partial(SwinUNETR, 1, 2, spatial_dims=2, feature_size=24),
    }
    if with_loop:
        found["published loop, authors' levels"] = _loop_network
    return found


def volume_networks() -> Makers:
    """Makers of the contenders on volumes."""
    ours = partial(SDUNet, 3, 1, 2, _VOLUME_FEATURES)
    sweeping = {f"sdunet, {cell}": partial(ours, cell=cell) for cell in get_args(CellName)}
    return {BASELINE: partial(ours, sdn_decoder=()), **sweeping}


def run_networks(
    size: Size,
    makers: Makers,
    device: str,
    seconds: float,
    memory: bool,
    say: Callable[[str], None],
) -> list[Row]:
    """Time forward and training step of each network, and measure its memory, if asked to."""
    case = f"{'x'.join(map(str, size[2:]))} batch {size[0]}"
    found = max(gate_error(cell, device) for cell in get_args(CellName))
    if not found < _GATE:
        return [Row(case, "sdunet", refused=f"{found:.1f} x the error of the definition")]
    say(f"training steps at {case} ...")
    forward, step = (
        interleave(
            {name: _prepare(make, size, device, train) for name, make in makers.items()},
            seconds if train else seconds / 3,
        )
        for train in (False, True)
    )
    say(listed(step))
    peaks: dict[str, int | None] = {}
    for name, make in makers.items() if memory else ():
        say(f"memory of {name} ...")
        peaks[name] = peak_extra_bytes(device, _prepare, make, size, device, True)
    return [Row(case, name, forward[name], step[name], peaks.get(name)) for name in makers]


def parameters(makers: Makers) -> dict[str, int]:
    """Return the number of parameters of each network."""
    return {name: sum(p.numel() for p in make().parameters()) for name, make in makers.items()}


def gate_error(cell: CellName, device: str) -> float:
    """Return the error of the SDU-Net's logits, 1 being that of the definition in float32.

    Both are held to the definition in float64, in a network that is in float64 but for its sweeps:
    what convolutions round differs by device, and deep networks enlarge what anything rounds.
    """
    torch.manual_seed(0)
    exact = _AUTHORS(cell=cell).to(device).double()
    ours, defined = copy.deepcopy(exact), copy.deepcopy(exact)
    for network, backend, dtype in (
        (exact, "reference", torch.float64),
        (ours, "auto", torch.float32),
        (defined, "reference", torch.float32),
    ):
        for sweep in (module for module in network.modules() if isinstance(module, Sweep)):
            sweep.to(dtype).backend = backend
            sweep.register_forward_pre_hook(lambda _, args, dtype=dtype: args[0].to(dtype))
            sweep.register_forward_hook(lambda _, args, swept: swept.double())
    x = torch.randn(2, 1, 48, 64, device=device, dtype=torch.float64)
    with torch.no_grad():
        want, got, by_definition = exact(x), ours(x), defined(x)
    return ((got - want).norm() / (by_definition - want).norm()).item()


def _loop_network() -> nn.Module:
    network = _AUTHORS(cell="gru")
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Sweep):
                setattr(module, name, LoopSweep(child))
    return network


def _prepare(
    make: Callable[[], nn.Module], size: Size, device: str, train: bool
) -> Callable[[], object]:
    torch.manual_seed(0)
    network = make().to(device)
    x = torch.randn(size, device=device)
    target = torch.randint(0, 2, (size[0], *size[2:]), device=device)
    if not train:
        return partial(_infer, network, x)
    return partial(_step, network, torch.optim.AdamW(network.parameters()), x, target)


@torch.no_grad()
def _infer(network: nn.Module, x: Tensor) -> Tensor:
    return _logits(network, x)


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, target: Tensor) -> None:
    optimizer.zero_grad()
    F.cross_entropy(_logits(network, x), target).backward()
    optimizer.step()


def _logits(network: nn.Module, x: Tensor) -> Tensor:
    found = network(x)
    return found[0] if isinstance(found, list) else found
