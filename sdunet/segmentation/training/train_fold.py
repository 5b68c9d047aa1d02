"""Train one fold of a prepared dataset."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import SLURMEnvironment
from torch import nn

from data_prep.core.config import Plan, check_once
from data_prep.core.errors import DataError
from data_prep.files.atomic import write_bytes
from data_prep.files.hashed_json import write_hashed
from data_prep.files.output_folder import RECORD, check_free, check_output
from data_prep.files.written_files import check_written, is_listed
from data_prep.parallel import check_workers
from data_prep.prepared.contradictions import check_contradictions
from data_prep.prepared.dataset import Dataset, load_dataset
from sdunet.layers import Sweep
from sdunet.nets.registry import SWEEPING_NETWORKS, count_parameters, passed_over
from sdunet.runtime.checkpoint import (
    STATE,
    StateIO,
    state_to_resume,
    states,
)
from sdunet.runtime.device import check_processes, choose_device
from sdunet.runtime.doubts import UNLISTED, findings_of
from sdunet.runtime.lightning_setup import end_together, fit, is_first_process, quiet_lightning
from sdunet.runtime.run_record import RunRecord, say, say_if_slow
from sdunet.runtime.safetensors_io import check_run
from sdunet.runtime.stop_callbacks import Halt
from sdunet.runtime.torch_errors import lightning_errors
from sdunet.segmentation.config import NetworkConfig, TaskConfig, TrainingConfig
from sdunet.segmentation.models.hub import is_on_hub
from sdunet.segmentation.models.planned import planned, without_validation
from sdunet.segmentation.models.run_folder import (
    VALIDATION_CASES,
    check_run_folder,
    own_run,
    settings_for,
)
from sdunet.segmentation.models.run_settings import SETTINGS, own_settings
from sdunet.segmentation.models.seen_cases import write_seen
from sdunet.segmentation.models.trained_model import (
    WEIGHTS,
    Model,
    check_finished,
    network_for,
    save_description,
)
from sdunet.segmentation.training.augmentation import augmentation, flip_axes
from sdunet.segmentation.training.callbacks import Course, Keep
from sdunet.segmentation.training.data_module import SegmentationData
from sdunet.segmentation.training.initial_weights import begin_from, load_initial, say_initial
from sdunet.segmentation.training.lightning_module import SegmentationModule
from sdunet.segmentation.training.loggers import logging_to, names_of
from sdunet.segmentation.training.sides import doubt_about_sides

_NO_FOLD = (
    "no validation: it trains on all cases to the end of the schedule, and keeps the last weights"
)


def train(
    task: TaskConfig,
    data: str | Path,
    out: str | Path,
    fold: int | None = 0,
    *,
    resume: bool = False,
    init: str | Path | None = None,
) -> float | None:
    """Train a network on all folds but one, and keep the weights that do best on that one, or last.

    Without a fold it is trained on all cases but those of the test set, to the end of its schedule,
    and the last weights are kept: they have no score.

    Writes to `out`: `model.json` and `best.safetensors` (the model), `metrics.csv` and
    `curve.png` (the course of training), `last.safetensors` (the state to resume from, the one
    before beside it), `settings.json`, `validation_cases.txt`, `training_cases.json` and
    `run.json`. Resumed with the same settings, a run on a processor ends with the weights, bit for
    bit, of one without a stop.

    Args:
        task: network and training settings; the data settings are those it was prepared with.
        data: folder of a prepared dataset.
        out: folder of the run; must not hold a run yet, unless it is resumed.
        fold: the validation fold; None for none.
        resume: go on where the run in `out` stopped.
        init: folder of a trained network or package to begin from: what fits of its weights is
            taken. Default: all are drawn.

    Returns:
        The validation Dice of the weights kept, mean over classes and cases, 0 to 1; None without
        a fold.

    Raises:
        DataError: if the dataset, the fold or the state cannot be used, or `out` is taken.
        DataError: CONFIG_LOGGER if a logger is not installed; CONFIG_CLASSES if
            `training.class_weights` names what is not learned.
        DataError: RUN_NONFINITE if the loss is not finite; INIT_... if nothing can be begun from
            `init`.
        Stopped: if a signal or a file stopped it; it can be resumed.
    """
    out, dataset = Path(out), load_dataset(data)
    check_output(out, data, *([init] if init else []))
    check_once("network", task.network)
    check_once("training", task.training)
    check_contradictions(task.dataset, dataset)
    asked, task = task.network, planned(task, dataset.plan)
    task = without_validation(task) if fold is None else task
    config = task.training
    check_workers(config.workers, "training.workers")
    loggers = names_of(config)
    device = choose_device(config.device, "training.device")
    quiet_lightning()
    check_processes(task.trainer.devices, task.trainer.num_nodes)
    batches = SegmentationData(dataset, fold, config)
    batches.check_processes(task.trainer, device)
    end_together()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    network = network_for(task.network, dataset.plan)
    initial = None if init is None else load_initial(init, dataset.plan)
    fitting = begin_from(initial, network, config, dataset.plan)
    module = SegmentationModule(network, dataset.plan, config)
    validations = batches.validations(task.trainer.devices * task.trainer.num_nodes)
    augmentation(dataset.plan, config)  # refuses before anything is written
    settings = settings_for(task, dataset, fold)
    if initial is not None:
        settings["init_sha256"] = initial.sha256
        settings |= {"init": str(initial.root)} if is_on_hub(initial.root) else {}
    record = RunRecord("train", device, **settings)
    own, state, unit = own_settings(settings), None, _unit(config)
    if resume and not states(out) and (out / SETTINGS).exists():
        if (out / RECORD).exists():  # of a training that came to its end, and had states
            check_written(out / STATE, None)
        say("the run was stopped before anything was saved: training starts from the beginning")
    elif resume:
        state = state_to_resume(out, validations, unit)
    check_run_folder(out, settings, resume)
    if not resume:
        check_free(out, "train")
    elif state:
        check_run(state, own)
        if not is_listed(state) and is_first_process():
            for finding in findings_of({UNLISTED}):
                say(str(finding))
    dataset.verify()
    keep = Keep(out / WEIGHTS, out / STATE, config.save_steps, config.patience, config.keep, own)
    with lightning_errors():
        trainer = build_trainer(task, out, keep, validations, own, validate=fold is not None)
    # The first process keeps other runs out; the others are its own.
    with own_run(out, resume) if is_first_process() else nullcontext():
        if is_first_process():
            check_run_folder(out, settings, resume)  # again: another run may just have ended here
            _describe(out, task, dataset, fold, initial)
            write_hashed(out / SETTINGS, settings)
            _say_doubts(asked, config, module.network, dataset.plan, device)
            if initial is not None:
                say_initial(initial, fitting, dataset, fold)
            steps = batches.order().epoch_steps
            named = "none" if fold is None else fold
            say(f"training in {out}: {steps} steps an epoch, fold {named}, seed {config.seed}")
            if fold is None:
                say(_NO_FOLD)
        # The precision is that of the settings, whatever the caller's autocast.
        plain = torch.autocast(device, enabled=False)
        logging = logging_to(trainer, loggers if is_first_process() else (), out, settings)
        with logging, plain:
            fit(trainer, module, batches, state)
    if not (out / WEIGHTS).exists():
        raise DataError("RUN_WEIGHTS", f"{WEIGHTS} is gone from {out}", "train anew")
    if trainer.is_global_zero and (module.trained or not _is_finished(out)):
        record.write(
            out,
            epochs=_epochs(trainer, batches.order().epoch_steps, config),
            validations=trainer.current_epoch if batches.val_cases else 0,
            steps=trainer.global_step,
            validation_dice=keep.score,
            training_cases=len(batches.train_cases),
            validation_cases=len(batches.val_cases),
            parameters=count_parameters(module.network),
        )
    elif trainer.is_global_zero:
        say(f"the run in {out} had come to its end, and is kept as it is")
    return keep.score


def check_settings(task: TaskConfig, plan: Plan) -> None:
    """Refuse settings that no training of drawn weights by a plan takes, before its data are there.

    Raises:
        DataError: CONFIG_..., as `train_fold` before it writes anything.
    """
    check_once("network", task.network)
    check_once("training", task.training)
    task = planned(task, plan)
    config = task.training
    check_workers(config.workers, "training.workers")
    names_of(config)
    choose_device(config.device, "training.device")
    network = network_for(task.network, plan)
    begin_from(None, network, config, plan)
    SegmentationModule(network, plan, config)
    augmentation(plan, config)


def _say_doubts(
    asked: NetworkConfig, config: TrainingConfig, network: nn.Module, plan: Plan, device: str
) -> None:
    """Tell what may be other than is expected of a training like this."""
    if device == "cuda" and not config.deterministic:
        say("on a GPU, runs may differ in their last bits; --deterministic prevents that")
    say_if_slow(network, device)
    _say_unused(asked, network)
    for finding in doubt_about_sides(plan, config, flip_axes(plan, config)):
        say(str(finding))


def _say_unused(config: NetworkConfig, network: nn.Module) -> None:
    """Tell of settings of sweeps, given to a network that has none; and of one that lacks them."""
    sweeps = any(isinstance(part, Sweep) for part in network.modules())
    if config.name in SWEEPING_NETWORKS and config.sdn_decoder is None and not sweeps:
        say("note: no level sweeps: name more than two network.features, or network.sdn_decoder")
    over = passed_over(config.name, match_parameters=config.match_parameters, sweeps=sweeps)
    given = [n for n in over if getattr(config, n) != getattr(NetworkConfig(), n)]
    if given:
        say(
            f"note: {config.name} does not sweep: network.{', network.'.join(given)} change nothing"
        )


def _is_finished(run: Path) -> bool:
    try:
        check_finished(run)
    except DataError:
        return False
    return True


def _describe(
    out: Path, task: TaskConfig, dataset: Dataset, fold: int | None, initial: Model | None
) -> None:
    """Write what the model is, and which cases it is trained on and validated by."""
    axes = flip_axes(dataset.plan, task.training)
    save_description(out, task.network, dataset.plan, task.training.overlap, axes)
    sides = dataset.sides(fold)
    write_seen(out, dataset, fold, initial)
    if fold is not None:
        listed = "".join(f"{case}\n" for case in sides["val"])
        write_bytes(out / VALIDATION_CASES, listed.encode())


def _unit(config: TrainingConfig) -> str:
    """Return what ends with a validation, in a word."""
    return "check" if config.validate_every else "epoch"


def _epochs(trainer: pl.Trainer, steps: int, config: TrainingConfig) -> float:
    """Return how many epochs were trained, not always whole ones."""
    if not config.validate_every:
        return trainer.current_epoch
    return round(trainer.global_step / steps, 4)


def build_trainer(
    task: TaskConfig,
    out: Path,
    keep: Keep,
    validations: int,
    own: Mapping[str, Any] | None = None,
    watch: pl.Callback | None = None,
    *,
    validate: bool = True,
) -> pl.Trainer:
    """Return Lightning's trainer for a task; it writes to `out`, and validates so many times.

    Args:
        task: settings.
        out: folder of the run.
        keep: keeps its weights and states.
        validations: after which the training ends.
        own: what tells the run from every other, which states are to hold.
        watch: called before all others, so before states are written.
        validate: whether there is something to validate on; else there are so many epochs.
    """
    config = task.training
    several = task.trainer.devices * task.trainer.num_nodes > 1 or task.trainer.strategy == "ddp"
    gpu = choose_device(config.device) == "cuda"
    # Lightning's own state at SLURM's signal would be a pickle; `Halt` hears that signal.
    slurm = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
    return pl.Trainer(
        max_epochs=validations,
        accelerator="gpu" if gpu else "cpu",
        devices=task.trainer.devices,
        num_nodes=task.trainer.num_nodes,
        strategy="ddp" if several else "auto",
        use_distributed_sampler=False,
        precision=config.precision,
        deterministic=config.deterministic,
        sync_batchnorm=several and gpu,
        default_root_dir=out,
        num_sanity_val_steps=1,
        limit_val_batches=None if validate else 0,
        logger=False,  # see `logging_to`
        callbacks=[
            *([watch] if watch else []),
            Course(out, _unit(config)),
            Halt(out, config.max_time),
            keep,
        ],
        plugins=[StateIO(own), *slurm],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
