"""The help of each command: what it does, and an example that can be given as it is."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sdunet import __version__
from sdunet.cli.main import command_parser


def commands(parser, name):
    for action in parser._actions:
        for word, sub in (action.choices if isinstance(action.choices, dict) else {}).items():
            inner = list(commands(sub, f"{name} {word}"))
            yield from inner or [(f"{name} {word}", sub)]


ROOT = Path(__file__).parents[2]
COMMANDS = dict(commands(command_parser(), "sdunet"))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_is_one_of_it(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # where the configurations are
    example = COMMANDS[name].epilog.removeprefix("Example: ")
    assert example.startswith(f"{name} ")
    words = shlex.split(example)[1:]
    chosen = command_parser(words[0]).parse_args(words)
    assert chosen.command == name.split()[1]


@pytest.mark.parametrize("command", ["predict", "serve"])
def test_help_does_not_wait_for_what_the_command_needs(command):
    code = (
        "import sys\n"
        "from sdunet.cli.main import main\n"
        f"try: main(['{command}', '--help'])\n"
        "except SystemExit: pass\n"
        "late = {'monai', 'pytorch_lightning', 'matplotlib', 'fastapi', 'uvicorn'}\n"
        "print(sorted(late & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_parser_of_one_command_is_that_of_all_for_it():
    for name, parser in COMMANDS.items():
        first, *rest = name.split()[1:]
        alone = dict(commands(command_parser(first), "sdunet"))
        assert alone[name].format_help() == parser.format_help()
        assert rest or {one.split()[1] for one in alone} == {one.split()[1] for one in COMMANDS}


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit, match="0"):
        command_parser().parse_args(["--version"])
    assert capsys.readouterr().out == f"sdunet {__version__}\n"
