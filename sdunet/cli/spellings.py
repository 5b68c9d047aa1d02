"""How options were spelt before: that goes on working for one release, with a note."""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import jsonargparse
import yaml

from data_prep.core.parse import read_settings
from sdunet.cli.parser import Parser
from sdunet.runtime.run_record import say

# Old option: new option.
OPTIONS = {
    "--batch_size": "--batch-size",
    "--mirror": "--mirroring",
    "--print_config": "--print-config",
}
# Command: the option for what stood there without a name, as its last argument.
POSITIONS = {
    "convert": "out",
    "prepare": "out",
    "postprocess": "model",
    "export": "model",
    "vae prepare": "out",
}
# Short names of settings of `train`.
_SHORT = {
    f"--{name.replace('_', '-')}": f"--training.{name}"
    for name in ("epochs", "patience", "max_time", "deterministic")
}
_OLD = "OLD"


def respelt(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with old options renamed, and settings with underscores as in YAML."""
    found = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name.startswith("--") and "." in name:
            name = "--" + name.removeprefix("--").replace("-", "_")
        elif name in OPTIONS:
            say(f"note: {name} is now {OPTIONS[name]}")
            name = OPTIONS[name]
        found.append(name + equals + value)
    # The parser takes arguments without a name only where they stand together.
    named = [argument.startswith("-") for argument in found]
    words = 2 if found[:1] == ["vae"] else 1
    apart = " ".join(found[:words]) in POSITIONS and named[words : words + 2] == [False, True]
    if apart and not named[-1] and (not named[-2] or "=" in found[-2]):
        found.insert(words + 1, found.pop())
    return found


def by_two_names(arguments: Sequence[str]) -> str | None:
    """Return what is wrong if a setting is given by its short name and by its long one, too.

    A setting that is there twice by one name is no error: the last one counts, which is told; so is
    one of several names, such as `training.class_weights`, that replaces some given before.
    """
    settings = _settings_in(arguments)
    for name in sorted({*settings}):
        if settings.count(name) > 1 and name[-1] != "+":
            say(f"note: {name} is given {settings.count(name)} times, and the last one counts")
    for place, name in enumerate(settings):
        parts = dict.fromkeys(one for one in settings[:place] if one.startswith(f"{name}."))
        if parts:
            say(f"note: {name} replaces {', '.join(parts)}, given before it; name all in it")
    names = {argument.partition("=")[0] for argument in arguments}
    if arguments[:1] == ["train"]:
        for short, setting in _SHORT.items():
            if {short, setting} <= names:
                return f"{short} and {setting} are one setting; give one of them"
    return None


def _settings_in(arguments: Sequence[str]) -> list[str]:
    """Return the settings that are given, in this order; of a whole section, all that it holds."""
    found = []
    for argument, following in pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        if not name.startswith("--"):
            continue
        if "." in name:
            found.append(name)
        elif (text := value if equals else following).lstrip().startswith("{"):
            with suppress(ValueError, yaml.YAMLError):  # which the parser tells of
                found += [f"{name}.{key}" for key in read_settings(text)]
    return found


def add_old_position(parser: Parser, command: str) -> None:
    """Let a command take what it now wants by an option without its name, too."""
    if command in POSITIONS:
        parser.add_argument(_OLD, nargs="?", help=argparse.SUPPRESS)


def take_old_position(parser: Parser, command: str, options: jsonargparse.Namespace) -> None:
    """Move what was given without a name to its option; leave with status 2 if there is neither."""
    if command not in POSITIONS:
        return
    name = POSITIONS[command]
    given, old = options.get(name), options.get(_OLD)
    if old is not None and given is not None:
        parser.error(f"unrecognized arguments: {old}")
    if old is None and given is None:
        parser.error(f"--{name} is required")
    if old is not None:
        say(f"note: give it by its name: --{name} {old}")
        options[name] = old
