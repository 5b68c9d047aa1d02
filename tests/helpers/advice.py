"""Which options the sources name in what they say, and which commands can say it."""

import argparse
import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from raised_codes import ROOT

from sdunet.cli.main import _COMMANDS, command_parser

OPTION = re.compile(r"(?<![\w-])--[a-z][\w.-]*\w")
# A command that a text names, and what follows of the sentence: its options are that one's.
_NAMED = re.compile(r"\b(vae \w+|train|predict|check|prepare|evaluate|compare)\b([^,;.]*)")


def options_by_command() -> dict[str, set[str]]:
    """Return the options of each command, those of `vae` together."""
    found = {}
    for name, parser in _choices(command_parser()).items():
        inner = [parser, *_choices(parser).values()]
        found[name] = {o for one in inner for action in one._actions for o in action.option_strings}
    return found


def said_by_command() -> dict[str, dict[str, set[str]]]:
    """Return, for each command, the files it can reach, with the options that their fixes name."""
    return {
        name: {
            path.relative_to(ROOT).as_posix(): options
            for path in _reached(_imports(ast.parse(inspect.getsource(run))))
            if (options := _advised(path))
        }
        for name, (_, run) in _COMMANDS.items()
    }


def options_elsewhere(text: str) -> Iterator[tuple[str, str]]:
    """Yield command and option where a text names both."""
    for command, rest in _NAMED.findall(text):
        for option in OPTION.findall(rest):
            yield command.split()[0], option


def without_named(text: str) -> str:
    """Return a text without the options that it says are another command's."""
    return _NAMED.sub("", text)


def fixes_in(path: Path) -> list[str]:
    """Return the texts that a file gives as what to do."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and len(node.args) >= 3:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            last = [node.args[2]] if name in ("DataError", "warn", "question", "ask") else []
            last += node.args[3:4] if name in ("Finding", "Question", "_doubt") else []
            found += [part for one in last for part in _texts(one)]
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "fix":
            found += _texts(node.value)
    return found


def _choices(parser) -> dict:
    groups = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return next((action.choices for action in groups), {})


def _advised(path: Path) -> set[str]:
    return {o for text in fixes_in(path) for o in OPTION.findall(without_named(text))}


def _texts(node: ast.expr) -> list[str]:
    nodes = ast.walk(node)
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def _file_of(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    places = (path.with_suffix(".py"), path / "__init__.py")
    return next((place for place in places if place.exists()), None)


def _imports(tree: ast.AST) -> Iterator[Path]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = _file_of(f"{node.module}.{alias.name}")
                if path := inner or _file_of(node.module):
                    yield path


def _reached(first: Iterator[Path]) -> set[Path]:
    seen: set[Path] = set()
    left = list(first)
    while left:
        path = left.pop()
        if path not in seen and "cli" not in path.parts:
            seen.add(path)
            left += _imports(ast.parse(path.read_text(encoding="utf-8")))
    return seen
