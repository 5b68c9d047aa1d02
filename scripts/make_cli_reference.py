"""Write docs/reference/cli.md from the parsers of the commands.

python scripts/make_cli_reference.py
"""

import json
from argparse import SUPPRESS, Action
from collections.abc import Iterator
from pathlib import Path

import jsonargparse

from data_prep.core.values.in_words import in_words
from sdunet.cli.main import command_parser

PAGE = Path(__file__).parents[1] / "docs/reference/cli.md"
_HEAD = """# Commands

This page is made from the commands themselves by `python scripts/make_cli_reference.py`;
`sdunet COMMAND --help` prints the same. Exit status: 0 done, 1 something was left out or failed,
2 the command itself is wrong, 128 and the number of a signal that stopped it. Results go to
stdout, all else to stderr.

`--config FILE` reads settings from a YAML file, and may be given several times: what stands later
wins, and an option wins over every file. Settings that several commands share stand once, at
[the end](#settings).
"""
_REQUIRED = "(required)"
_PLAIN = ("positional arguments", "options")


def cli_reference() -> str:
    """Return the page, the same for every terminal and machine."""
    sections: list[str] = []
    settings: dict[str, list[str]] = {}  # a group of settings: the commands that take it
    for name, help_, parser in _commands(command_parser(), "sdunet"):
        sections.append(f"## {name}\n\n{help_}\n")
        sections.append(f"```text\n{_usage(name, parser)}\n```\n")
        sections.append(f"Example: `{parser.epilog.removeprefix('Example: ')}`\n")
        own: list[Action] = []
        for group in parser._action_groups:
            actions = [a for a in group._group_actions if _is_shown(a)]
            if group.title in _PLAIN:
                own += actions
            elif actions:
                text = f"### {_section(actions)}: {group.title}\n\n{_table(actions)}"
                settings.setdefault(text, []).append(f"`{name}`")
        sections.append(_table(own))
    shared = [
        text.replace("\n\n", f"\n\nTaken by {', '.join(commands)}.\n\n", 1)
        for text, commands in settings.items()
    ]
    return "\n".join((_HEAD, *sections, "## Settings\n", *shared)).rstrip("\n") + "\n"


def _commands(
    parser: jsonargparse.ArgumentParser, name: str
) -> Iterator[tuple[str, str, jsonargparse.ArgumentParser]]:
    """Yield name, description and parser of each command that can be run."""
    for action in parser._actions:
        if isinstance(action.choices, dict):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            for word, sub in action.choices.items():
                if any(isinstance(a.choices, dict) for a in sub._actions):
                    yield from _commands(sub, f"{name} {word}")
                else:
                    yield f"{name} {word}", helps[word], sub


def _is_shown(action: Action) -> bool:
    whole_section = action.metavar == "CONFIG" and action.dest != "config"
    return action.help != SUPPRESS and action.dest != "help" and not whole_section


def _is_required(action: Action) -> bool:
    # Some may still be given without their name, which the parser cannot know.
    return action.required or (action.help or "").endswith(_REQUIRED)


def _section(actions: list[Action]) -> str:
    return actions[0].dest.split(".")[0]


def _usage(name: str, parser: jsonargparse.ArgumentParser) -> str:
    words = [name]
    for action in filter(_is_shown, parser._actions):
        asked = action.required or "(required)" in (action.help or "")
        if asked or not action.option_strings:
            value = (action.metavar or action.dest).upper()
            words.append(" ".join((*action.option_strings[-1:], value)))
    return " ".join((*words, "[options]"))


def _table(actions: list[Action]) -> str:
    rows = ["| option | what it is | values | default |", "|---|---|---|---|"]
    for action in actions:
        names = ", ".join(
            f"`{n}`" for n in action.option_strings or [action.metavar or action.dest]
        )
        cells = (names, _help(action), _values(action), _default(action))
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _help(action: Action) -> str:
    if action.dest == "print_config":  # jsonargparse's words are of its flags
        return "print all settings as YAML, and do nothing else"
    return " ".join((action.help or "").removesuffix(_REQUIRED).split())


def _values(action: Action) -> str:
    if action.nargs == 0 or action.dest == "print_config":
        return ""
    if action.choices:
        return ", ".join(f"`{value}`" for value in action.choices)
    words = in_words(getattr(action, "_typehint", None) or action.type)
    return words or "text" * bool(action.option_strings)


def _default(action: Action) -> str:
    if _is_required(action):
        return "required"
    if action.default in (None, SUPPRESS) or action.nargs == 0:
        return ""
    value = action.default
    if isinstance(value, str):
        return f"`{value}`"
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(cli_reference(), encoding="utf-8")
