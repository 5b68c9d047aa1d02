"""The documentation: notebooks still run, pages that are made are those that the code makes."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.ipynb"))
QUICK = {"STEPS": 2, "EPOCHS": 1}  # settings of the notebooks, and what they are here


def cells_of(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_reference_of_commands_is_that_of_the_parsers():
    path = ROOT / "scripts/make_cli_reference.py"
    spec = importlib.util.spec_from_file_location("make_cli_reference", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.PAGE.read_text(encoding="utf-8") == made.cli_reference(), f"run python {path.name}"


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
@pytest.mark.long
def test_the_code_of_notebooks_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    code = "\n".join(cells_of(path))
    code, changed = re.subn(
        rf"^({'|'.join(QUICK)}) = \d+$", lambda m: f"{m[1]} = {QUICK[m[1]]}", code, flags=re.M
    )
    assert changed == 1
    exec(compile(code, path.name, "exec"), {"__name__": "notebook"})


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_notebooks_are_run_small_and_of_no_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert not re.search(r"/(?:home|root|Users|tmp|work|mnt)/\w", text)
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            assert cell["execution_count"]
            assert all(output["output_type"] != "error" for output in cell["outputs"])


def test_every_public_name_is_on_the_page():
    import data_prep
    import sdunet
    from sdunet import metrics, ops

    text = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^::: \S+\.(\w+)$", text, re.M))
    constants = {"METRICS", "POLICY"}
    for package in (sdunet, data_prep, metrics, ops):
        assert set(package.__all__) - constants <= named
