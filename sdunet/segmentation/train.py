"""Train one fold of a prepared dataset."""

from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from data_prep.config import DataConfig, Plan
from data_prep.dataset import load_dataset
from data_prep.errors import DataError
from data_prep.writer import write_bytes
from sdunet.runs.device import choose_device
from sdunet.runs.lightning import quiet_lightning
from sdunet.runs.record import RunRecord
from sdunet.segmentation.config import TaskConfig
from sdunet.segmentation.data import SegmentationData
from sdunet.segmentation.model import (
    WEIGHTS,
    WeightsOnlyIO,
    network_for,
    save_description,
)
from sdunet.segmentation.module import SegmentationModule
from sdunet.segmentation.progress import DiceLines, draw_curve
from sdunet.segmentation.transforms import training_transforms

VALIDATION_CASES = "validation_cases.txt"


def train(task: TaskConfig, data: str | Path, out: str | Path, fold: int = 0) -> float:
    """Train a network on all folds but one, and keep the weights that do best on that one.

    Writes to `out`: `model.json` and `best.safetensors` (the model), `metrics.csv` and
    `curve.png` (the course of training), `validation_cases.txt` and `run.json`.

    Args:
        task: network and training settings; the data settings are those it was prepared with.
        data: folder of a prepared dataset.
        out: folder of the run; must not hold a run yet.
        fold: the fold that validates.

    Returns:
        The best validation Dice, mean over classes and cases, 0 to 1.

    Raises:
        DataError: if the dataset or the fold cannot be used, or `out` is taken.
        FloatingPointError: if the loss is not finite.
    """
    out = Path(out)
    if (out / WEIGHTS).exists():
        raise DataError("RUN_EXISTS", f"a run is already in {out}", "give another --out")
    dataset = load_dataset(data)
    dataset.verify()
    _check_contradictions(task.dataset, dataset.plan)
    config = task.training
    device = choose_device(config.device)
    described = (dataset.root / "dataset.json").read_bytes()
    record = RunRecord(
        "train", device, fold=fold, task=asdict(task), data_sha256=sha256(described).hexdigest()
    )
    quiet_lightning()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    module = SegmentationModule(network_for(task.network, dataset.plan), dataset.plan, config)
    batches = SegmentationData(dataset, fold, config)
    training_transforms(dataset.plan.patch_size, config)  # refuses before anything is written
    save_description(out, task.network, dataset.plan, config.overlap)
    write_bytes(out / VALIDATION_CASES, "".join(f"{c}\n" for c in batches.split["val"]).encode())

    best = ModelCheckpoint(
        out,
        WEIGHTS.removesuffix(".safetensors"),
        monitor="val_dice",
        mode="max",
        save_weights_only=True,
        enable_version_counter=False,
    )
    best.FILE_EXTENSION = ".safetensors"
    trainer = pl.Trainer(
        max_epochs=config.epochs,
        accelerator=config.device,
        devices=1,
        precision=config.precision,
        gradient_clip_val=config.clip,
        num_sanity_val_steps=1,
        logger=CSVLogger(out, name="", version=""),
        callbacks=[
            best,
            EarlyStopping("val_dice", patience=config.patience, mode="max"),
            DiceLines(),
        ],
        plugins=[WeightsOnlyIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        trainer.fit(module, datamodule=batches)
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error
    finally:
        if (out / "metrics.csv").is_file():
            draw_curve(out / "metrics.csv", out / "curve.png")
    score = float(best.best_model_score)
    record.write(
        out,
        epochs=trainer.current_epoch,
        validation_dice=score,
        parameters=sum(p.numel() for p in module.network.parameters()),
    )
    return score


def _check_contradictions(asked: DataConfig, plan: Plan) -> None:
    """Refuse data settings other than those the dataset was prepared with."""
    settings = (
        "channels",
        "labels",
        "label_map",
        "structures",
        "intensity",
        "spacing",
        "patch_size",
    )
    for name in settings:
        wanted, have = getattr(asked, name), getattr(plan, name)
        if wanted != getattr(DataConfig(), name) and wanted != have:
            raise DataError(
                "CONFIG_DATASET",
                f"dataset.{name} is {wanted}, the dataset was prepared with {have}",
                "prepare again, or leave the setting out",
            )
