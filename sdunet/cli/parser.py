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
from sdunet.runtime.run_record import say

_load = jsonargparse.get_loader("yaml")


def _load_checked(text: str) -> object:
    check_yaml(text)
    return _load(text)


jsonargparse.set_loader("yaml", _load_checked, (yaml.YAMLError,))


# What the parser says of a setting that is of one type, or left out: more of types than users ask.
_MAY_BE_LEFT_OUT = re.compile(
    r"Does not validate against any of the Union subtypes Subtypes: \[.*?'NoneType'>\] "
    r"Errors: - (.*?) - Expected a <class 'NoneType'>(?: Given value type: .*? Given value: (.*))?"
)


# What the parser says of a value, and how a user would say it.
_PLAINLY = (
    (  # what may be one value or a list, and is neither, or a list with a wrong value
        r"Does not validate .*? Errors: - (?!Expected a typing)[^-]* - Expected a <class 'tuple'>"
        r" Given value type: .*? Given value: (.*?)(?:\. Got value: .*)?$",
        r"must be one value or a list such as [1, 2], not '\1'",
    ),
    (
        r"Does not validate .*? Errors: - Not of type \w+: int\(\) argument .*?, not 'list' - (.*)"
        r" Given value type: .*? Given value: (.*)",
        r"\1. Got value: \2",
    ),
    (r"(Got value: .*?)\. Got value: .*", r"\1"),  # of a part, and of all
    (r"Not of type \w+: (?:int|float)\(\) argument .*?, not '(\w+)'.*", r"must be a number, no \1"),
    (r"(conform to restriction .*?)(?: - Expected a tuple with \d elements)+", r"\1"),
    (r"(Expected a tuple with \d) elements - Expected a tuple with (?=\d elements)", r"\1 or "),
    (
        r"Expected a tuple with (\d|\d or \d) elements\. Got value: (.*)",
        r"must have \1 values, not '\2'",
    ),
    (
        r"Expected a <class 'tuple'>(?: - Expected a <class 'tuple'>)*\. Got value: (.*)",
        r"must be a list such as [1, 2], not '\1'",
    ),
    (
        r"Expected a <class 'dict'>\. Got value: (.*)",
        r"must be values by name such as {a: 1}, not '\1'",
    ),
    (r"(Not of type \w+: (?:invalid literal|could not convert|\S+ does).*)\. Got value: .*", r"\1"),
    (
        r"Not of type \w+: does not conform to restriction (.*?)\. Got value: (.*)",
        r"must be \1, not \2",
    ),
    (r"Not of type \w+: invalid literal for int\(\) with base 10: (.*)", r"\1 is no whole number"),
    (r"Not of type \w+: could not convert string to float: (.*)", r"\1 is no number"),
    (r"Not of type \w+: (\S+) does not conform to restriction (.*)", r"must be \2, not \1"),
    (r"Not of type \w+: does not conform to restriction", "must be"),
    (r"\bv(>=|<=|>|<)(?=[-\d])", r"\1 "),
    (r"Expected a <class 'bool'>\. Got value: (.*)", r"'\1' is neither true nor false"),
    (
        r"(?:Does not validate .*)?Expected a typing\.Literal\[(.*?)\]"
        r"(?:.*Given|\. Got) value: (.*)",
        r"invalid choice: '\2' (choose from \1)",
    ),
)


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
        message = re.sub(r'Parser key "([\w.]+)"', self._typed, " ".join(message.split()))
        message = _plainly(_MAY_BE_LEFT_OUT.sub(_as_of_one_type, message))
        if any(message.startswith(f"--{name}: ") for name in self._lists_of_names()):
            message = message.replace("[1, 2]", "[a, b]")
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
                self._refuse_empty(action.dest, namespace.get(action.dest, action.default))
        return super().instantiate(namespace, *args, **kwargs)

    def _refuse_empty(self, name: str, value: object) -> None:
        """Refuse a setting that is there without a value, unless that is a value of it."""
        of_name = [action for action in self._actions if action.dest == name]
        if value is None and not any(action.default is None for action in of_name):
            fix = "give it one, or leave it out"
            self.error(str(DataError("CONFIG_EMPTY", f"{name} has no value", fix)))

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

    def _typed(self, key: re.Match) -> str:
        """Return an option as it is typed where the parser names what it keeps it as."""
        of_key = [action for action in self._known_actions() if action.dest == key[1]]
        options = [option for action in of_key for option in action.option_strings]
        return next((option for option in options if option.startswith("--")), key[0])

    def _lists_of_names(self) -> list[str]:
        kinds = {a.dest: str(getattr(a, "_typehint", "")) for a in self._known_actions()}
        of_names = re.compile(r"tuple\[(str|typing\.Literal)")
        return [name for name, kind in kinds.items() if of_names.search(kind)]

    def _known_actions(self) -> list:
        chosen = [
            parser
            for action in self._actions
            if isinstance(choices := action.choices, dict)
            for parser in choices.values()
        ]
        return [action for parser in (self, *chosen) for action in parser._actions]


def _as_of_one_type(said: re.Match) -> str:
    return said[1] if said[2] is None else f"{said[1]}. Got value: {said[2]}"


def _plainly(message: str) -> str:
    """Return what the parser says of a value in the words of a user, with the nearest choice."""
    for pattern, plain in _PLAINLY:
        message = re.sub(pattern, plain, message)
    wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
    close = get_close_matches(wrong[1], re.findall(r"'(.*?)'", wrong[2]), n=1) if wrong else []
    return f"{message}; did you mean '{close[0]}'?" if close else message


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
