"""`SDUNet` as nnU-Net plans networks, and as its trainers use them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sdunet.nets.unet import SDUNet

_NORMS = {"InstanceNorm": "instance", "BatchNorm": "batch"}
_ACTS = ("LeakyReLU", "ReLU")
# Weights of heads under this name are left out when nnU-Net starts from those of another task.
_HEADS = "network.seg_layers."


class PlannedSDUNet(nn.Module):
    """`SDUNet` that gives logits of every decoder level when told so, whether training or not.

    Heads of all levels are always there, so weights fit whether or not deep supervision is on.

    Args:
        network: with deep supervision.
        deep_supervision: whether to give logits of every level; may be set later.

    Shape:
        `(N, C, ...)` to `(N, classes, ...)`, or a list of those, full resolution first.
    """

    def __init__(self, network: SDUNet, deep_supervision: bool) -> None:
        super().__init__()
        self.network = network
        self.deep_supervision = deep_supervision
        heads = ("network.head.", *(f"network.aside.{n}." for n in range(len(network.aside))))
        self._names = {name: f"{_HEADS}{level}." for level, name in enumerate(heads)}
        self.register_state_dict_post_hook(PlannedSDUNet._name_heads)
        self.register_load_state_dict_pre_hook(PlannedSDUNet._find_heads)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits, of every decoder level with `deep_supervision`."""
        logits = self.network.logits_of_levels(x)
        return logits if self.deep_supervision else logits[0]

    def _name_heads(self, weights: dict[str, Any], prefix: str, _: Any) -> None:
        for ours, theirs in self._names.items():
            _rename(weights, prefix + ours, prefix + theirs)

    def _find_heads(self, weights: dict[str, Any], prefix: str, *_: Any) -> None:
        for ours, theirs in self._names.items():
            _rename(weights, prefix + theirs, prefix + ours)


def planned_sdunet(
    architecture: Mapping[str, Any], in_channels: int, out_channels: int, deep_supervision: bool
) -> PlannedSDUNet:
    """Build the network that nnU-Net plans, with sweeps in all decoder levels below the first.

    Widths, strides, kernel sizes, normalisation and activation are the plan's; a plan of
    `ResidualEncoderUNet` gets residual blocks. The convolutions of a level are two, as in `SDUNet`.

    Args:
        architecture: of a configuration of nnU-Net's plans, `network_class_name` and `arch_kwargs`.
        in_channels: channels of the image.
        out_channels: classes or regions.
        deep_supervision: whether the network starts with it on.

    Raises:
        ValueError: if the plan is of another kind of network, or of what `SDUNet` has not.
    """
    name, plan = architecture["network_class_name"], architecture["arch_kwargs"]
    kind = name.rpartition(".")[2]
    if kind not in ("PlainConvUNet", "ResidualEncoderUNet"):
        raise ValueError(f"plans must be of PlainConvUNet or ResidualEncoderUNet, got {name}")
    kernel_sizes, strides = plan["kernel_sizes"], plan["strides"]
    if set(strides[0]) != {1}:
        raise ValueError(f"strides must start with a level of full resolution, got {strides[0]}")
    network = SDUNet(
        len(kernel_sizes[0]),
        in_channels,
        out_channels,
        features=plan["features_per_stage"],
        norm=(_norm(plan["norm_op"]), dict(plan["norm_op_kwargs"] or {})),
        act=(_act(plan["nonlin"]), dict(plan["nonlin_kwargs"] or {})),
        encoder="residual" if kind == "ResidualEncoderUNet" else "plain",
        strides=strides[1:],
        kernel_sizes=kernel_sizes,
        deep_supervision=True,
    )
    return PlannedSDUNet(network, deep_supervision)


def _norm(name: str) -> str:
    kind = name.rpartition(".")[2].removesuffix("2d").removesuffix("3d")
    if kind not in _NORMS:
        raise ValueError(f"norm_op must be one of {', '.join(_NORMS)}, got {name}")
    return _NORMS[kind]


def _act(name: str) -> str:
    kind = name.rpartition(".")[2]
    if kind not in _ACTS:
        raise ValueError(f"nonlin must be one of {', '.join(_ACTS)}, got {name}")
    return kind.lower()


def _rename(weights: dict[str, Any], old: str, new: str) -> None:
    for key in [key for key in weights if key.startswith(old)]:
        weights[new + key.removeprefix(old)] = weights.pop(key)
