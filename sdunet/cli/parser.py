"""The parser of the command line and of its subcommands."""

import argparse
import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse
import yaml

from data_prep.core.errors import DataError
from data_prep.core.parse import MAX_SETTINGS_BYTES, check_yaml, read_bounded, read_settings
from data_prep.core.values.in_words import choices, in_words
from sdunet.runtime.run_record import say

_load = jsonargparse.get_loader("yaml")


def _load_checked(text: str) -> object:
    check_yaml(text)
    return _load(text)


jsonargparse.set_loader("yaml", _load_checked, (yaml.YAMLError,))


# Where the parser names the value that is wrong: of a whole setting, else of a part of it.
_WRONG_VALUE = (
    r"(?:Given|Got) value:(?!.*(?:Given|Got) value:) ?(?P<value>.*)$",
    r"(?:with base 10|string to float): (?P<quote>['\"])(?P<value>.*)(?P=quote)$",
    r"Not of type \w+: (?P<value>\S+) does not conform",
)
_KEY = r'Parser key "([\w.]+)"'
_TEXT = "text, in quotes where a file has a number"
_NO_FILE = "Unable to load config"  # as the parser says it


class _Help(jsonargparse.DefaultHelpFormatter):
    """Says no default where there is none."""

    def _expand_help(self, action: argparse.Action) -> str:
        text = super()._expand_help(action)
        return text.replace(", default: null)", ")").removesuffix("(default: null)").rstrip()


class Parser(jsonargparse.ArgumentParser):
    """A parser whose errors are one line, and name the nearest known option."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Help, allow_abbrev=False, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error and leave with status 2; or raise it, for callers in Python."""
        unknown = re.search(r"not accept option '(.+)'|unrecognized arguments: --([^ =]+)", message)
        if unknown:
            known = self._known_actions()
            names = [action.dest for action in known]
            if unknown[2]:
                options = [option for action in known for option in action.option_strings]
                names = [option[2:] for option in options if option.startswith("--")]
            close = get_close_matches(unknown[1] or unknown[2], names, n=1, cutoff=0.5)
            dashes = "--" * bool(unknown[2])
            message += f"; did you mean '{dashes}{close[0]}'?" if close else ""
        message = " ".join(message.split())
        message = self._of_value(message) or re.sub(_KEY, self._typed, message)
        message = re.sub(r"the following arguments are required: (.*)", _as_typed, message)
        message += "; give a file of settings by name, each with a value" * (_NO_FILE in message)
        if not self.exit_on_error:
            raise ValueError(message)
        say(f"sdunet: {message}")
        sys.exit(2)

    def parse_path(
        self, path: str | os.PathLike, *args: object, **kwargs: object
    ) -> jsonargparse.Namespace:
        """Parse a file of settings, which is UTF-8 whatever the terminal is."""
        try:
            content = read_bounded(Path(path), MAX_SETTINGS_BYTES).decode("utf-8-sig")
        except UnicodeError:
            self.error(f"{path} is not UTF-8; save it as UTF-8")
        except ValueError as error:
            self.error(f"{path} has {error}; give a file of settings")
        return self.parse_string(content, str(path), *args, **kwargs)

    def parse_string(
        self, content: str, path: str | os.PathLike = "", *args: object, **kwargs: object
    ) -> jsonargparse.Namespace:
        """Parse settings, of which none is there without a value or twice, see `read_settings`."""
        try:
            settings = read_settings(content)
        except (ValueError, yaml.YAMLError) as error:
            self.error(f"problems parsing config {path}: {error}")
        for name, value in settings.items():
            self._refuse_empty(str(name), value)
        return super().parse_string(content, path, *args, **kwargs)

    def instantiate(
        self, namespace: jsonargparse.Namespace, *args: object, **kwargs: object
    ) -> jsonargparse.Namespace:
        """Make objects of the settings; a section that is no section is an error like any other."""
        sections = {action.dest.split(".")[0] for action in self._actions if "." in action.dest}
        for name in sections:
            value = namespace.get(name, {})
            self._refuse_empty(name, value)
            if not isinstance(value, jsonargparse.Namespace | dict):
                self.error(f"{name} must hold settings by name, got {value!r}")
        for action in self._actions:
            if action.default is not argparse.SUPPRESS:
                value = namespace.get(action.dest, action.default)
                self._refuse_empty(action.dest, value)
                self._refuse_no_text(action, value)
        return super().instantiate(namespace, *args, **kwargs)

    def _refuse_empty(self, name: str, value: object) -> None:
        """Refuse a setting that is there without a value, unless that is a value of it."""
        of_name = [action for action in self._actions if action.dest == name]
        if value is None and not any(action.default is None for action in of_name):
            fix = "give it one, or leave it out"
            self.error(str(DataError("CONFIG_EMPTY", f"{name} has no value", fix)))

    def _refuse_no_text(self, action: argparse.Action, value: object) -> None:
        """Refuse what a file gives for an option of text, such as a name, that is none."""
        given = value if isinstance(value, list) and action.nargs else [value]
        others = [one for one in given if one is not None and not isinstance(one, str)]
        if type(action) is argparse._StoreAction and not action.type and others:
            self.error(f"{_option(action)} takes {_TEXT}, not {others[0]!r}")

    def given_twice(self, arguments: Sequence[str]) -> str | None:
        """Return what is wrong if an option that takes a value is given twice, by any of its names.

        Of settings and their files the last counts, as they are layered; of options that would
        leave out what was named first, without a word.
        """
        command: argparse.ArgumentParser = self
        for word in arguments:
            choices = [a.choices for a in command._actions if isinstance(a.choices, dict)]
            if not choices or word not in choices[0]:
                break
            command = choices[0][word]
        given = [argument.partition("=")[0] for argument in arguments]
        for action in command._actions:
            names = [name for name in given if name in action.option_strings]
            if len(names) < 2 or action.nargs == 0 or "." in action.dest or action.dest == "config":
                continue
            several = action.nargs in ("*", "+") or isinstance(action.nargs, int)
            fix = "name all behind one of them" if several else "give it once"
            return f"{' and '.join(names)} are one option; {fix}"
        return None

    def _of_value(self, message: str) -> str | None:
        """Return what a setting takes, where the parser says that its value is no such thing.

        The parser's own words are of types, one of each that a setting may be of.
        """
        keys = [*re.finditer(rf"{_KEY}: (?:Does not|Not of|Expected a|invalid literal)", message)]
        known = self._known_actions() if keys else []
        action = next((action for action in known if action.dest == keys[-1][1]), None)
        if action is None:
            return None
        kind = getattr(action, "_typehint", None) or action.type
        ways = (re.search(way, message) for way in _WRONG_VALUE)
        value = next((found["value"] for found in ways if found), None)
        said = f"{self._typed(keys[-1])} takes {in_words(kind) or _TEXT}"
        said += "" if value is None else f", not '{value}'"
        close = get_close_matches(str(value), choices(kind), n=1)
        return f"{said}; did you mean '{close[0]}'?" if close else said

    def _typed(self, key: re.Match) -> str:
        """Return an option as it is typed where the parser names what it keeps it as."""
        of_key = [action for action in self._known_actions() if action.dest == key[1]]
        return next(map(_option, of_key), key[0])

    def _known_actions(self) -> list:
        chosen = [
            parser
            for action in self._actions
            if isinstance(choices := action.choices, dict)
            for parser in choices.values()
        ]
        return [action for parser in (self, *chosen) for action in parser._actions]


