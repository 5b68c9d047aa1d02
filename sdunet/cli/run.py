"""`run`."""

from pathlib import Path

import jsonargparse
from jsonargparse.typing import NonNegativeInt

from data_prep.core.values.numbers import PositiveNumber
from sdunet.cli.options import Command, add_jobs, add_task, task_of
from sdunet.cli.parser import Parser
from sdunet.runtime.run_record import bar, say, tell


def _describe_run(parser: Parser) -> None:
    """Train on raw data in one command, with scores and a package; run again, it resumes.

    Example: sdunet run raw -o results
    """
    parser.add_argument("DATA", help="raw dataset: folder, zip or tar in a known layout")
    parser.add_argument("-o", "--out", required=True, help="folder for all results")
    parser.add_argument(
        "--folds", type=NonNegativeInt, help="train the first so many folds; default: all"
    )
    parser.add_argument(
        "--minutes",
        type=PositiveNumber,
        help="that all of it may take; epochs are chosen to fit, at most training.epochs",
    )
    add_jobs(parser)
    add_task(parser, "dataset", "network", "training")


def _run(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.pipeline.page import INDEX
    from sdunet.segmentation.pipeline.run import RunOptions, run

    how = ("folds", "minutes", "workers", "scheduler", "max_ram")
    chosen = RunOptions(**{name: getattr(options, name) for name in how})
    summary, problems = run(options.DATA, options.out, task_of(options), chosen, bar)
    out = Path(options.out)
    for scores in summary["mean"].values():
        dice, bounds = scores["Dice"], scores["interval"]["Dice"]
        told = "-" if dice is None else f"{dice:.4f}"
        told += f" ({bounds[0]:.4f} to {bounds[1]:.4f})" if bounds else ""
        tell(f"{scores['name']:<20}Dice of {scores['n']} validation cases (95 %): {told}")
    tell(f"all about it: {out / INDEX}")
    tell(f"to predict: sdunet predict --model {out / 'package'} -i NEW_SCANS -o predictions")
    for problem in problems:
        say(f"error: {problem}")
    if problems:
        say(f"{len(problems)} problems; all other cases are done")
    return 1 if problems else 0


COMMANDS: dict[str, Command] = {"run": (_describe_run, _run)}
