"""The parser of the command line and of its subcommands."""

import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches

import jsonargparse

from sdunet.runs.record import say


class Parser(jsonargparse.ArgumentParser):
    """A parser whose errors are one line, and name the nearest known option."""

    def error(self, message: str, ex: Exception | None = None) -> None:
        """Print the error and leave with status 2."""
        unknown = re.search(r"not accept option '(.+)'|unrecognized arguments: --([^ =]+)", message)
        if unknown:
            known = [action.dest for action in self._known_actions()]
            close = get_close_matches(unknown[1] or unknown[2], known, n=1, cutoff=0.5)
            message += f"; did you mean '{close[0]}'?" if close else ""
        say(f"sdunet: {' '.join(message.split())}")
        sys.exit(2)

    def _known_actions(self) -> list:
        chosen = [
            parser
            for action in self._actions
            if isinstance(getattr(action, "choices", None), dict)
            for parser in action.choices.values()
        ]
        return [action for parser in (self, *chosen) for action in parser._actions]


def files_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with every `--config FILE` before all other options.

    The parser lets what stands later win; so an option wins over a file wherever it stands.
    """
    left, files, rest = list(arguments), [], []
    while left:
        count = 2 if left[0] == "--config" else 1
        taken, left = left[:count], left[count:]
        (files if taken[0].partition("=")[0] == "--config" else rest).extend(taken)
    first = next((i for i, argument in enumerate(rest) if argument.startswith("-")), len(rest))
    return rest[:first] + files + rest[first:]
