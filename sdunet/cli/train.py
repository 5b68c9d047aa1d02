"""`train`, `postprocess`, `predict` and `export`."""

from dataclasses import replace
from pathlib import Path

import jsonargparse
import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveInt

from data_prep.core.config import PositiveNumber
from data_prep.core.errors import DataError
from data_prep.prepared.dataset import load_dataset
from sdunet.cli.options import Command, add_cases, add_task, cases_of, report, task_of
from sdunet.cli.parser import Parser
from sdunet.runtime.device import own_part
from sdunet.runtime.run_record import bar, tell

_MOST_SEEDS = 1000


def _describe_train(parser: Parser) -> None:
    """Train a network on a prepared dataset."""
    parser.add_argument("--data", required=True, help="prepared dataset")
    parser.add_argument("--out", required=True, help="folder for the run")
    parser.add_argument("--fold", default="0", help="fold that validates, or `all`, one a run")
    parser.add_argument(
        "--seeds", type=PositiveInt, default=1, help="runs of different seeds, one after the other"
    )
    parser.add_argument("--resume", action="store_true", help="go on where the run stopped")
    parser.add_argument("--epochs", type=PositiveInt, help="short for --training.epochs")
    parser.add_argument("--patience", type=NonNegativeInt, help="short for --training.patience")
    parser.add_argument("--max-time", type=PositiveNumber, help="short for --training.max_time")
    parser.add_argument(
        "--deterministic", action="store_true", help="short for --training.deterministic true"
    )
    add_task(parser)


def _train(options: jsonargparse.Namespace) -> int:
    from pytorch_lightning.utilities import rank_zero_only

    from sdunet.segmentation.training.cross_validation import train_several

    task = task_of(options)
    short = {name: getattr(options, name) for name in ("epochs", "patience", "max_time")}
    given = {name: value for name, value in short.items() if value is not None}
    if options.deterministic:
        given["deterministic"] = True
    task = replace(task, training=replace(task.training, **given))
    if options.fold == "all":
        folds = list(range(len(load_dataset(options.data).folds)))
    elif (fold := _number(options.fold)) is not None:
        folds = [fold]
    else:
        raise DataError("SPLIT_FOLD", f"fold {options.fold!r:.80}", "give its number, or all")
    seeds = range(task.training.seed, task.training.seed + options.seeds)
    if options.seeds > _MOST_SEEDS or seeds[-1] >= 2**32:
        raise DataError(
            "CONFIG_SEEDS",
            f"{options.seeds} seeds from {seeds[0]}",
            f"give no more than {_MOST_SEEDS}, all below 2 ** 32",
        )
    scores = train_several(task, options.data, options.out, folds, seeds, resume=options.resume)
    if rank_zero_only.rank:
        return 0  # one of several processes tells
    if len(scores) == 1:
        tell(f"best validation Dice {next(iter(scores.values())):.4f}, model in {options.out}")
        return 0
    for run, dice in scores.items():
        tell(f"{dice:.4f}  {run}")
    values = list(scores.values())
    tell(f"best validation Dice {np.mean(values):.4f} +- {np.std(values, ddof=1):.4f}, mean and "
          f"deviation of {len(values)} runs")  # fmt: skip
    return 0


def _describe_postprocess(parser: Parser) -> None:
    """Find out whether removing small pieces helps, on validation cases; predict then does so."""
    parser.add_argument("RUN", help="folder of a run, or of one run a fold")
    parser.add_argument("--data", required=True, help="prepared dataset it was trained on")


def _postprocess(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.inference.postprocessing import LARGEST
    from sdunet.segmentation.training.cross_validation import find_rules

    for name, (rule, before, after) in find_rules(options.RUN, options.data, bar).items():
        kept = "all pieces kept" if rule is None else f"pieces below {rule:.4g} removed" \
            if rule != LARGEST else "largest piece kept"  # fmt: skip
        tell(f"{name:<20}{kept:<32}validation Dice {before:.4f} -> {after:.4f}")
    return 0


def _describe_predict(parser: Parser) -> None:
    """Predict labels for new images."""
    parser.add_argument(
        "--model", required=True, nargs="+", help="folders of runs; all models in them vote"
    )
    parser.add_argument("-i", "--input", required=True, help="image, folder or raw dataset")
    parser.add_argument("-o", "--out", required=True, help="folder for the predictions")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")
    parser.add_argument("--mirror", action="store_true", help="also look at mirrored windows")
    parser.add_argument(
        "--no-postprocess", action="store_true", help="keep what sdunet postprocess would remove"
    )
    parser.add_argument("--uncertainty", action="store_true", help="write entropy, 0 to 1")
    parser.add_argument("--probabilities", action="store_true", help="write those of each class")
    parser.add_argument(
        "--max-ram",
        type=PositiveNumber,
        metavar="GB",
        help="memory of one scan, beside the networks and their maps; default: what this job has",
    )
    parser.add_argument(
        "--accept", nargs="*", default=[], metavar="CODE", help="findings that are meant to be so"
    )
    parser.add_argument("--resume", action="store_true", help="keep what is predicted already")
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="of N parts of all cases, number I, from 0; default: all, under torchrun a part each",
    )
    add_cases(parser)


def _predict(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.inference.predict_folder import PredictOptions, predict

    done, problems = predict(
        options.model,
        options.input,
        options.out,
        cases_of(options),
        PredictOptions(
            device=options.device,
            mirror=options.mirror,
            tidy=not options.no_postprocess,
            uncertainty=options.uncertainty,
            probabilities=options.probabilities,
            max_ram=options.max_ram,
            accept=tuple(options.accept),
            resume=options.resume,
            shard=_shard(options.shard),
        ),
        bar,
    )
    tell(f"{len(done)} predictions in {Path(options.out)}")
    return report(problems)


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return own_part()
    number, parts = (_number(part) for part in text.partition("/")[::2])
    if number is None or parts is None or number >= parts:
        raise DataError("PRED_SHARD", f"--shard {text:.80}", "give it as I/N, I from 0 to N - 1")
    return number, parts


def _number(text: str) -> int | None:
    """Return a number from 0; `None` for other text, and for one too long to count anything."""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _describe_export(parser: Parser) -> None:
    """Write a trained network as a package that checks itself, and is a MONAI bundle."""
    parser.add_argument("RUN", help="folder of a run")
    parser.add_argument("-o", "--out", required=True, help="folder for the package, or the zip")
    parser.add_argument("--zip", action="store_true", help="write one zip file")


def _export(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.export.package import export

    package = export(options.RUN, options.out, pack=options.zip)
    tell(f"package {package}; it gave what the network gave, in a process of its own")
    return 0


COMMANDS: dict[str, Command] = {
    "train": (_describe_train, _train),
    "postprocess": (_describe_postprocess, _postprocess),
    "predict": (_describe_predict, _predict),
    "export": (_describe_export, _export),
}
