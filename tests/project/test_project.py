"""Rules of the project itself: who imports whom, how long files are, that what is shown runs."""

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from data_prep.core.config import Plan
from sdunet.cli.main import main
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.models.trained_model import network_for

ROOT = Path(__file__).parents[2]
SOURCES = sorted(p for top in ("sdunet", "data_prep") for p in (ROOT / top).rglob("*.py"))
PYTHON_FILES = SOURCES + sorted(
    p for top in ("tests", "scripts") for p in (ROOT / top).rglob("*.py")
)
C_FILES = sorted((ROOT / "sdunet/ops/csrc").iterdir())
PAGE_FILES = sorted((ROOT / "sdunet/segmentation/review/static").iterdir())
TEXT_FILES = [
    *PYTHON_FILES,
    *C_FILES,
    *PAGE_FILES,
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "setup.py",
    *(ROOT / "configs").rglob("*.yaml"),
    *(ROOT / "scripts").glob("*.sh"),
    ROOT / "README.md",
    ROOT / "setup.cfg",
    ROOT / "pyproject.toml",
]

# Lowest first: each part may import those before it, and itself.
ORDER = (
    "data_prep.core",
    "data_prep.parent_process",
    "data_prep.safe_path",
    "data_prep.parallel",
    "data_prep.files",
    "data_prep.preprocessing",
    "data_prep.planning",
    "data_prep.formats",
    "data_prep.layouts",
    "data_prep.reading",
    "data_prep.checks",
    "data_prep.prepared",
    "data_prep.seeded",
    "data_prep.convert",
    "sdunet.ops",
    "sdunet.cells",
    "sdunet.layers",
    "sdunet.nets",
    "sdunet.integrations",
    "sdunet.runtime",
    "sdunet.segmentation.config",
    "sdunet.segmentation.models",
    "sdunet.segmentation.metrics",
    "sdunet.segmentation.inference",
    "sdunet.segmentation.training",
    "sdunet.segmentation.evaluation",
    "sdunet.segmentation.review",
    "sdunet.segmentation.workflow",
    "sdunet.segmentation.export",
    "sdunet.segmentation.pipeline",
    "sdunet.serve",
    "sdunet.metrics",
    "sdunet.bundle",
    "sdunet.segmentation.bundle",
    "sdunet.segmentation.predict",
    "sdunet.vae.models",
    "sdunet.vae.data",
    "sdunet.vae.config",
    "sdunet.vae.model",
    "sdunet.vae.training",
    "sdunet.vae.evaluation",
    "sdunet.bench",
    "sdunet.demo",
    "sdunet.cli",
    "sdunet.api",
)
# What else a part must not know of.
APART = {
    "sdunet.ops": ("data_prep",),
    "sdunet.cells": ("data_prep",),
    "sdunet.layers": ("data_prep",),
    "sdunet.nets": ("data_prep",),
    "sdunet.runtime": ("sdunet.nets",),
    "sdunet.vae": ("sdunet.segmentation",),
    "sdunet.demo": ("sdunet.vae", "sdunet.bench"),
}
FRONT = ("__init__.py", "__main__.py")  # of the packages: they may import all
MOST_FILES = 12  # of a folder, besides `__init__.py`
LONG = ("sdunet/ops",)  # two sweeps by five backends
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
README = PAGES[0].read_text(encoding="utf-8")


def relative(path):
    return path.relative_to(ROOT).as_posix()


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module, part):
    return (module + ".").startswith(part + ".")


def rank(module):
    return next((i for i, part in enumerate(ORDER) if within(module, part)), None)


def module_of(path):
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_imports_only_go_down():
    wrong = []
    for path in SOURCES:
        own = rank(module_of(path))
        if own is None:
            assert path.name in FRONT, f"{relative(path)} belongs to no part"
            continue
        forbidden = [
            f for part, away in APART.items() if within(module_of(path), part) for f in away
        ]
        for module in imported(path):
            other = rank(module)
            if (other is not None and other > own) or any(within(module, f) for f in forbidden):
                wrong.append(f"{relative(path)} imports {module}")
    assert not wrong


