"""The `sdunet` command: parses, calls, prints. Results go to stdout, all else to stderr.

Exit status: 0 done, 1 something was left out or failed, 2 the command itself is wrong.
Commands import what they run, so that only training waits for Lightning.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import jsonargparse

from data_prep.core.errors import DISK, DataError
from sdunet import __version__
from sdunet.cli import bench, data, info, predict, review, run, serve, train
from sdunet.cli.options import Command
from sdunet.cli.parser import Parser, add_command, files_first
from sdunet.cli.spellings import add_old_position, by_two_names, respelt, take_old_position
from sdunet.cli.vae.commands import describe_vae, run_vae
from sdunet.ops import keep_freed_memory
from sdunet.runtime.interruption import Stopped
from sdunet.runtime.run_record import RunRecord, say

_DESCRIPTION = """Train segmentation networks that sweep, and see where they are wrong.
Exit status: 0 done, 1 something was left out or failed, 2 the command itself is wrong."""


def command_parser(chosen: str | None = None) -> Parser:
    """Return the parser of all commands.

    Args:
        chosen: the command whose options are wanted: those of all others, which take most of the
            time, are left out then. Default: all.
    """
    parser = Parser(prog="sdunet", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"sdunet {__version__}")
    commands = parser.add_subcommands(dest="command", required=True)
    for name, (describe, _) in _COMMANDS.items():
        wanted = chosen not in _COMMANDS or chosen == name
        command = add_command(commands, name, describe, options=wanted)
        if wanted:
            add_old_position(command, name)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    arguments = respelt(argv)
    parser = command_parser(arguments[0] if arguments else None)
    if wrong := by_two_names(arguments) or parser.given_twice(arguments):
        parser.error(wrong)
    arguments = files_first(arguments)
    chosen = parser.instantiate(parser.parse_args(arguments))
    options = getattr(chosen, chosen.command)
    if chosen.command == "train":
        # Defaults that are written out are asked for, too.
        written = parser.parse_args(arguments, defaults=False).train
        options.stated = {
            section: tuple(vars(written.get(section, jsonargparse.Namespace())))
            for section in ("dataset", "training")
        }
    if chosen.command == "vae":
        take_old_position(parser, f"vae {options.action}", options[options.action])
    else:
        take_old_position(parser, chosen.command, options)
    if empty := [name for name, value in vars(options).items() if _is_empty(value)]:
        parser.error(f"{'--' * empty[0].islower()}{empty[0]} is empty")
    record = RunRecord(chosen.command, arguments=argv)
    keep_freed_memory()
    try:
        status = _COMMANDS[chosen.command][1](options)
        if chosen.command in ("run", "prepare", "predict", "evaluate", "overlay", "compare"):
            record.write(Path(options.out), status=status)
        return status
    except DataError as error:
        say(f"error: {error}")
    except MemoryError as error:
        say(f"error: out of memory: {error}; close other programs, or give smaller scans")
    except OSError as error:
        found = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
        if error.errno in DISK:
            fix = "make room, or give another place, and run it again"
            found = str(DataError("OUT_DISK", found, fix))
        say(f"error: {found}")
    except Stopped as stopped:
        how = "run it again to go on" if chosen.command == "run" else "continue with --resume"
        say(f"stopped: {stopped}; {how}")
        return stopped.status
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 1


def _is_empty(value: object) -> bool:
    """Tell whether an option is an empty text, as of an unset variable of a shell, or lists one."""
    return value == "" or (isinstance(value, list) and "" in value)


_COMMANDS: dict[str, Command] = {
    **run.COMMANDS,
    **data.COMMANDS,
    **train.COMMANDS,
    **predict.COMMANDS,
    **serve.COMMANDS,
    **review.COMMANDS,
    **bench.COMMANDS,
    "vae": (describe_vae, run_vae),
    **info.COMMANDS,
}
