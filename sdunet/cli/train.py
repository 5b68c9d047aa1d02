"""`train` and `postprocess`."""

from dataclasses import replace
from typing import Literal

import jsonargparse
import numpy as np
from jsonargparse.typing import PositiveInt

from data_prep.core.errors import DataError
from data_prep.core.values.numbers import CountFrom0, PositiveNumber, Steps, StepsFrom0
from data_prep.prepared.contradictions import check_contradictions
from data_prep.prepared.dataset import load_dataset
from sdunet.cli.options import Command, accepted, add_accept, add_task, task_of
from sdunet.cli.parser import Parser
from sdunet.runtime.device import check_environment
from sdunet.runtime.run_record import bar, say, tell
from sdunet.segmentation.config import TrainingConfig

_MOST_SEEDS = 1000


def _describe_train(parser: Parser) -> None:
    """Train a network on a prepared dataset.

    Example: sdunet train --data prepared -o runs/first
    """
    parser.add_argument("--data", required=True, help="prepared dataset")
    parser.add_argument("-o", "--out", required=True, help="folder for the run")
    parser.add_argument(
        "--fold",
        type=CountFrom0 | Literal["all", "none"],
        default=0,
        help="validation fold; `all`, one a run; or `none`: train on all cases, without a score",
    )
    parser.add_argument(
        "--seeds", type=PositiveInt, default=1, help="runs of different seeds, one after the other"
    )
    parser.add_argument("--resume", action="store_true", help="resume where the run stopped")
    parser.add_argument(
        "--init",
        metavar="MODEL",
        help="begin from the weights of this run or package, or hf:OWNER/NAME@COMMIT (fine-tune)",
    )
    parser.add_argument("--epochs", type=Steps, help="--training.epochs: at most this many")
    parser.add_argument(
        "--patience",
        type=StepsFrom0,
        help="--training.patience: validations without a better Dice",
    )
    parser.add_argument("--max-time", type=PositiveNumber, help="--training.max_time: minutes")
    parser.add_argument(
        "--deterministic", action="store_true", help="short for --training.deterministic true"
    )
    add_task(parser, "network", "training", "trainer", "dataset")


def _train(options: jsonargparse.Namespace) -> int:
    check_environment()
    from sdunet.runtime.lightning_setup import is_first_process
    from sdunet.segmentation.training.cross_validation import train_several

    task = task_of(options)
    check_contradictions(task.dataset, load_dataset(options.data), options.stated["dataset"])
    short = {name: getattr(options, name) for name in ("epochs", "patience", "max_time")}
    given = {name: value for name, value in short.items() if value is not None}
    if options.deterministic:
        given["deterministic"] = True
    if options.init and "learning_rate" not in options.stated["training"]:
        given["learning_rate"] = TrainingConfig().learning_rate / 10
        say(f"learning rate {given['learning_rate']:g}, a tenth of the default, to fine-tune")
    task = replace(task, training=replace(task.training, **given))
    folds: list[int | None] = [None if options.fold == "none" else options.fold]
    if options.fold == "all":
        folds = [*range(len(load_dataset(options.data).folds))]
    seeds = range(task.training.seed, task.training.seed + options.seeds)
    if options.seeds > _MOST_SEEDS or seeds[-1] >= 2**32:
        raise DataError(
            "CONFIG_SEEDS",
            f"--seeds {options.seeds} from training.seed {seeds[0]} on",
            f"give no more than {_MOST_SEEDS}, all below 2 ** 32",
        )
    scores = train_several(
        task, options.data, options.out, folds, seeds, resume=options.resume, init=options.init
    )
    if not is_first_process():
        return 0  # one of several processes tells
    kept, values = task.training.keep, [dice for dice in scores.values() if dice is not None]
    if not values:
        for run in scores:
            tell(f"trained on all cases, so without a score; model in {run}")
        return 0
    if len(scores) == 1:
        tell(f"{kept} validation Dice {values[0]:.4f}, model in {options.out}")
        return 0
    for run, dice in scores.items():
        tell(f"{dice:.4f}  {run}")
    tell(f"{kept} validation Dice {np.mean(values):.4f} +- {np.std(values, ddof=1):.4f}, mean and "
          f"deviation of {len(values)} runs")  # fmt: skip
    return 0


def _describe_postprocess(parser: Parser) -> None:
    """Find out whether removing small connected components helps; predict then does so.

    Example: sdunet postprocess --model runs/first --data prepared
    """
    parser.add_argument("--model", help="folder of a run, or of one run a fold (required)")
    parser.add_argument("--data", required=True, help="prepared dataset it was trained on")
    add_accept(parser, "RUN_UNFINISHED: take runs that were stopped before their end")


def _postprocess(options: jsonargparse.Namespace) -> int:
    check_environment()
    from sdunet.segmentation.inference.postprocessing import LARGEST
    from sdunet.segmentation.training.cross_validation import find_rules

    found = find_rules(options.model, options.data, bar, accepted(options))
    for name, (rule, before, after) in found.items():
        kept = "all components kept" if rule is None else f"components below {rule:.4g} removed" \
            if rule != LARGEST else "largest component kept"  # fmt: skip
        tell(f"{name:<20}{kept:<32}validation Dice {before:.4f} -> {after:.4f}")
    return 0


COMMANDS: dict[str, Command] = {
    "train": (_describe_train, _train),
    "postprocess": (_describe_postprocess, _postprocess),
}