def test_special_imports_stand_in_their_one_place():
    places = {
        "monai.transforms": (
            "data_prep/preprocessing/resample.py",
            "sdunet/segmentation/training/augmentation.py",
        ),
        "triton": ("sdunet/ops/triton_backend.py", "sdunet/ops/triton_carry.py"),
        "pickle": (),
        "SimpleITK": (),
        "torchvision": (),
        "pandas": (),
    }
    own = ("torch", "triton", "sdunet", *sys.stdlib_module_names)
    wrong = []
    for path in SOURCES:
        for module in imported(path):
            special = next((name for name in places if within(module, name)), None)
            if special and relative(path) not in places[special]:
                wrong.append(f"{relative(path)} imports {module}")
            if within(module_of(path), "sdunet.ops") and module.split(".")[0] not in own:
                wrong.append(f"{relative(path)} imports {module}")
    assert not wrong


def test_text_goes_out_where_it_is_made_inert():
    wrong = []
    for path in SOURCES:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = [
            n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        ]
        if "print" in names and relative(path) != "sdunet/runtime/run_record.py":
            wrong.append(f"{relative(path)} prints")
        bars = ("sdunet/runtime/run_record.py", "sdunet/runtime/callbacks.py")
        if "tqdm" in imported(path) and relative(path) not in bars:
            wrong.append(f"{relative(path)} draws bars")
    assert not wrong


def test_files_and_folders_are_short():
    wrong = []
    for path in PYTHON_FILES + C_FILES + PAGE_FILES:
        limit = 500 if path.parent.name in ("ops", "csrc") else 400
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > limit:
            wrong.append(f"{relative(path)}: {lines} lines")
    for folder in {path.parent for path in SOURCES}:
        files = [p for p in folder.iterdir() if p.suffix == ".py" and p.name != "__init__.py"]
        if len(files) > MOST_FILES and relative(folder) not in LONG:
            wrong.append(f"{relative(folder)}: {len(files)} files")
        if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))):
            wrong.append(f"{relative(folder)} does not say what it holds")
    assert not wrong


def test_no_file_is_large():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: what belongs to the project is not known")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert not [path for path in files if path.is_file() and path.stat().st_size > 1_000_000]


def test_nothing_names_a_machine():
    homes = "|".join(("home", "root", "Users", "work", "mnt"))
    named = re.compile(rf"(?<![\w.])/(?:{homes})/\w+")
    assert not [
        f"{relative(path)}: {found}"
        for path in TEXT_FILES
        for found in named.findall(path.read_text(encoding="utf-8"))
    ]


TASKS = [path for at in (".", "papers", "sound") for path in (ROOT / "configs" / at).glob("*.yaml")]


@pytest.mark.parametrize("path", sorted(TASKS), ids=relative)
def test_configurations_parse_and_their_commands_name_them(path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["train", "--config", str(path), "--data", "a", "--out", "b", "--print-config"])
    assert left.value.code == 0
    assert "features" in capsys.readouterr().out
    assert f"--config {relative(path)}" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((ROOT / "configs/networks").glob("*.yaml")), ids=relative)
def test_networks_are_added_to_a_task_and_can_be_built(path, capsys):
    task = str(ROOT / "configs/nuclei.yaml")
    command = ["train", "--config", task, "--config", str(path), "--data", "a", "--out", "b"]
    with pytest.raises(SystemExit) as left:
        main([*command, "--print-config"])
    assert left.value.code == 0
    said = yaml.safe_load(capsys.readouterr().out)
    wanted = yaml.safe_load(path.read_text(encoding="utf-8"))["network"]
    assert {name: said["network"][name] for name in wanted} == wanted
    assert said["dataset"]["channels"] == ["red", "green", "blue"]
    assert f"--config {relative(path)}" in path.read_text(encoding="utf-8")
    plan = Plan(2, ("a",), {"background": 0, "b": 1}, {}, "zscore", None, (32, 32))
    with torch.device("meta"):
        network_for(NetworkConfig(**wanted), plan)


