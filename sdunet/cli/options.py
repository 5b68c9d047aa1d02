"""Options that several commands share, and how they report what was left out."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import jsonargparse

from data_prep.core.codes import acceptable
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.memory_limits import memory_each
from data_prep.core.parse import MAX_LIST_BYTES, usable
from data_prep.core.values.numbers import CountFrom0, PositiveNumber, Seed
from data_prep.files.output_folder import check_free, check_output
from data_prep.files.written_files import read_written
from sdunet.cli.parser import Parser
from sdunet.runtime.device import choose_device
from sdunet.runtime.doubts import findings_of
from sdunet.runtime.run_record import say
from sdunet.segmentation.config import TaskConfig

if TYPE_CHECKING:  # commands import what they run, so that help does not wait for it
    from sdunet.vae.data.packed import Packed
    from sdunet.vae.model import Model

PICTURES = "vae pictures"  # whose folder that is, for all commands that draw some
DEVICE = "that computes; auto takes a GPU if there is one"
# What a command adds to its parser, and what it does.
Command = tuple[Callable[[Parser], None], Callable[[jsonargparse.Namespace], int]]


def add_jobs(parser: Parser) -> None:
    """Add how work over cases is spread."""
    parser.add_argument(
        "--workers", type=CountFrom0, default=0, help="local processes; 0: this one"
    )
    parser.add_argument("--scheduler", help="address of a Dask cluster, such as tcp://host:8786")
    add_max_ram(parser, "what this machine has for each worker, with a cluster no limit")


def add_max_ram(parser: Parser, default: str = "what this machine has") -> None:
    """Add `--max-ram`, whose default is said in words."""
    parser.add_argument(
        "--max-ram",
        type=PositiveNumber,
        metavar="GB",
        help=f"memory of one case, above which it is refused by its header; default: {default}",
    )


def max_ram_of(options: jsonargparse.Namespace) -> float | None:
    """Return the gigabytes that one case may take where cases are worked on in turn."""
    return options.max_ram or memory_each(1)


def jobs_of(options: jsonargparse.Namespace) -> dict:
    """Return how the work is spread, as `check` and `prepare` take it."""
    max_ram = options.max_ram
    if max_ram is None and options.scheduler is None:
        max_ram = memory_each(options.workers)
    return {"workers": options.workers, "scheduler": options.scheduler, "max_ram": max_ram}


def add_task(parser: Parser, *shown: str) -> None:
    """Add the settings of a task: `--config` and one option each.

    Args:
        parser: of the command.
        shown: sections that its help lists; the others are taken, as a file may hold them.
    """
    parser.add_argument("--config", action="config", help="YAML file of the task")
    parser.add_class_arguments(TaskConfig, None)
    for group in parser._action_groups:
        sections = {action.dest.split(".")[0] for action in group._group_actions}
        if sections <= {"dataset", "network", "training", "trainer"} - set(shown) and sections:
            group.title = group.description = None
            for action in group._group_actions:
                action.help = argparse.SUPPRESS


def task_of(options: jsonargparse.Namespace) -> TaskConfig:
    """Return the settings given."""
    return TaskConfig(options.dataset, options.network, options.training, options.trainer)


def add_cases(parser: Parser) -> None:
    """Add `--cases`."""
    parser.add_argument("--cases", help="text file with the id of one case a line; default all")


def cases_of(options: jsonargparse.Namespace) -> set[str] | None:
    """Return the ids listed in the file given, `None` without one.

    Raises:
        DataError: CASE_FILE if it cannot be read or is no text, OUT_CHANGED if sdunet wrote it
            otherwise.
    """
    if options.cases is None:
        return None
    with usable("CASE_FILE", options.cases, "give a text file in UTF-8 with an id a line"):
        lines = read_written(options.cases, MAX_LIST_BYTES).decode("utf-8-sig").splitlines()
    return {line.strip() for line in lines if line.strip()}


def say_unused(config: DataConfig) -> None:
    """Note settings of planning, for commands that plan nothing but take the same file."""
    from data_prep.checks.settings import of_planning

    for finding in of_planning(config):
        say(str(replace(finding, level="note", fix="")))


def add_accept(parser: Parser, what: str = "findings that are meant to be so") -> None:
    """Add `--accept`."""
    parser.add_argument("--accept", nargs="*", default=[], metavar="CODE", help=what)


def accepted(options: jsonargparse.Namespace) -> tuple[str, ...]:
    """Return the codes that are accepted.

    Raises:
        DataError: PRED_ACCEPT for one that cannot be.
    """
    return acceptable(options.accept, "--accept")


def report(problems: Sequence[DataError]) -> int:
    """Print each problem; return the exit status they call for."""
    for problem in problems:
        say(f"error: {problem}")
    if problems:
        say(f"{len(problems)} problems; all other cases are done")
    return 1 if problems else 0


def number_of(text: str) -> int | None:
    """Return a number from 0; `None` for other text, and for one too long to count anything."""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def add_vae(parser: Parser, *, data: bool = False) -> None:
    """Add which model to use, where, and its images if they are needed."""
    parser.add_argument("--model", required=True, help="folder of a run")
    if data:
        parser.add_argument("--data", required=True, help="the packed set it was trained on")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto", help=DEVICE)
    parser.add_argument("--seed", type=Seed, default=0)
    add_accept(parser, "RUN_UNFINISHED: take a run that was stopped before its end")


def vae_of(options: jsonargparse.Namespace) -> "Model":
    """Return the model that was asked for, on its device."""
    from sdunet.vae.model import doubts_of, load_model

    accept = accepted(options)
    options.device = choose_device(options.device)
    model = load_model(options.model, options.device)
    if out := options.get("out"):  # before the work
        check_output(out, *filter(None, [options.get("data")]))
        check_free(out, PICTURES)
    for finding in findings_of(doubts_of(model, accept), accept):
        say(str(finding))
    return model


def same_images(model: "Model", data: "Packed") -> "Packed":
    """Return the images, if they are those the model was trained on."""
    from sdunet.vae.model import check_images_fit, check_same_data

    check_images_fit(model.config.images, data)
    check_same_data(model, data)
    return data
