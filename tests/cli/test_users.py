"""Who runs a command, and how: users without a name, as in containers, and closed streams."""

import getpass
import pwd
import shlex
import subprocess
import sys

import pytest

from sdunet.__main__ import main

_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


@pytest.fixture
def nameless(monkeypatch):
    """A user who is but a number: neither the environment nor the list of users has a name."""

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_a_user_without_a_name_runs_commands(nameless, monkeypatch, capsys):
    monkeypatch.setenv("LOGNAME", "")  # so that what is set is undone
    with pytest.raises(KeyError):
        getpass.getuser()
    assert main(["info", "LBL_UNKNOWN"]) == 0
    assert getpass.getuser()  # as MONAI asks when it is imported
    capsys.readouterr()


def test_the_name_of_a_user_is_kept(monkeypatch, capsys):
    monkeypatch.setenv("LOGNAME", "ada")
    assert main(["info", "LBL_UNKNOWN"]) == 0
    assert getpass.getuser() == "ada"
    capsys.readouterr()


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_streams_that_are_closed_swallow_and_no_file_takes_their_numbers(closed, tmp_path):
    code = (
        "import os, sys\n"
        "from sdunet.__main__ import main\n"
        "status = main(['info', 'NO_SUCH_CODE'])\n"
        f"file = open({str(tmp_path / 'mine')!r}, 'w')\n"
        "print('said', flush=True); print('said', file=sys.stderr, flush=True)\n"
        "[os.write(number, b'by a library') for number in (1, 2)]\n"
        "file.write(str(status)); file.close()\n"
    )
    shut = " ".join(f"{number}>&-" for number in closed)
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {shut}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert (tmp_path / "mine").read_text() == "2"  # an unknown code
    for number, said in ((1, done.stdout), (2, done.stderr)):
        assert ("said" in said, "by a library" in said) == (number not in closed,) * 2