@pytest.mark.parametrize("path", sorted((ROOT / "configs/vae").glob("*.yaml")), ids=relative)
def test_configurations_of_vaes_parse_and_their_commands_name_them(path, capsys):
    assert main(["vae", "info", "--config", str(path)]) == 0
    assert "parameters" in capsys.readouterr().out
    assert f"--config {relative(path)}" in path.read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("code", blocks(README, "python"))
def test_readme_python_runs(code, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_files_that_pages_name_exist(path):
    named = r"\b((?:scripts|configs|tests|sdunet|data_prep)/[\w/-]+\.(?:py|sh|yaml))\b"
    for name in set(re.findall(named, path.read_text(encoding="utf-8"))):
        assert (ROOT / name).exists(), name
        if name.endswith(".sh"):
            subprocess.run(["bash", "-n", ROOT / name], check=True)


def test_the_readme_is_short():
    assert len(README.splitlines()) < 120


def test_readme_links_lead_somewhere():
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / target.partition("#")[0]).exists(), target


def commands_under(heading, text):
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)[1]
    return re.findall(r"\| `(sdunet [^`]+)` \|", section)


def test_commands_of_measured_rows_parse(capsys):
    commands = commands_under("Measured by the configurations", page("benchmarks/segmentation.md"))
    assert len(commands) == 2
    for command in commands:
        _, *arguments = shlex.split(command)
        arguments[2] = str(ROOT / arguments[2])
        with pytest.raises(SystemExit) as left:
            main([*arguments, "--print-config"])
        assert left.value.code == 0, capsys.readouterr().err


@pytest.mark.long
def test_commands_of_the_first_hour_run_in_their_order(make_discs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_discs(tmp_path / "my_data", foreground=255)
    make_discs(tmp_path / "others", count=1)
    (tmp_path / "others/images").rename(tmp_path / "new_scans")
    (tmp_path / "new_scans/disc_0.png").rename(tmp_path / "new_scans/unseen.png")
    (task,) = blocks(page("first-hour.md"), "yaml")
    (tmp_path / "my_task.yaml").write_text(task)
    quick = ["--network.features=[4,6,8]", "--training.epochs=1", "--training.device=cpu"]
    commands = commands_under("The commands", page("first-hour.md"))
    assert len(commands) == 22
    for command in commands:
        _, *arguments = shlex.split(command)
        if arguments[0] == "train" and "--out" in arguments:
            arguments += quick
        asked = {"--help", "--print-config"} & set(arguments)
        try:
            status = main(arguments)
        except SystemExit as left:
            assert asked, f"{command}: {capsys.readouterr().err}"
            status = left.code
        assert status == 0, f"{command}: {capsys.readouterr().err}"
    assert (tmp_path / "predictions/unseen.png").is_file()
    assert (tmp_path / "scores/summary.json").is_file()
    assert (tmp_path / "overlays/review.html").is_file()
    assert (tmp_path / "compared/review.html").is_file()


@pytest.mark.long
def test_commands_on_densities_run_in_their_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = ["--training.epochs=1", "--training.steps_per_epoch=2", "--training.device=cpu"]
    commands = commands_under("The commands", page("benchmarks/density.md"))
    assert len(commands) == 13
    for command in commands:
        _, *arguments = shlex.split(command.replace("configs/", f"{ROOT}/configs/"))
        status = main([*arguments, *(quick if arguments[1] == "train" else [])])
        assert status == 0, f"{command}: {capsys.readouterr().err}"
    pictures = {path.suffix for path in (tmp_path / "pictures").iterdir() if path.is_file()}
    assert pictures == {".png", ".json"}
    assert json.loads((tmp_path / "runs/digits/evaluation.json").read_text())["samples"] == 20
