"""A VAE on disk: `model.json` says what it is, `model.safetensors` holds its averaged weights."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from data_prep.core.errors import DataError, words_of
from data_prep.core.parse import usable
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.files.written_files import check_written, is_listed
from sdunet.nets.setting_names import as_typed
from sdunet.runtime.doubts import UNFINISHED, UNLISTED
from sdunet.runtime.run_record import check_ended
from sdunet.runtime.safetensors_io import check_run, read_weights
from sdunet.vae.config import (
    ImagesConfig,
    LadderConfig,
    LikelihoodConfig,
    TrainingConfig,
    VAEConfig,
    VanillaConfig,
)
from sdunet.vae.data.packed import Packed
from sdunet.vae.models.ladder import LadderVAE
from sdunet.vae.models.likelihoods import build_likelihood
from sdunet.vae.models.vanilla import VanillaVAE

SCHEMA = 1
WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"
VAE = LadderVAE | VanillaVAE
# Settings that a resumed run may change: they say how far and where, not what is computed.
FREE = ("epochs", "validate_every", "workers", "device", "devices", "nodes")
# Of descriptions that do not name a cell: there was one.
_FIRST_CELL = {"cell": "gru", "init": "published"}


@dataclass(frozen=True)
class Model:
    """A trained VAE, and what it was trained on."""

    network: VAE
    config: VAEConfig
    data_name: str
    data_fingerprint: str
    root: Path


def build_vae(config: VAEConfig) -> VAE:
    """Build the untrained network of a configuration.

    Raises:
        DataError: CONFIG_MODEL if an argument does not fit.
    """
    images, likelihood = config.images, config.likelihood
    try:
        out = build_likelihood(likelihood.name, images.channels, images.levels, likelihood.mixtures)
        if config.model == "vanilla":
            return VanillaVAE(images.channels, images.size, out, **asdict(config.vanilla))
        return LadderVAE(images.channels, images.size, out, **asdict(config.ladder))
    except ValueError as error:
        found = as_typed(str(error), _settings(config))
        raise DataError("CONFIG_MODEL", found, "change the configuration") from error


def _settings(config: VAEConfig) -> dict[str, str]:
    """Return the dotted names of the settings by those of the arguments that they are given to."""
    sections = ("likelihood", config.model, "images")
    dotted = {name: f"{s}.{name}" for s in sections for name in asdict(getattr(config, s))}
    return dotted | {"likelihood": "likelihood.name"}


def count_parameters(network: torch.nn.Module) -> dict[str, int]:
    """Return the number of parameters by part, and `total`.

    The norms of normalised weights are left out, as each is one more way to write a weight.
    """
    counts: dict[str, int] = {}
    for name, parameter in network.named_parameters():
        if not name.endswith("parametrizations.weight.original0"):
            part = name.split(".")[0]
            counts[part] = counts.get(part, 0) + parameter.numel()
    return {"total": sum(counts.values())} | counts


def save_description(root: Path, config: VAEConfig, data: Packed) -> None:
    """Write `model.json`: all but the weights."""
    described = {"name": data.name, "fingerprint": data.fingerprint}
    write_hashed(
        root / DESCRIPTION, {"schema": SCHEMA, "config": asdict(config), "data": described}
    )


def load_description(root: str | Path) -> tuple[VAEConfig, str, str]:
    """Return the configuration of a run, and the name and fingerprint of its data.

    Raises:
        DataError: MODEL_MISSING, MODEL_JSON.
    """
    path = Path(root) / DESCRIPTION
    if not path.is_file():
        raise DataError("MODEL_MISSING", f"no run in {root}", "run sdunet vae train first")
    with usable("MODEL_JSON", path, "copy the run folder again"):
        record = read_hashed(path)
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']}, known is {SCHEMA}")
        parts = record["config"]
        config = VAEConfig(
            ImagesConfig(**_tuples(parts["images"])),
            LikelihoodConfig(**parts["likelihood"]),
            parts["model"],
            LadderConfig(**_FIRST_CELL | _tuples(parts["ladder"])),
            VanillaConfig(**_FIRST_CELL | _tuples(parts["vanilla"])),
            TrainingConfig(**parts["training"]),
        )
        return config, str(record["data"]["name"]), str(record["data"]["fingerprint"])


def own_settings(config: VAEConfig, data_sha256: str) -> dict[str, Any]:
    """Return what tells a run from every other: all that it may not change when resumed."""
    settings = json.loads(json.dumps(asdict(config)))  # lists for tuples, as they will be read
    for name in FREE:
        del settings["training"][name]
    return {"command": "vae train", "data_sha256": data_sha256, **settings}


def load_model(root: str | Path, device: torch.device | str = "cpu") -> Model:
    """Load a trained VAE with its averaged weights.

    Raises:
        DataError: MODEL_MISSING, MODEL_JSON, MODEL_WEIGHTS, MODEL_NONFINITE; RUN_OTHER for weights
            of another run.
    """
    root = Path(root)
    config, name, fingerprint = load_description(root)
    if not (root / WEIGHTS).is_file():
        raise DataError("MODEL_MISSING", f"no trained model in {root}", "train it for an epoch")
    with torch.device("meta"):  # drawing weights that are replaced takes a minute at full size
        network = build_vae(config)
    try:
        data = (root / WEIGHTS).read_bytes()
        network.load_state_dict(read_weights(root / WEIGHTS, data), assign=True)
        check_written(root / WEIGHTS, data)
        check_run(root / WEIGHTS, own_settings(config, fingerprint))
    except RuntimeError as error:
        raise DataError(
            "MODEL_WEIGHTS",
            f"weights do not fit model.json: {words_of(error)}",
            "copy the run folder again",
        ) from error
    network = network.to(device).eval().requires_grad_(False)
    return Model(network, config, name, fingerprint, root)


def weights_sha256(run: Path) -> str:
    """Return the SHA-256 of the weights of a run."""
    return hashlib.sha256((run / WEIGHTS).read_bytes()).hexdigest()


def doubts_of(model: Model, accept: Collection[str] = ()) -> set[str]:
    """Return the codes of what is doubtful about a model, see `findings_of`.

    Raises:
        DataError: RUN_UNFINISHED if its training was stopped before its end, unless accepted;
            RUN_RECORD if the record of its training is damaged.
    """
    ended = check_ended(model.root, {"epochs": model.config.training.epochs}, accept)
    listed = all(is_listed(model.root / name) for name in (DESCRIPTION, WEIGHTS))
    return ({UNFINISHED} if not ended else set()) | ({UNLISTED} if not listed else set())


def check_images_fit(config: ImagesConfig, data: Packed) -> None:
    """Refuse a data set that a configuration does not describe.

    Raises:
        DataError: CONFIG_IMAGES.
    """
    for name in ("channels", "size"):
        wanted, have = getattr(config, name), getattr(data, name)
        if (tuple(wanted) if name == "size" else wanted) != (
            tuple(have) if name == "size" else have
        ):
            raise DataError(
                "CONFIG_IMAGES",
                f"images.{name} is {wanted}, the data set {data.name} has {have}",
                f"set images.{name}, or give the data set the configuration is for",
            )


def check_same_data(model: Model, data: Packed) -> None:
    """Refuse a data set other than the one a model was trained on.

    Raises:
        DataError: MODEL_DATA.
    """
    if model.data_fingerprint != data.fingerprint:
        raise DataError(
            "MODEL_DATA",
            f"the model was trained on {model.data_name}, this is {data.name} "
            f"(fingerprints {model.data_fingerprint[:12]} and {data.fingerprint[:12]})",
            "give the data set it was trained on",
        )


def _tuples(section: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in section.items()}
