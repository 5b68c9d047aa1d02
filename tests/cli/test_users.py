"""Who runs a command: also users that no name is known of, as in containers and on clusters."""

import getpass
import pwd

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
