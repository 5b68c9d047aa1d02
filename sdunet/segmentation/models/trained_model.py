"""A trained network on disk: `model.json` says what it is, `best.safetensors` holds its weights.

Neither is a pickle; nothing in them can run.
"""

import hashlib
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.memory_limits import check_bytes, memory_each
from data_prep.core.parse import read_bounded, usable, whole
from data_prep.files.file_tree import open_tree
from data_prep.files.hashed_json import parse_hashed, read_hashed, write_hashed
from data_prep.files.written_files import check_written, is_there
from data_prep.layouts.cases import sample
from data_prep.planning.plan_json import plan_from
from sdunet.nets.registry import build_network, count_parameters
from sdunet.nets.setting_names import as_typed
from sdunet.runtime.run_record import check_ended
from sdunet.runtime.safetensors_io import read_weights
from sdunet.segmentation.config import NetworkConfig, network_config
from sdunet.segmentation.models.integrity import is_sealed, verify
from sdunet.segmentation.models.planned import planned_network
from sdunet.segmentation.models.run_settings import SETTINGS, check_weights

SCHEMA = 2
DESCRIPTION, WEIGHTS = "model.json", "best.safetensors"
RUNS = "runs.json"  # lists the runs that were to be trained together, beside their folders
_MOST = 32  # levels, each of half the size, and sweeps of a layer
_MOST_PADDING = 8  # one halving too many of a volume
_LENGTH = ("epochs", "patience", "max_time")  # settings that tell when a training is over
# MONAI's specifications of the names a configuration may use; the first are SDUNet's defaults.
_NORMS = {"instance": ("instance", {"affine": True}), "batch": "batch"}
_ACTS = {
    "leakyrelu": ("leakyrelu", {"negative_slope": 0.1, "inplace": True}),
    "relu": "relu",
    "elu": "elu",
    "gelu": "gelu",
}


@dataclass(frozen=True)
class Model:
    """A network ready to predict, with what it needs to know of scans.

    Attributes:
        network: gives logits.
        plan: how scans are read and brought to its grid.
        overlap: share of a window that its neighbour covers too.
        flip_axes: spatial axes it was trained to see flipped.
        sha256: of its description and weights.
        root: folder it was loaded from; where it was unpacked for that, what it was given as.
    """

    network: nn.Module
    plan: Plan
    overlap: float
    flip_axes: tuple[int, ...]
    sha256: str
    root: Path


def network_for(config: NetworkConfig, plan: Plan) -> nn.Module:
    """Build the untrained network of a configuration for the channels and classes of a plan.

    Raises:
        DataError: as `build`, and CONFIG_NETWORK if patches would be padded many times over.
    """
    settled = planned_network(config, plan)
    _check_levels(settled, plan)
    return build(settled, plan.spatial_dims, len(plan.channels), plan.outputs)


