"""A trained network on disk: `model.json` says what it is, `best.safetensors` holds its weights.

Neither is a pickle; nothing in them can run.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pytorch_lightning.plugins.io import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from data_prep.config import Plan
from data_prep.errors import DataError
from data_prep.writer import write_bytes, write_json
from sdunet.nets.registry import build_network
from sdunet.segmentation.config import NetworkConfig

SCHEMA = 1
WEIGHTS = "best.safetensors"
# MONAI's specifications of the names a configuration may use; the first are SDUNet's defaults.
_NORMS = {"instance": ("instance", {"affine": True}), "batch": "batch"}
_ACTS = {
    "leakyrelu": ("leakyrelu", {"negative_slope": 0.1, "inplace": True}),
    "relu": "relu",
    "elu": "elu",
    "gelu": "gelu",
}


def choose_device(name: str) -> str:
    """Return torch's name for `auto`, `cpu` or `gpu`.

    Raises:
        DataError: CONFIG_DEVICE if a GPU is asked for and there is none.
    """
    if name == "gpu" and not torch.cuda.is_available():
        raise DataError("CONFIG_DEVICE", "no GPU can be used here", "use cpu or auto")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Model:
    """A network ready to predict, with what it needs to know of scans."""

    network: nn.Module
    plan: Plan
    overlap: float
    root: Path


def network_for(config: NetworkConfig, plan: Plan) -> nn.Module:
    """Build the untrained network of a configuration for the channels and classes of a plan.

    Raises:
        DataError: CONFIG_NETWORK if an argument does not fit.
    """
    arguments = asdict(config)
    name = arguments.pop("name")
    arguments |= {"norm": _NORMS[config.norm], "act": _ACTS[config.act]}
    try:
        return build_network(
            name, plan.spatial_dims, len(plan.channels), plan.num_classes, **arguments
        )
    except ValueError as error:
        raise DataError("CONFIG_NETWORK", str(error), "change it under network") from error


def save_description(root: Path, config: NetworkConfig, plan: Plan, overlap: float) -> None:
    """Write `model.json`: all but the weights."""
    record = {
        "schema": SCHEMA,
        "network": asdict(config),
        "plan": asdict(plan),
        "overlap": overlap,
    }
    write_json(root / "model.json", record)


def load_model(root: str | Path, device: torch.device | str = "cpu") -> Model:
    """Load a trained network, ready for prediction.

    Raises:
        DataError: MODEL_MISSING, MODEL_JSON, MODEL_WEIGHTS, MODEL_NONFINITE.
    """
    root = Path(root)
    if not (root / "model.json").is_file() or not (root / WEIGHTS).is_file():
        raise DataError("MODEL_MISSING", f"no trained model in {root}", "run sdunet train first")
    try:
        described = json.loads((root / "model.json").read_text(encoding="utf-8"))
        if described["schema"] != SCHEMA:
            raise ValueError(f"schema {described['schema']}, known is {SCHEMA}")
        plan = Plan.from_json(described["plan"])
        config = NetworkConfig(**described["network"])
        overlap = float(described["overlap"])
        network = network_for(config, plan)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            "MODEL_JSON",
            f"model.json cannot be used: {type(error).__name__} {error}",
            "copy the run folder again",
        ) from error
    weights = read_weights(root / WEIGHTS)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(
            "MODEL_WEIGHTS", f"weights do not fit model.json: {error}", "copy the run folder again"
        ) from error
    return Model(network.to(device).eval(), plan, overlap, root)


def write_weights(path: str | Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors atomically, with the hash of their content, which safetensors lacks."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    write_bytes(path, save(tensors, metadata={"sha256": _hash(tensors)}))


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read what `write_weights` wrote.

    Raises:
        DataError: MODEL_WEIGHTS if damaged, MODEL_NONFINITE for NaN or infinity.
    """
    data = Path(path).read_bytes()
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        recorded = header["__metadata__"]["sha256"]
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(
            "MODEL_WEIGHTS",
            f"not weights of sdunet: {error}",
            "copy the run folder again",
            file=str(path),
        ) from error
    if recorded != _hash(tensors):
        raise DataError(
            "MODEL_WEIGHTS",
            "damaged: the hash differs",
            "copy the run folder again",
            file=str(path),
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError(
                "MODEL_NONFINITE", f"{name} holds NaN or infinity", "train again", file=str(path)
            )
    return tensors


def _hash(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


class WeightsOnlyIO(CheckpointIO):
    """Lightning's checkpoints as the network's weights alone, in safetensors."""

    def save_checkpoint(
        self, checkpoint: dict, path: str | Path, storage_options: object = None
    ) -> None:
        """Write the weights of `module.network`."""
        prefix = "network."
        state = checkpoint["state_dict"]
        weights = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        write_weights(path, weights)

    def load_checkpoint(self, path: str | Path, *args: object, **kwargs: object) -> dict:
        """Return the weights under Lightning's names."""
        return {"state_dict": {f"network.{k}": v for k, v in read_weights(path).items()}}

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint that a better one replaces."""
        Path(path).unlink(missing_ok=True)
