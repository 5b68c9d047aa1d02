"""No file of the working directory is run, whatever Python process a command or a call starts."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from planted import plant

from data_prep.safe_path import safe_path
from sdunet import __main__

NAME = "PYTHONSAFEPATH"
SDUNET = Path(sys.executable).with_name("sdunet")
SCRIPT = """
import os, sys
from mine import double
from data_prep.parallel import run

if __name__ == "__main__":
    before = dict(os.environ), list(sys.path)
    assert list(run(double, [(i,) for i in range(4)], workers=2)) == [0, 2, 4, 6]
    assert (dict(os.environ), list(sys.path)) == before
"""
EXPORT = """
import os, sys
import mine
from sdunet.segmentation.export.package import export

before = dict(os.environ), list(sys.path)
export(sys.argv[1], sys.argv[2])
assert (dict(os.environ), list(sys.path)) == before
"""  # not guarded by __name__, as many scripts are not
NOT_INSTALLED = """
import sys
from pathlib import Path

sys.path = [p for p in sys.path if p.endswith("site-packages") or not Path(p, "sdunet").exists()]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
"""
MINE = "def double(number):\n    return 2 * number\n"


def ran(command, cwd):
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def here(tmp_path):
    """A working directory of planted modules, and their mark."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here", plant(tmp_path / "here")


def commands(discs):
    """What starts Python processes."""
    config = ["--config", discs / "task.yaml"]
    train = ["train", *config, "--data", discs / "set", "--epochs=1", "--training.batch_size=1"]
    return {
        "check": ["check", discs / "raw", *config, "--workers=2"],
        "prepare": ["prepare", discs / "raw", "out", *config, "--workers=2"],
        "export": ["export", "--model", discs / "run", "--out", "out"],
        "loaders": [*train, "--out=out", "--training.workers=1"],
        "two processes": [*train, "--out=out", "--trainer.devices=2"],
    }


def test_the_planted_modules_would_be_imported(here):
    folder, mark = here
    command = [sys.executable, "-c", "import multiprocessing.spawn"]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert mark.exists()


@pytest.mark.long
@pytest.mark.parametrize("what", commands(Path()))
def test_commands_run_no_file_of_the_working_directory(what, trained_discs, here):
    folder, mark = here
    ran([SDUNET, *commands(trained_discs)[what]], folder)
    assert not mark.exists(), mark.read_text()


@pytest.mark.long
def test_scripts_run_none_either_and_find_their_own_modules(trained_discs, here, tmp_path):
    folder, mark = here
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "workers.py").write_text(SCRIPT)
    (tmp_path / "package.py").write_text(EXPORT)
    ran([sys.executable, tmp_path / "workers.py"], folder)
    ran([sys.executable, tmp_path / "package.py", trained_discs / "run", "out"], folder)
    assert not mark.exists(), mark.read_text()
    assert (folder / "out/MANIFEST.json").exists()


@pytest.mark.long
@pytest.mark.parametrize("what", ["check", "two processes"])
def test_a_package_that_lies_in_the_working_directory_is_found(
    what, trained_discs, tmp_path, monkeypatch
):
    """As in a checkout that is not installed, and begun by `python -m sdunet`."""
    root = Path(__main__.__file__).parents[1]
    for name in ("sdunet", "data_prep"):
        (tmp_path / name).symlink_to(root / name)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(NOT_INSTALLED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    nowhere = subprocess.run([sys.executable, "-P", "-c", "import sdunet"], check=False)
    if not nowhere.returncode:
        pytest.skip("the package is installed, and not as one to change")
    ran([sys.executable, "-m", "sdunet", *commands(trained_discs)[what]], tmp_path)


@pytest.mark.parametrize("before", [None, "", "1"])
def test_the_environment_is_that_of_before_also_behind_errors_and_threads(before, monkeypatch):
    monkeypatch.delenv(NAME, raising=False)
    if before is not None:
        monkeypatch.setenv(NAME, before)
    entered, leave = threading.Event(), threading.Event()

    def overlap():
        with safe_path():
            entered.set()
            leave.wait(10)

    def fails():
        thread.start()
        entered.wait(10)
        raise ZeroDivisionError

    thread = threading.Thread(target=overlap)
    with pytest.raises(ZeroDivisionError), safe_path(), safe_path():
        fails()
    assert os.environ[NAME] == "1"  # the thread is still inside
    leave.set()
    thread.join()
    assert os.environ.get(NAME) == before


@pytest.mark.parametrize(("first", "safe"), [("", False), (None, False), ("/usr/bin", True)])
def test_only_who_looks_in_the_working_directory_lets_others_look(first, safe, monkeypatch):
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.setattr(sys, "path", [str(Path.cwd()) if first is None else first, *sys.path])
    monkeypatch.setattr(__main__.cli, "main", lambda _: NAME in os.environ)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert __main__.main([]) is safe
    assert NAME not in os.environ
