"""Raw data to a package and a page about it: the stages, which call what the single commands call.

Every validation case is predicted by the network that has not seen it, and all of them are scored
as one set.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from data_prep.checks.binary_masks import are_binary, as_binary, binary_note
from data_prep.checks.run import Checked, check
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.memory_limits import memory_each
from data_prep.core.progress import Progress, silent
from data_prep.files.atomic import write_bytes
from data_prep.files.file_tree import Tree, open_tree
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.files.output_folder import check_output, own_folder
from data_prep.files.written_files import read_written
from data_prep.planning.plan_json import read_plan, write_plan
from data_prep.prepared.dataset import Dataset, load_dataset
from data_prep.prepared.prepare import planned, prepare
from sdunet.runtime.device import check_processes
from sdunet.runtime.run_record import say
from sdunet.segmentation.config import TaskConfig
from sdunet.segmentation.evaluation.evaluate import SUMMARY, evaluate
from sdunet.segmentation.export.package import export
from sdunet.segmentation.inference.pooled import pool
from sdunet.segmentation.inference.postprocessing import RULES
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.segmentation.inference.prediction_record import MANIFEST
from sdunet.segmentation.models.run_settings import SETTINGS
from sdunet.segmentation.models.trained_model import DESCRIPTION, WEIGHTS, load_model
from sdunet.segmentation.pipeline.page import INDEX, write_page
from sdunet.segmentation.pipeline.raw_files import data_settings, raw_files
from sdunet.segmentation.pipeline.stages import Facts, Stages
from sdunet.segmentation.review.overlay import overlay
from sdunet.segmentation.training.cross_validation import find_rules, train_several
from sdunet.segmentation.training.data_module import SegmentationData
from sdunet.segmentation.training.pace import epochs_within, measure
from sdunet.segmentation.training.train_fold import check_settings

CHECK, PLAN, SCHEDULE = "check.json", "plan.json", "schedule.json"
# Settings that may change between a stop and going on: where and how fast, not what.
_MODEL = (DESCRIPTION, WEIGHTS)
_FREE = ("device", "workers", "save_steps", "logger", "tensorboard")


@dataclass(frozen=True)
class RunOptions:
    """How to run.

    Attributes:
        folds: how many folds are trained, from the first on. Default: all.
        minutes: that all of it may take; epochs are chosen to fit. Default: those of the settings.
        workers: local processes to check and prepare in; with 0 in this one.
        scheduler: address of a Dask cluster to check and prepare on instead.
        max_ram: gigabytes of memory that one case may take. Default: what this machine has.
    """

    folds: int | None = None
    minutes: float | None = None
    workers: int = 0
    scheduler: str | None = None
    max_ram: float | None = None


def run(
    raw: str | Path,
    out: str | Path,
    task: TaskConfig | None = None,
    options: RunOptions | None = None,
    progress: Progress = silent,
) -> tuple[dict, list[str]]:
    """Check, plan, prepare, train, predict the validation cases, score, review and export.

    What was done before in `out`, from the same data and settings, is kept; a run that was stopped
    goes on. On a processor it ends with the weights, predictions and scores, bit for bit, of one
    without a stop.

    Args:
        raw: a folder, zip or tar in a known layout, see `find_layout`.
        out: folder for all results.
        task: settings. Default: all defaults.
        options: how. Default: `RunOptions()`.
        progress: wraps each loop over cases, given a title.

    Returns:
        The summary of the scores, and what kept cases out, a text each.

    Raises:
        DataError: PIPE_INPUTS if data or settings are not those that a stage was done from,
            PIPE_OUTPUTS if results were changed, PIPE_MINUTES if there is no time for an epoch,
            SPLIT_FOLD if there are fewer folds; CONFIG_... for settings that no training by the
            plan takes, before anything is prepared; as the functions of the single stages.
        Stopped: if a signal or a file stopped a training; called again, it goes on.
    """
    started = time.monotonic()
    task, options = task or TaskConfig(), options or RunOptions()
    check_processes(task.trainer.devices, task.trainer.num_nodes)
    if task.trainer.devices * task.trainer.num_nodes > 1 or task.trainer.strategy == "ddp":
        found = f"several processes ({task.trainer.devices} devices), sdunet run trains in one"
        fix = "set trainer.devices to 1, or use sdunet prepare and train one after the other"
        raise DataError("CONFIG_DEVICES", found, fix)
    if options.folds is not None and options.folds < 1:
        raise DataError("SPLIT_FOLD", f"--folds {options.folds}", "give 1 or more, or leave it out")
    tree = open_tree(raw)
    check_output(out, raw)
    with own_folder(out, "run", part=None):
        work = _Run(Path(raw), Path(out).absolute(), tree, task, options, progress, started)
        return work.all_stages()


@dataclass(frozen=True)
class _Run:
    raw: Path
    out: Path
    tree: Tree
    task: TaskConfig
    options: RunOptions
    progress: Progress
    started: float

    def all_stages(self) -> tuple[dict, list[str]]:
        stages, data = Stages(self.out), data_settings(self.task.dataset)
        inputs = {"raw": raw_files(self.tree), "dataset": data}
        checked = stages.do("check", inputs, [CHECK], self._check)
        stages.do("plan", stages.sha256(CHECK), [PLAN], self._plan)
        if not (self.out / SCHEDULE).exists():  # which holds the run to these settings
            check_settings(self.task, read_plan(self.out / PLAN))
        prepared = stages.do("prepare", stages.sha256(PLAN), ["prepared"], self._prepare)

        dataset = load_dataset(self.out / "prepared")
        folds = self._folds(dataset)
        data = stages.sha256("prepared/dataset.json", "prepared/splits.json")
        training = asdict(self.task.training)
        training = {name: value for name, value in training.items() if name not in _FREE}
        settings: Facts = {"network": asdict(self.task.network), "folds": len(folds)}
        settings["training"] = training
        inputs = data | settings | {"minutes": self.options.minutes}
        stages.do("schedule", inputs, [SCHEDULE], lambda: self._schedule(dataset, len(folds)))
        epochs = int(read_hashed(self.out / SCHEDULE)["epochs"])
        training["epochs"] = epochs
        stages.do("train", data | settings, ["runs"], lambda: self._train(folds, epochs))
        runs = [f"runs/fold_{fold}" for fold in folds] if len(folds) > 1 else ["runs"]
        weights = stages.sha256(*(f"{run}/{name}" for run in runs for name in _MODEL))
        stages.do("rules", weights, [f"runs/{RULES}"], self._rules)

        cases = {run: dataset.folds[fold]["val"] for run, fold in zip(runs, folds, strict=True)}
        places = ["out_of_fold", "predictions"]
        predicted = stages.do("predict", weights, places, lambda: self._predict(cases))
        ids = {id_ for some in cases.values() for id_ in some}
        record = stages.sha256(f"predictions/{MANIFEST}")
        scored = stages.do("evaluate", record, ["scores"], lambda: self._evaluate(ids))
        drawn = stages.do("review", record, ["review"], lambda: self._review(ids))
        inputs = weights | stages.sha256(f"runs/{RULES}")
        stages.do("export", inputs, ["package"], lambda: self._export(runs))
        inputs |= stages.sha256(CHECK, PLAN, SCHEDULE, f"scores/{SUMMARY}")
        stages.do("page", inputs, [INDEX], lambda: self._page(runs))
        told = [checked, prepared, predicted, scored, drawn]
        problems = list(dict.fromkeys(text for facts in told for text in facts["problems"]))
        return read_hashed(self.out / "scores" / SUMMARY), problems

    @cached_property
    def _checked(self) -> tuple[Checked, DataConfig]:
        """The set as it was checked, and the settings that it was read by."""
        config = self.task.dataset
        checked = self._check_by(config)
        if binary := as_binary(config, checked):
            again = self._check_by(binary)
            if are_binary(again):
                note = binary_note(again)
                say(str(note))
                return replace(again, findings=(*again.findings, note)), binary
        return checked, config

    @cached_property
    def _dataset(self) -> DataConfig:
        """The settings of the dataset, with how its labels were understood when it was checked."""
        asked = self.task.dataset
        label_map = read_hashed(self.out / CHECK).get("label_map", asked.label_map)
        return replace(asked, label_map={int(value): c for value, c in label_map.items()})

    def _check_by(self, config: DataConfig) -> Checked:
        return check(
            self.raw,
            config,
            self.progress,
            workers=self.options.workers,
            scheduler=self.options.scheduler,
            max_ram=self._max_ram,
            tree=self.tree,
        )

    @property
    def _max_ram(self) -> float | None:
        """Gigabytes that one case may take; with a cluster no limit, but by the user's."""
        if self.options.max_ram is None and self.options.scheduler is None:
            return memory_each(self.options.workers)
        return self.options.max_ram

    def _check(self) -> Facts:
        checked, config = self._checked
        checked.require_usable()
        found = [asdict(finding.for_records()) for finding in checked.findings]
        facts = {"layout": checked.layout.name, "cases": len(checked.layout.cases)}
        facts |= {"label_map": config.label_map, "findings": found}
        write_hashed(self.out / CHECK, facts)
        for error in checked.errors:  # before hours of training, not only at the end
            say(str(error))
        return _told(checked.errors)

    def _plan(self) -> None:
        write_plan(self.out / PLAN, planned(self._checked[0], self._dataset))

    def _prepare(self) -> Facts:
        _, problems = prepare(
            self.raw,
            self.out / "prepared",
            self._dataset,
            self.progress,
            plan=read_plan(self.out / PLAN),
            tell=lambda finding: say(str(finding)),
            workers=self.options.workers,
            scheduler=self.options.scheduler,
            max_ram=self._max_ram,
        )
        return _told(problems)

    def _folds(self, dataset: Dataset) -> list[int]:
        known, wanted = len(dataset.folds), self.options.folds
        if wanted is not None and wanted > known:
            found = f"--folds {wanted}, the dataset has {known}"
            raise DataError("SPLIT_FOLD", found, f"give 1 to {known}, or leave --folds out")
        return list(range(wanted or known))

    def _schedule(self, dataset: Dataset, folds: int) -> None:
        """Choose the epochs once, and record them: measured again, they might be others."""
        most, minutes = self.task.training.epochs, self.options.minutes
        facts: Facts = {"epochs": most, "minutes": minutes, "folds": folds}
        epochs = most
        if minutes is not None:
            say("a few steps are trained, to see how many epochs fit")
            pace = measure(self.task, dataset, 0)
            spent = time.monotonic() - self.started
            epochs = epochs_within(pace, minutes, spent, folds, most)
            facts |= {"epochs": epochs, "seconds_an_epoch": round(pace.epoch, 3)}
            why = "all of training.epochs" if epochs == most else f"for {minutes:g} minutes"
            say(f"{epochs} epochs a fold, {why}: one takes about {pace.epoch:.2g} s")
        training = replace(self.task.training, epochs=epochs)
        for fold in range(folds):  # refuses before the record holds the run to its settings
            SegmentationData(dataset, fold, training).validations()
        write_hashed(self.out / SCHEDULE, facts)

    def _train(self, folds: Sequence[int], epochs: int) -> Facts:
        runs = self.out / "runs"
        task = replace(self.task, training=replace(self.task.training, epochs=epochs))
        begun = any(runs.rglob(SETTINGS))
        seeds = [task.training.seed]
        dice = train_several(task, self.out / "prepared", runs, folds, seeds, resume=begun)
        return {"validation_dice": list(dice.values())}

    def _rules(self) -> None:
        find_rules(self.out / "runs", self.out / "prepared", self.progress)

    def _predict(self, cases: dict[str, list[str]]) -> Facts:
        # Without the rules, which were chosen on these very cases.
        options = PredictOptions(
            device=self.task.training.device,
            tidy=False,
            instances=self.task.dataset.instances,
            max_ram=self.options.max_ram,
            accept=self.task.dataset.accept,
            resume=True,
        )
        problems: list[DataError] = []
        folders = []
        for number, (run, ids) in enumerate(cases.items()):
            folders.append(self.out / f"out_of_fold/fold_{number}")
            _, found = predict(
                self.out / run, self.raw, folders[-1], {*ids}, options, self.progress
            )
            problems += found
        pool(folders, self.out / "predictions")
        return _told(problems)

    def _evaluate(self, ids: set[str]) -> Facts:
        _, problems = evaluate(
            self.out / "predictions",
            self.raw,
            self.out / "scores",
            ids,
            self._dataset,
            self.progress,
            max_ram=self.options.max_ram or memory_each(1),
        )
        return _told(problems)

    def _review(self, ids: set[str]) -> Facts:
        _, problems = overlay(
            self.raw,
            self.raw,
            self.out / "predictions",
            self.out / "review",
            ids,
            self._dataset,
            self.progress,
            max_ram=self.options.max_ram or memory_each(1),
        )
        return _told(problems)

    def _export(self, runs: Sequence[str]) -> None:
        """Export each run; of several, beside each other, with the rules of all of them."""
        package = self.out / "package"
        for run in runs:
            place = package / Path(run).name if len(runs) > 1 else package
            # A package takes its name when it is whole: one that is there was just finished.
            if not place.exists():
                export(self.out / run, place)
            elif load_model(place).sha256 != load_model(self.out / run).sha256:
                raise DataError("OUT_TAKEN", f"{place} is there", "remove it, or give another -o")
        if len(runs) > 1:
            write_bytes(package / RULES, read_written(self.out / "runs" / RULES))

    def _page(self, runs: Sequence[str]) -> None:
        write_page(self.out, runs)


def _told(problems: Sequence[DataError]) -> Facts:
    return {"problems": [str(error.for_records()) for error in problems]}
