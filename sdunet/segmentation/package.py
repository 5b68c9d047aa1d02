"""A trained network as a package to hand on: everything it needs, hashed, and checked again.

A package is a folder or a zip. `MANIFEST.json` holds the SHA-256 of each file, which is verified at
every load. `model.json` and the weights are those of the run, so a package predicts as a run does.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from data_prep.errors import DataError
from data_prep.tree import Tree, open_tree
from data_prep.writer import write_bytes
from sdunet.runs.record import versions
from sdunet.runs.weights import read_tensors, write_weights
from sdunet.segmentation.bundle import bundle_files
from sdunet.segmentation.card import model_card
from sdunet.segmentation.model import WEIGHTS, Model, load_model
from sdunet.segmentation.postprocess import RULES

LIST = "MANIFEST.json"
PROGRAM, EXAMPLE = "program.pt2", "example.safetensors"
SCHEMA = 1
_NEEDED = ("model.json", WEIGHTS)
_USED = (*_NEEDED, RULES, EXAMPLE)
_ALIKE = 1e-4  # of logits, between processors; on one they are the same bits
# Told apart by eyes of all kinds, after Okabe and Ito; then again.
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def export(run: str | Path, out: str | Path, *, pack: bool = False) -> Path:
    """Write a package of the trained network in `run`, and check it in a fresh process.

    Args:
        run: folder of the run.
        out: folder for the package, or with `pack` the zip; must not be there.
        pack: write one zip file.

    Returns:
        The package.

    Raises:
        DataError: OUT_TAKEN if `out` is there, PACKAGE_CHECK if the package does not give
            what the network gave, MODEL_... as `load_model`.
    """
    run, out = Path(run), Path(out)
    if out.exists():
        raise DataError("OUT_TAKEN", f"{out} is there", "give a new name")
    model = load_model(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".partial-") as folder:
        made = Path(folder) / "package"
        _write(model, run, made)
        check = f"from {__name__} import check_package; check_package({str(made)!r})"
        done = subprocess.run(
            [sys.executable, "-c", check], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DataError("PACKAGE_CHECK", done.stderr[-500:].strip(), "report this")
        if pack:
            _zip(made, out)
        else:
            made.replace(out)
    return out


def check_package(path: str | Path) -> None:
    """Verify a package, and that its network and its program give what was recorded.

    Raises:
        DataError: PACKAGE_HASH, PACKAGE_CHECK.
    """
    path = Path(path)
    verify(open_tree(path))
    tensors, _ = read_tensors(path / EXAMPLE)
    program = torch.export.load(path / PROGRAM).module()
    for name, network in (("network", load_model(path).network), ("program", program)):
        with torch.no_grad():
            logits = network(tensors["image"])
        gap = float((logits - tensors["logits"]).abs().max())
        if not gap <= _ALIKE:
            raise DataError("PACKAGE_CHECK", f"the {name} differs by {gap:.3g}", "export it again")


def verify(tree: Tree) -> dict[str, bytes]:
    """Check every file of a package against its hash, and return those a prediction uses.

    Raises:
        DataError: PACKAGE_LIST if the list cannot be used, PACKAGE_HASH if a file is missing or
            not as it was.
    """
    try:
        listed = json.loads(tree.read(LIST))
        if listed["schema"] != SCHEMA:
            raise ValueError(f"schema {listed['schema']}, known is {SCHEMA}")
        files = {str(name): str(sha256) for name, sha256 in listed["files"].items()}
        missing = [name for name in _NEEDED if name not in files]
        if missing:
            raise ValueError(f"{missing[0]} is not in it")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            "PACKAGE_LIST", f"{LIST}: {type(error).__name__} {error}", "fetch the package again"
        ) from error
    used = {}
    for name, sha256 in files.items():
        if name not in tree.names:
            raise DataError("PACKAGE_HASH", f"{name} is missing", "fetch the package again")
        data = tree.read(name)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(
                "PACKAGE_HASH", "not as it was exported", "fetch the package again", file=name
            )
        if name in _USED:
            used[name] = data
    return used


def is_package(path: Path) -> bool:
    """Tell whether a path is a package, packed or not."""
    return path.suffix == ".zip" or (path / LIST).exists()


def unpack(path: Path, folder: Path) -> Path:
    """Verify a package, and write what a prediction uses into a folder.

    Names come from a list of ours, so that no archive can write elsewhere.

    Raises:
        DataError: as `verify`.
    """
    for name, data in verify(open_tree(path)).items():
        write_bytes(folder / name, data)
    return folder


def _write(model: Model, run: Path, out: Path) -> None:
    plan = model.plan
    size = (1, len(plan.channels), *plan.patch_size)
    image = torch.randn(size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model.network(image)
    record = _read_json(run / "run.json")
    facts = {
        "labels": [
            {"name": name, "number": number, "colour": _colour(number)}
            for name, number in sorted(plan.labels.items(), key=lambda item: item[1])
        ],
        "validation_dice": record.get("validation_dice"),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "training": record.get("training"),
        "versions": versions(),
    }
    for name in (*_NEEDED, RULES, "metrics.csv", "curve.png"):
        if (run / name).exists():
            write_bytes(out / name, (run / name).read_bytes())
    write_weights(out / EXAMPLE, {"image": image, "logits": logits})
    out.joinpath("facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    write_bytes(out / "README.md", model_card(model, facts).encode())
    for name, content in bundle_files(model, facts).items():
        write_bytes(out / name, content)
    program = torch.export.export(model.network, (image,))
    torch.export.save(program, out / PROGRAM)
    files = {p.relative_to(out).as_posix(): p for p in sorted(out.rglob("*")) if p.is_file()}
    hashes = {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files.items()}
    text = json.dumps({"schema": SCHEMA, "files": hashes}, indent=1)
    write_bytes(out / LIST, text.encode())


def _colour(number: int) -> str:
    return "#000000" if number == 0 else _COLOURS[(number - 1) % len(_COLOURS)]


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}  # a training that was stopped has a model, but no record yet


def _zip(folder: Path, out: Path) -> None:
    with tempfile.TemporaryFile() as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder).as_posix())
        packed.seek(0)
        write_bytes(out, packed.read())
