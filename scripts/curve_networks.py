"""The networks that trace curves, all of one size and with one normalisation.

Each takes `(N, 1, *size)` of any size and gives logits of the same shape.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdunet.cells import CarryCell, InitName
from sdunet.layers import SDNLayer, Sweep
from sdunet.nets.dilated import Dilated
from sdunet.nets.registry import build_network, count_parameters
from sdunet.ops import carry_sweep

# By the number of axes.
PARAMETERS = {2: 150_000, 3: 100_000}
TOLERANCE = 0.05

# What sweeps, by the number of axes. Features are widened until the size fits; the rest stays.
SWEEPING = {
    2: {
        "features": (8, 16, 32, 64),
        "sdn_encoder": (0, 1, 2),
        "sdn_decoder": (0, 1, 2),
        "num_features": 16,
    },
    3: {
        "features": (6, 12, 24, 36),
        "sdn_encoder": (),
        "sdn_decoder": (0, 1, 2),
        "num_features": 8,
    },
}
# What sets the sweeping networks apart; may also override the above.
SWEEPS = {
    "sdunet_gru_published": {"cell": "gru", "init": "published"},
    "sdunet_gru_reach": {"cell": "gru", "init": "reach"},
    "sdunet_carry": {"cell": "carry", "init": "reach"},
    # Fewer levels: those of the decoder alone, and of these the defaults of `SDUNet`.
    "sdunet_carry_decoder": {"cell": "carry", "init": "reach", "sdn_encoder": ()},
    "sdunet_carry_default": {
        "cell": "carry",
        "init": "reach",
        "sdn_encoder": (),
        "sdn_decoder": (1, 2),
    },
}
# The controls' features, widened likewise.
WIDTHS = {
    "unet4": {2: (8, 16, 32, 64), 3: (6, 12, 24, 36)},
    "unet5": {2: (8, 12, 20, 32, 48), 3: (4, 8, 12, 20, 28)},
    "dilated": {2: (48,), 3: (24,)},
    "attention": {2: (16, 32, 64), 3: (8, 16, 48)},
}
NETWORKS = (*WIDTHS, *SWEEPS)

# Changes, by the name that follows a network's: to its arguments, or to each of its SDN layers.
ARGUMENTS = {"batch_norm": {"norm": "batch"}}
LAYERS = {
    "side_by_side": lambda layer: setattr(layer, "sweeps", SideBySide(layer.sweeps)),
    "features_carried": lambda layer: exchange_cells(layer, CarriesFeatures),
    "1_group": lambda layer: exchange_cells(layer, partial(CarryCell, groups=1)),
    "every_channel": lambda layer: exchange_cells(
        layer, partial(CarryCell, groups=layer.project_in.out_channels)
    ),
}

DILATIONS = (1, 2, 4, 8, 16, 32, 1)
HEADS, BLOCKS = 4, 2

_SHARED = {
    "norm": ("instance", {"affine": True}),
    "act": ("leakyrelu", {"negative_slope": 0.1, "inplace": True}),
}


def settings(name: str, spatial_dims: int) -> dict:
    """Return what a network is built from, its features not yet widened.

    Raises:
        ValueError: if a part of the name is unknown, or a change does not fit the network.
    """
    network, *changes = name.split("+")
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {NETWORKS}, got {network!r}")
    known = {**ARGUMENTS, **(LAYERS if network in SWEEPS else {})}
    unknown = [change for change in changes if change not in known]
    if unknown:
        raise ValueError(f"changes of {network} must be of {tuple(known)}, got {unknown[0]!r}")
    if network in SWEEPS:
        arguments = {**SWEEPING[spatial_dims], **SWEEPS[network]}
    else:
        arguments = {"features": WIDTHS[network][spatial_dims]}
    for change in changes:
        arguments |= ARGUMENTS.get(change, {})
    return arguments


def build(name: str, spatial_dims: int) -> nn.Module:
    """Return a network by name, of the size that all have.

    Args:
        name: one of `NETWORKS`, behind it perhaps changes, as in "sdunet_carry+1_group+batch_norm".
        spatial_dims: 2 for images, 3 for volumes.

    Raises:
        ValueError: if the name is unknown, or no width gives that size.
    """
    arguments = settings(name, spatial_dims)
    features = arguments.pop("features")
    network, *changes = name.split("+")

    def of(features: Sequence[int]) -> nn.Module:
        built = _BUILDERS[network](spatial_dims, features, **arguments)
        for layer in [part for part in built.modules() if isinstance(part, SDNLayer)]:
            for change in changes:
                LAYERS.get(change, lambda layer: None)(layer)
        return built

    wanted = PARAMETERS[spatial_dims]
    found = of(_widened(features, wanted, of))
    count = count_parameters(found)
    if abs(count - wanted) > TOLERANCE * wanted:
        raise ValueError(f"{name} must have {wanted:,} parameters within 5 %, got {count:,}")
    return found


def _widened(
    features: Sequence[int], wanted: int, of: Callable[[Sequence[int]], nn.Module]
) -> list[int]:
    """Return features, all widened alike, whose network comes closest to a size."""

    def wider(deepest: int) -> list[int]:
        return [max(1, round(n * deepest / features[-1])) for n in features]

    def count(deepest: int) -> int:
        with torch.device("meta"):
            return count_parameters(of(wider(deepest)))

    widths = range(4, 8 * features[-1])
    above = bisect_left(widths, wanted, key=count)
    near = widths[max(0, above - 1) : above + 1]
    return wider(min(near, key=lambda deepest: abs(count(deepest) - wanted)))


def _unet(spatial_dims: int, features: Sequence[int], **arguments: object) -> nn.Module:
    return build_network("unet", spatial_dims, 1, 1, features=features, **(_SHARED | arguments))


def _sdunet(spatial_dims: int, features: Sequence[int], **arguments: object) -> nn.Module:
    return build_network("sdunet", spatial_dims, 1, 1, features=features, **(_SHARED | arguments))


def _attention(spatial_dims: int, features: Sequence[int], **arguments: object) -> nn.Module:
    """Return a U-Net whose bottleneck also attends: all of its cells to all others."""
    network = _unet(spatial_dims, features, **arguments)
    blocks = (Attend(features[-1], HEADS) for _ in range(BLOCKS))
    network.encoder[-1].append(Transformer(features[-1], blocks))
    return network


def _dilated(spatial_dims: int, features: Sequence[int], **arguments: object) -> nn.Module:
    return Dilated(spatial_dims, 1, 1, *features, DILATIONS, **(_SHARED | arguments))


_BUILDERS = {
    **dict.fromkeys(("unet4", "unet5"), _unet),
    "attention": _attention,
    "dilated": _dilated,
    **dict.fromkeys(SWEEPS, _sdunet),
}


class SideBySide(nn.ModuleList):
    """Sweeps of one map, whose results are added; their norm stays about that of one."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like `x`."""
        return sum(sweep(x) for sweep in self) / len(self) ** 0.5


