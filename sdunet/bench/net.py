"""A training step of the SDU-Net beside that of the same U-Net and of MONAI's networks."""

import copy
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from monai.networks.nets import AttentionUnet, BasicUNet, BasicUNetPlusPlus, SwinUNETR
from torch import Tensor, nn

from sdunet.bench.loop import LoopSweep, has_loop
from sdunet.bench.sweep import Row
from sdunet.bench.timing import interleave, peak_extra_bytes
from sdunet.layers import Sweep
from sdunet.nets.unet import SDUNet

_FEATURES = (16, 32, 64, 128, 256)
# Where the authors' network sweeps.
_SDN = {"sdn_encoder": (0, 2, 3, 4), "sdn_decoder": (0, 2, 3), "num_features": 16}
_GATE = 1e-5


def networks(with_loop: bool) -> dict[str, Callable[[], nn.Module]]:
    """Makers of the contenders, of the same widths where they can be."""
    basic = (*_FEATURES, _FEATURES[0])
    found = {
        "sdunet": partial(SDUNet, 2, 1, 2, _FEATURES, **_SDN),
        "unet, same widths": partial(SDUNet, 2, 1, 2, _FEATURES, sdn_decoder=()),
        "MONAI BasicUNet": partial(BasicUNet, 2, 1, 2, basic),
        "MONAI BasicUNetPlusPlus": partial(BasicUNetPlusPlus, 2, 1, 2, basic),
        "MONAI AttentionUnet": partial(AttentionUnet, 2, 1, 2, _FEATURES, (2, 2, 2, 2)),
        "MONAI SwinUNETR": partial(SwinUNETR, 1, 2, spatial_dims=2, feature_size=24),
    }
    if with_loop and has_loop():
        found["sdunet, published loop"] = _loop_network
    return found


def run_networks(
    batch: int, side: int, device: str, seconds: float, full: bool, say: Callable[[str], None]
) -> list[Row]:
    """Time forward and training step of each network on images `(batch, 1, side, side)`.

    With `full` the published loop is a contender too, and memory is measured.
    """
    case = f"{side}x{side} batch {batch}"
    found = gate_error(device)
    if not found < _GATE:
        return [Row(case, "sdunet", refused=f"relative error {found:.1e}")]
    makers = networks(full)
    say(f"training steps at {case} ...")
    forward = interleave(
        {name: _prepare(make, batch, side, device, False) for name, make in makers.items()},
        seconds / 3,
    )
    step = interleave(
        {name: _prepare(make, batch, side, device, True) for name, make in makers.items()}, seconds
    )
    peaks: dict[str, int | None] = {}
    for name, make in makers.items() if full else ():
        say(f"memory of {name} ...")
        peaks[name] = peak_extra_bytes(device, _prepare, make, batch, side, device, True)
    return [Row(case, name, forward[name], step[name], peaks.get(name)) for name in makers]


def parameters(loop: bool) -> dict[str, int]:
    """Return the number of parameters of each network."""
    return {
        name: sum(p.numel() for p in make().parameters()) for name, make in networks(loop).items()
    }


def gate_error(device: str) -> float:
    """Return the relative error of the SDU-Net's logits against the definition in float64."""
    torch.manual_seed(0)
    network = networks(False)["sdunet"]().to(device)
    exact = copy.deepcopy(network).double()
    for module in exact.modules():
        if isinstance(module, Sweep):
            module.backend = "reference"
    x = torch.randn(2, 1, 48, 64, device=device)
    with torch.no_grad():
        want = exact(x.double())
        return ((network(x).double() - want).norm() / want.norm()).item()


def _loop_network() -> nn.Module:
    network = networks(False)["sdunet"]()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Sweep):
                setattr(module, name, LoopSweep(child))
    return network


def _prepare(
    make: Callable[[], nn.Module], batch: int, side: int, device: str, train: bool
) -> Callable[[], object]:
    torch.manual_seed(0)
    network = make().to(device)
    x = torch.randn(batch, 1, side, side, device=device)
    target = torch.randint(0, 2, (batch, side, side), device=device)
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