def _option(action: argparse.Action) -> str:
    """Return an option by its long name, or what stands without a name by its word."""
    long = (option for option in action.option_strings if option.startswith("--"))
    return next(long, action.dest)


def _as_typed(missing: re.Match) -> str:
    """Return what must be given; the parser writes `predict.out` for the option `--out` of it."""
    last = [name.rpartition(".")[2] for name in missing[1].split(", ")]
    names = [name if name.isupper() else f"--{name.replace('_', '-')}" for name in last]
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} required"


def add_command(
    commands: Any, name: str, describe: Callable[[Parser], None], *, options: bool = True
) -> Parser:
    """Add a command, and return its parser.

    Args:
        commands: of the parser it is added to.
        name: of the command.
        describe: adds its options. Its docstring is what the command does, and in a paragraph of
            its own an example.
        options: whether they are added; without, the command is only listed.
    """
    about, _, example = inspect.cleandoc(describe.__doc__ or "").partition("\n\n")
    sub = Parser(description=about, epilog=example, print_config="--print-config")
    commands.add_subcommand(name, sub, help=about)
    if not options:
        return sub
    describe(sub)
    for action in sub._actions:
        if action.dest == "print_config":
            action.metavar = "[=flags]"  # theirs has a backspace, which is shown escaped
    return sub


def files_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with every `--config FILE` before all other options.

    The parser lets what stands later win; so an option wins over a file wherever it stands.
    """
    left = list(arguments)
    files: list[str] = []
    rest: list[str] = []
    while left:
        count = 2 if left[0] == "--config" else 1
        taken, left = left[:count], left[count:]
        (files if taken[0].partition("=")[0] == "--config" else rest).extend(taken)
    first = next((i for i, argument in enumerate(rest) if argument.startswith("-")), len(rest))
    return rest[:first] + files + rest[first:]
