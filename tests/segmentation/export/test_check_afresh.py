"""What the process that checks a package finds is told as if it were found here, in a line."""

import json
import re

import pytest
from planted import plant

from data_prep.core.errors import DataError
from sdunet.segmentation.export import package
from sdunet.segmentation.export.package import _check_afresh
from sdunet.segmentation.models.integrity import LIST

LINE = r"PACKAGE_CHECK: its check in a process of its own ended with status 1: "


def told(path):
    with pytest.raises(DataError) as raised:
        _check_afresh(path)
    said = str(raised.value)
    assert "Traceback" not in said
    assert "\n" not in said
    assert not re.search(r"(?<!\w)/\w", said), said  # no place on this machine
    return said


@pytest.mark.long
def test_a_finding_keeps_its_code_and_fix(packages, tmp_path):
    made = tmp_path / "package"
    made.mkdir()
    for path in (packages / "folder").iterdir():
        (made / path.name).symlink_to(path)
    (made / LIST).unlink()
    record = json.loads((packages / "folder" / LIST).read_text())
    record["files"]["README.md"] = "0" * 64
    (made / LIST).write_text(json.dumps(record))
    with pytest.raises(DataError) as here:
        package.check_package(made)
    said = told(made)
    assert said.partition(":")[0] == here.value.code
    assert said.endswith(here.value.fix)


def test_what_is_no_finding_becomes_one(tmp_path, monkeypatch):
    # The other process imports what lies where this one's modules do.
    (tmp_path / "wrong.py").write_text("def check(path):\n    raise KeyError('a\\nb \\x1b[2J')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(package, "__name__", "stand_in")
    (tmp_path / "stand_in.py").write_text(
        "import wrong\n"
        "from sdunet.segmentation.export import package\n"
        "package.check_package = wrong.check\n"
        "tell_check = package.tell_check\n"
    )
    said = told(tmp_path)
    assert said.startswith("PACKAGE_CHECK: KeyError: ")
    assert said.endswith("; export it again; if that does not help, report this")
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError(f'cannot import x ({__file__})')", "ImportError: cannot import x"),
        ("raise ImportError('word ' * 1000)", "word ..."),
        ("import os; os._exit(1)", "''"),
        ("raise SystemExit('5')", "'5'"),
        ("raise SystemExit('[1, 2]')", "'[1, 2]'"),
        ("raise SystemExit('{}')", "'{}'"),
    ],
)
def test_a_process_that_ends_before_it_checks_is_told_by_its_last_line(
    tmp_path, monkeypatch, code, words
):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(package, "__name__", "stand_in")
    (tmp_path / "stand_in.py").write_text(code)
    said = told(tmp_path)
    assert re.match(LINE, said)
    assert words in said
    assert len(said) < 500


@pytest.mark.long
def test_a_good_package_is_checked_where_other_modules_lie(packages, tmp_path, monkeypatch):
    mark = plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    _check_afresh(packages / "folder")
    assert not mark.exists(), mark.read_text()