class CarriesFeatures(CarryCell):
    """A carrying cell whose values are its features as they are."""

    def __init__(self, channels: int, taps: int, init: InitName) -> None:
        super().__init__(channels, taps, init)
        self.weight, self.bias = (
            nn.Parameter(whole[:-channels].detach()) for whole in (self.weight, self.bias)
        )

    def sweep(self, lines: Tensor, *, reverse: bool, backend: str) -> Tensor:
        """Return the swept map, see `carry_sweep`."""
        as_they_are = torch.eye(self.channels, device=lines.device)
        weight = torch.cat([self.weight, as_they_are])
        bias = F.pad(self.bias, (0, self.channels))
        return carry_sweep(lines, weight, bias, reverse=reverse, backend=backend)


def exchange_cells(layer: SDNLayer, new: Callable[[int, int, InitName], CarryCell]) -> None:
    """Give each sweep of a layer a cell of another kind."""
    for sweep in [part for part in layer.modules() if isinstance(part, Sweep)]:
        sweep.cell = new(sweep.channels, 3 ** (sweep.spatial_dims - 1), "reach")


class Attend(nn.Module):
    """A transformer's block: attention and a perceptron, each normalised first and added.

    Args:
        width: channels of a token.
        heads: number of attention's heads; what `width` leaves over is not attended with.
        growth: hidden channels of the perceptron, in widths.
    """

    def __init__(self, width: int, heads: int, growth: int = 2) -> None:
        super().__init__()
        self.heads, inner = heads, width // heads * heads
        self.before = nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * inner)
        self.answer = nn.Linear(inner, width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, growth * width),
            nn.GELU(),
            nn.Linear(growth * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens like `x`, `(N, tokens, C)`."""
        asked = self.ask(self.before(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = asked.permute(2, 0, 3, 1, 4)  # (N, heads, tokens, C / heads) each
        seen = F.scaled_dot_product_attention(query, key, value)
        x = x + self.answer(seen.transpose(1, 2).flatten(2))
        return x + self.perceptron(x)


class Transformer(nn.Module):
    """Blocks in turn over all cells of a map, which get their places added.

    Args:
        width: channels of the map.
        blocks: of tokens, `(N, tokens, C)`.
    """

    def __init__(self, width: int, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.after = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like `x`, `(N, C, ...)`."""
        tokens = (x + places(x.shape[1:]).to(x)).flatten(2).transpose(1, 2)
        return self.after(self.blocks(tokens)).transpose(1, 2).reshape(x.shape)


def places(shape: Sequence[int]) -> Tensor:
    """Return sines and cosines of each cell's place, `(C, ...)`, the channels shared by the axes.

    Wavelengths grow geometrically to 10,000 cells; channels that are left over are zero.
    """
    channels, *sizes = shape
    each = channels // (2 * len(sizes))
    rates = 10_000 ** (-torch.arange(each) / each)
    parts = []
    for axis, size in enumerate(sizes):
        angles = rates[:, None] * torch.arange(size)
        view = [1] * len(sizes)
        view[axis] = size
        waves = torch.cat([angles.sin(), angles.cos()]).reshape(-1, *view)
        parts.append(waves.expand(-1, *sizes))
    spread = torch.cat(parts)
    return F.pad(spread, [0, 0] * len(sizes) + [0, channels - len(spread)])
