"""Train a VAE on a packed image set."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from data_prep.core.config import check_once
from data_prep.core.errors import DataError
from data_prep.files.output_folder import (
    RECORD,
    Output,
    check_free,
    check_output,
    own_folder,
)
from data_prep.files.written_files import is_listed
from data_prep.parallel import check_workers
from data_prep.parent_process import end_with_parent
from sdunet.runtime.callbacks import CURVE, METRICS, EpochLines, Row
from sdunet.runtime.checkpoint import (
    PREVIOUS,
    STATE,
    StateIO,
    check_unchanged,
    state_to_resume,
    states,
)
from sdunet.runtime.device import check_processes, check_share, choose_device
from sdunet.runtime.doubts import UNLISTED, findings_of
from sdunet.runtime.lightning_setup import end_together, fit, is_first_process, quiet_lightning
from sdunet.runtime.run_record import RunRecord, say, say_if_slow
from sdunet.runtime.safetensors_io import check_run, run_text, write_weights
from sdunet.runtime.torch_errors import lightning_errors, not_finite
from sdunet.vae.config import VAEConfig
from sdunet.vae.data.packed import Packed, PackedImages, load_packed
from sdunet.vae.model import (
    DESCRIPTION,
    FREE,
    WEIGHTS,
    build_vae,
    check_images_fit,
    count_parameters,
    load_description,
    own_settings,
    save_description,
)
from sdunet.vae.training.lightning_module import VAEModule

_FILES = (DESCRIPTION, WEIGHTS, STATE, PREVIOUS, METRICS, CURVE, RECORD)
_OF_SWEEPS = (
    "sdn_min_scale",
    "sdn_features",
    "sdn_features_step",
    "sdn_directions",
    "cell",
    "init",
)
_DEVICES = ("training.devices", "training.nodes")


def train(config: VAEConfig, data: str | Path, out: str | Path, *, resume: bool = False) -> float:
    """Train a VAE on the training images, and log its bound on the test images.

    Writes to `out`: `model.json` and `model.safetensors` (the averaged weights after the last
    finished epoch, no epoch being chosen by its test score), `last.safetensors` (the whole state,
    to resume from), `metrics.csv`, `curve.png` and `run.json`.

    Args:
        config: all settings.
        data: packed image set.
        out: folder of the run.
        resume: go on where the run in `out` stopped.

    Returns:
        The negative ELBO of the test images in bits a dimension, NaN if none was computed.

    Raises:
        DataError: if the data or the configuration cannot be used, or `out` is taken;
            OUT_CHANGED if a file of the run that is resumed was changed since;
            RUN_NONFINITE if training does not stay finite, or leaves weights that give no bound.
    """
    check_processes(config.training.devices, config.training.nodes, _DEVICES)
    check_workers(config.training.workers, "training.workers")
    check_once(config.model, config.ladder if config.model == "ladder" else config.vanilla)
    out = Path(out)
    packed = load_packed(data)
    check_output(out, data)
    check_images_fit(config.images, packed)
    _check_share(config, packed)
    PackedImages(packed.images("train"), packed.levels, config.images.levels)  # or IMG_LEVELS
    state = str(state_to_resume(out, config.training.epochs)) if resume else None
    _check_out(out, config, packed, resume)
    own = own_settings(config, packed.fingerprint)
    if not resume:
        check_free(out, "vae train")
    elif state:
        check_run(Path(state), own)
        if not is_listed(Path(state)) and is_first_process():
            for finding in findings_of({UNLISTED}):
                say(str(finding))
    training = config.training
    record = RunRecord(
        "vae train",
        choose_device(training.device, "training.device"),
        config=asdict(config),
        data_sha256=packed.fingerprint,
    )
    quiet_lightning()
    end_together()
    pl.seed_everything(training.seed, verbose=False)
    module = VAEModule(build_vae(config), config)
    images = _Images(packed, config)
    first = is_first_process()
    if first:
        packed.verify()
    with lightning_errors():
        trainer = build_trainer(config, out, own, validate="test" in packed.splits)
    # The first process keeps other runs out; the others are its own.
    with _own(out, resume) if first else nullcontext():
        if first:
            _check_out(out, config, packed, resume)  # again: another run may just have ended here
            save_description(out, config, packed)
            say_if_slow(module.network, choose_device(training.device))
            _say_unused(config)
        fit(trainer, module, images, state, smaller="training.batch_size")
        bits = float(trainer.callback_metrics.get("val_bpd", float("nan")))
        _check_usable(module, packed, "val_bpd" in trainer.callback_metrics, bits)
        if trainer.is_global_zero:
            record.write(
                out,
                epochs=trainer.current_epoch,
                steps=trainer.global_step,
                skipped_steps=module.skipped,
                parameters=count_parameters(module.network)["total"],
            )
    return bits


def _check_usable(module: VAEModule, packed: Packed, validated: bool, bits: float) -> None:
    """Refuse to end a run whose averaged weights give no finite bound, as if it were a model.

    Steps that are skipped, one after another until the last, leave such weights, too.
    """
    if validated and not math.isfinite(bits):
        raise not_finite(f"-ELBO of the test images is {bits} bits/dim at the end of training")
    stored = PackedImages(packed.images("train"), packed.levels, module.config.images.levels)
    images = torch.stack([stored[i] for i in range(min(len(stored), 4))]).to(module.device)
    with torch.inference_mode():
        elbo = module.average.eval()(images).elbo
    if not torch.isfinite(elbo).all():
        found = "the bound of the first training images is not finite at the end of training"
        raise not_finite(f"{found}; {module.skipped} steps had a gradient that is not finite")


def _say_unused(config: VAEConfig) -> None:
    """Tell of settings that are given, and change nothing as others are."""
    ladder, vanilla, of_ladder = config.ladder, config.vanilla, config.model == "ladder"
    other = "vanilla" if of_ladder else "ladder"
    rules = [
        (
            config.likelihood.name != "mixture",
            f"likelihood.name is {config.likelihood.name}",
            "likelihood",
            ["mixtures"],
        ),
        (True, f"model is {config.model}", other, [f.name for f in fields(getattr(config, other))]),
        (
            of_ladder and not ladder.sdn_max_scale,
            "ladder.sdn_max_scale is 0, so that nothing sweeps",
            "ladder",
            _OF_SWEEPS,
        ),
        (
            of_ladder and ladder.posterior != "iaf",
            f"ladder.posterior is {ladder.posterior}",
            "ladder",
            ["context_channels"],
        ),
        (
            not of_ladder and not vanilla.sdn_scales,
            "vanilla.sdn_scales is empty, so that nothing sweeps",
            "vanilla",
            _OF_SWEEPS,
        ),
    ]
    for holds, why, section, names in rules:
        there = getattr(config, section)
        plain = type(there)()
        given = [n for n in names if getattr(there, n, None) != getattr(plain, n, None)]
        if holds and given:
            told = ", ".join(f"{section}.{name}" for name in given)
            say(f"note: {why}: {told} change nothing")


def _check_share(config: VAEConfig, packed: Packed) -> None:
    training = config.training
    device = choose_device(training.device, "training.device")
    shared = {f"{split} images": len(packed.images(split)) for split in packed.splits}
    processes = training.devices, training.nodes
    check_share(processes, shared, device, _DEVICES[0])


def _own(out: Path, resume: bool) -> AbstractContextManager[Output]:
    """Make the folder that of this run, which goes on from a state even if that is damaged."""
    return own_folder(out, "vae train", part=None, adopt=_FILES if resume else None)


def build_trainer(
    config: VAEConfig, out: Path, own: Mapping[str, Any] | None = None, *, validate: bool
) -> pl.Trainer:
    """Return Lightning's trainer for a configuration; it writes to `out`, `own` into states."""
    training = config.training
    last = ModelCheckpoint(
        out,
        STATE.removesuffix(".safetensors"),
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    last.FILE_EXTENSION = ".safetensors"
    processes = training.devices * training.nodes
    return pl.Trainer(
        max_epochs=training.epochs,
        limit_train_batches=training.steps_per_epoch,
        limit_val_batches=None if validate else 0,
        check_val_every_n_epoch=training.validate_every,
        accelerator=training.device,
        devices=training.devices,
        num_nodes=training.nodes,
        strategy="ddp" if processes > 1 else "auto",
        use_distributed_sampler=False,
        precision=training.precision,
        num_sanity_val_steps=0,
        logger=False,
        callbacks=[KeepAverage(out, own), last, BitLines(out)],
        plugins=[StateIO(own)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )


class BitLines(EpochLines):
    """The course of bits a dimension."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self.validated = False

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Begin an epoch, which not always ends with a validation."""
        super().on_train_epoch_start(trainer, module)
        self.validated = False

    def on_validation_end(self, *_: Any) -> None:
        """Note that what is logged of the test images is of this epoch."""
        self.validated = True

    def figures(self, trainer: pl.Trainer, module: pl.LightningModule, found: Row) -> Row:
        """Return bits a dimension of training images and, where computed, of test images."""
        stages = ("train", "val") if self.validated else ("train",)
        bits = {n: v for n, v in found.items() if n.startswith(stages) and n.endswith("_bpd")}
        skipped = cast(VAEModule, module).skipped
        return {"step": trainer.global_step, "skipped_steps": skipped, **bits}

    def measured(self, row: Row) -> tuple[str, float]:
        """Return them as text, and the negative of those on the test images as the score."""
        text = f"bits/dim {row['train_bpd']:.4f} (rate {row['train_rate_bpd']:.4f})"
        if "val_bpd" not in row:
            return text, -row["train_bpd"]
        return f"{text}  test {row['val_bpd']:.4f}", -row["val_bpd"]

    def curve(self) -> Figure:
        """Draw them over the epochs."""
        figure = Figure((7, 4), layout="constrained")
        axes = figure.subplots()
        titles = {"train_bpd": "training", "val_bpd": "test", "train_rate_bpd": "rate, training"}
        for name, title in titles.items():
            points = [(row["epoch"], row[name]) for row in self.rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=title)
        axes.set(xlabel="epoch", ylabel="bits a dimension")
        axes.legend(frameon=False)
        return figure


class KeepAverage(pl.Callback):
    """Writes the averaged weights after every epoch, so that whatever stops, a model is there."""

    def __init__(self, out: Path, run: Mapping[str, Any] | None = None) -> None:
        self.out = out
        self.run = run_text(run)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write them."""
        if trainer.is_global_zero:
            average = cast(VAEModule, module).average
            write_weights(self.out / WEIGHTS, average.module.state_dict(), run=self.run)


class _Images(pl.LightningDataModule):
    """Batches of uint8 images `(N, C, H, W)`, in an order that depends on seed and epoch alone."""

    def __init__(self, packed: Packed, config: VAEConfig) -> None:
        super().__init__()
        self.packed = packed
        self.config = config

    def train_dataloader(self) -> DataLoader:
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader("test", shuffle=False)

    def _loader(self, split: str, *, shuffle: bool) -> DataLoader:
        training, trainer = self.config.training, self.trainer
        if trainer is None:
            raise RuntimeError("batches outside of a training")
        images = PackedImages(
            self.packed.images(split), self.packed.levels, self.config.images.levels
        )
        sampler: Any = DistributedSampler(
            images,
            trainer.world_size,
            trainer.global_rank,
            shuffle=shuffle,
            seed=training.seed,
        )
        return DataLoader(
            images,
            training.batch_size,
            sampler=sampler,
            num_workers=training.workers,
            worker_init_fn=end_with_parent,
            drop_last=shuffle and len(images) >= training.batch_size,
        )


def _check_out(out: Path, config: VAEConfig, packed: Packed, resume: bool) -> None:
    if not resume:
        if states(out):
            raise DataError(
                "RUN_EXISTS", f"a run is already in {out}", "give another --out, or --resume"
            )
        return
    check_unchanged(out, _FILES)
    before, _, fingerprint = load_description(out)
    if fingerprint != packed.fingerprint:
        raise DataError(
            "MODEL_DATA",
            f"the run in {out} was trained on another data set",
            "give the data set it was trained on",
        )
    free = {name: getattr(config.training, name) for name in FREE}
    before = replace(before, training=replace(before.training, **free))
    if before != config:
        differing = [
            f"{section}.{name}: {old!r} then, {new!r} now"
            for section, values in asdict(before).items()
            if isinstance(values, dict)
            for (name, old), new in zip(
                values.items(), asdict(config)[section].values(), strict=True
            )
            if old != new
        ] or [f"model: {before.model} then, {config.model} now"]
        raise DataError(
            "CONFIG_RESUME",
            f"the run in {out} has other settings: {'; '.join(differing)}",
            "resume it with its own, or start a new run in another --out",
        )