def _check_levels(config: NetworkConfig, plan: Plan) -> None:
    """Refuse levels that halve a patch so often that most of what is computed would be padding."""
    depth = len(config.features or ())
    strides = config.strides or ((2,) * plan.spatial_dims,) * (depth - 1)
    multiples = [math.prod(along) for along in zip(*strides, strict=False)]
    sides = zip(plan.patch_size, multiples, strict=False)  # what does not fit, `build` tells
    padding = math.prod(-(-side // multiple) * multiple / side for side, multiple in sides)
    if padding > _MOST_PADDING:
        raise DataError(
            "CONFIG_NETWORK",
            f"{depth} levels pad each patch of {' x '.join(map(str, plan.patch_size))} to "
            f"{padding:.3g} times its size",
            "name fewer network.features, or prepare with a larger dataset.patch_size",
        )


def build(
    config: NetworkConfig, spatial_dims: int, in_channels: int, out_channels: int
) -> nn.Module:
    """Build the untrained network of a configuration.

    Raises:
        DataError: CONFIG_NETWORK if an argument does not fit, or the weights do not fit in memory.
    """
    size = 4 * count_parameters(_outline(config, spatial_dims, in_channels, out_channels))
    room = memory_each(1)
    if room is not None and size > room * 1e9:
        raise DataError(
            "CONFIG_NETWORK",
            f"its weights take {size / 1e9:.3g} GB, there are {room:.3g} GB of memory",
            "lower network.features",
        )
    return _build(config, spatial_dims, in_channels, out_channels)


class _OnProcessor(TorchFunctionMode):
    """Makes on the processor what MONAI reads back while it builds a network."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        return func(*args, **kwargs | ({"device": "cpu"} if func is torch.linspace else {}))


def _outline(
    config: NetworkConfig, spatial_dims: int, in_channels: int, out_channels: int
) -> nn.Module:
    """Build a network without any numbers in it, whatever its size.

    Raises:
        DataError: CONFIG_NETWORK.
    """
    for name in ("features", "directions"):
        if len(getattr(config, name) or ()) > _MOST:
            found = f"network.{name} names more than {_MOST}"
            raise DataError("CONFIG_NETWORK", found, "change it under network")
    with torch.device("meta"), _OnProcessor():
        return _build(config, spatial_dims, in_channels, out_channels)


def _build(
    config: NetworkConfig, spatial_dims: int, in_channels: int, out_channels: int
) -> nn.Module:
    arguments = asdict(config)
    name = arguments.pop("name")
    arguments |= {"norm": _NORMS[config.norm], "act": _ACTS[config.act]}
    try:
        return build_network(name, spatial_dims, in_channels, out_channels, **arguments)
    # Networks of others say in many ways that they cannot be built so.
    except (ValueError, TypeError, IndexError, RuntimeError, OverflowError) as error:
        settings = {argument: f"network.{argument}" for argument in arguments}
        found = as_typed(str(error)[:300], settings)
        raise DataError("CONFIG_NETWORK", found, "change it under network") from error


def save_description(
    root: Path, config: NetworkConfig, plan: Plan, overlap: float, flip_axes: tuple[int, ...]
) -> None:
    """Write `model.json`: all but the weights."""
    record = {
        "schema": SCHEMA,
        "network": asdict(config),
        "plan": asdict(plan),
        "overlap": overlap,
        "flip_axes": flip_axes,
    }
    write_hashed(root / DESCRIPTION, record)


def load_model(root: str | Path) -> Model:
    """Load a trained network, ready for prediction.

    Raises:
        DataError: MODEL_MISSING, MODEL_JSON, MODEL_WEIGHTS, MODEL_NONFINITE; PACKAGE_LIST or
            PACKAGE_HASH for a package that is not as it was exported; OUT_CHANGED if a file is of
            another run; RUN_OTHER for weights of another run.
    """
    root = Path(root)
    sealed = verify(open_tree(root)) if is_sealed(root) else {}
    if not (root / DESCRIPTION).is_file() or not (root / WEIGHTS).is_file():
        runs = sorted(path.parent.name for path in root.glob(f"*/{DESCRIPTION}"))
        named = f"name one of the runs in it: {sample(runs)}"
        fix = named if runs else "run sdunet train first"
        raise DataError("MODEL_MISSING", f"no trained model in {root}", fix)
    data = sealed.get(WEIGHTS) or _read(root / WEIGHTS)  # once: what is hashed is what is used
    with usable("MODEL_JSON", root / DESCRIPTION, "copy the run folder again"):
        text = sealed.get(DESCRIPTION) or read_bounded(root / DESCRIPTION)
        described = parse_hashed(text)
        check_written(root / DESCRIPTION, text)
        if described["schema"] != SCHEMA:
            raise ValueError(f"schema {described['schema']}, known is {SCHEMA}")
        plan = plan_from(described["plan"])
        config = network_config(described["network"])
        overlap = float(described["overlap"])
        axes = tuple(whole(axis) for axis in described["flip_axes"])
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap must be from 0 to below 1, got {overlap}")
        if not set(axes) <= set(range(plan.spatial_dims)):
            raise ValueError(f"flip_axes must be axes of {plan.spatial_dims}, got {axes}")
        # Without numbers: of a description that was changed by hand, they might fill the memory.
        network = _outline(config, plan.spatial_dims, len(plan.channels), plan.outputs)
    weights = read_weights(root / WEIGHTS, data)
    check_written(root / WEIGHTS, data)
    check_weights(root / WEIGHTS)
    sha256 = hashlib.sha256(text + data).hexdigest()
    # Reals in float32, which scans are in, whatever torch's default is now.
    types = {
        name: torch.float32 if tensor.is_floating_point() else tensor.dtype
        for name, tensor in network.state_dict().items()
    }
    weights = {name: tensor.to(types.get(name)) for name, tensor in weights.items()}
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise DataError(
            "MODEL_WEIGHTS",
            f"weights do not fit model.json: {' '.join(str(error).split())[:300]}",
            "copy the run folder again",
        ) from error
    return Model(network.eval(), plan, overlap, axes, sha256, root)


def check_finished(run: Path, accept: Collection[str] = ()) -> bool:
    """Refuse a run whose training was stopped before its end, unless RUN_UNFINISHED is accepted.

    A training that `max_time` or `patience` ended is at its end. Packages are not looked at.

    Returns:
        Whether the training came to its end.

    Raises:
        DataError: RUN_UNFINISHED; RUN_SETTINGS if its records are damaged.
    """
    if not is_there(run / SETTINGS):
        return True
    with usable("RUN_SETTINGS", run / SETTINGS, "train anew"):
        planned = read_hashed(run / SETTINGS)["training"]
        return check_ended(run, {name: planned[name] for name in _LENGTH}, accept)


def _read(path: Path) -> bytes:
    """Return the content of a file, if there is memory for it, see `memory_within`."""
    check_bytes(path.stat().st_size, 1)
    return path.read_bytes()
