"""A trained network as a package to hand on: everything it needs, hashed, and checked again.

A package is a folder, or a zip of a folder of its own name. `MANIFEST.json` holds the SHA-256 of
each file, which is verified at every load. `model.json` and the weights are those of the run, so a
package predicts as a run does.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from data_prep.core.errors import DataError, named_errors
from data_prep.core.parse import read_json, usable
from data_prep.core.safe_text import placeless
from data_prep.files.atomic import write_bytes, write_json
from data_prep.files.hashed_json import read_hashed
from data_prep.files.output_folder import NOT_WHOLE, RECORD, check_output, partial_of
from data_prep.files.written_files import is_there, read_written
from data_prep.prepared.rendering import class_colour
from sdunet.nets.registry import count_parameters
from sdunet.runtime.doubts import findings_of
from sdunet.runtime.run_record import say, versions
from sdunet.runtime.safetensors_io import read_tensors, write_weights
from sdunet.segmentation.export.expected_score import scores_of_folds, starts_of_folds
from sdunet.segmentation.export.licence import LICENCE, check_licence, read_text
from sdunet.segmentation.export.model_card import model_card
from sdunet.segmentation.export.monai_bundle import bundle_files
from sdunet.segmentation.export.onnx_file import (
    ONNX,
    SCRIPT,
    check_installed,
    check_onnx,
    onnx_of,
    script,
)
from sdunet.segmentation.export.program import (
    PROGRAM,
    check_gap,
    check_program,
    program_of,
    smallest_of,
)
from sdunet.segmentation.inference.postprocessing import RULES, read_rules
from sdunet.segmentation.models.doubts import doubts_of, write_accepted
from sdunet.segmentation.models.hub import is_on_hub
from sdunet.segmentation.models.integrity import NEEDED, seal
from sdunet.segmentation.models.run_settings import is_of_all
from sdunet.segmentation.models.seen_cases import Start, read_start
from sdunet.segmentation.models.together import settings_of
from sdunet.segmentation.models.trained_model import Model, load_model

EXAMPLE, FACTS = "example.safetensors", "facts.json"
_AGAIN = "export it again; if that does not help, report this"


def export(
    run: str | Path,
    out: str | Path,
    *,
    pack: bool = False,
    accept: Collection[str] = (),
    cross_validation: str | Path | None = None,
    onnx: bool = False,
    licence: str | Path | None = None,
    licence_name: str | None = None,
    hub: bool = False,
) -> Path:
    """Write a package of the trained network in `run`, and check it in a fresh process.

    Args:
        run: folder of the run.
        out: folder for the package, or with `pack` the zip; must not be there.
        pack: write one zip file.
        accept: RUN_UNFINISHED, to export a run that was stopped before its end.
        cross_validation: folder of the folds whose scores the card is to name, where the run was
            trained on all cases.
        onnx: write the network as a file of ONNX, too, with a script that predicts by it alone.
        licence: text under which the network may be used, copied as `LICENSE`. Default: none.
        licence_name: what the Hugging Face Hub calls that licence, such as `apache-2.0`.
        hub: write a folder to upload to the Hub: no file of it can run, so it has no program and
            is no bundle of MONAI. It needs a licence.

    Returns:
        The package.

    Raises:
        DataError: OUT_NAME if a zip is not called so, OUT_TAKEN if `out` is there, PACKAGE_CHECK
            if the package does not give what the network gave, PACKAGE_ONNX if what writes ONNX
            is not installed, PACKAGE_LICENCE if the licence is no text, has a name that the Hub
            does not know, or is missing where `hub` needs it; PACKAGE_HUB for `hub` with `pack`,
            and for a package that is on the Hub; as `doubts_of`, `scores_of_folds` and
            `load_model`.
    """
    _check_hub(run, hub=hub, pack=pack)
    check_licence(licence_name, licence, needed=hub)
    run, out = Path(run), Path(out)
    if onnx:
        check_installed()
    if pack and (out.suffix.lower() != ".zip" or not out.stem.strip(".")):
        raise DataError("OUT_NAME", f"{out} is to be a zip", "give a name that ends in .zip")
    check_output(out, run)
    _check_free(out)
    licensed = None if licence is None else read_text(Path(licence))
    folds = scores_of_folds(run, cross_validation) if cross_validation else []
    starts = starts_of_folds(cross_validation) if cross_validation else [read_start(run)]
    doubts = doubts_of(run, accept)
    for finding in findings_of(doubts, accept):
        say(str(finding))
    model = load_model(run)
    facts = _facts(model, run, doubts) | {"cross_validation_dice": list(folds), "onnx": onnx}
    facts |= {"licence": None if licensed is None else LICENCE, "licence_name": licence_name}
    facts |= {"hub": hub, "about_start": _about(starts)}
    names = [target.name for target in model.plan.scored]
    read_rules(run, names, [run])  # refuses those of other weights
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=partial_of(out.parent), prefix=NOT_WHOLE) as folder:
        made = Path(folder) / "package"
        _write(model, run, made, facts, doubts, licensed)
        _check_afresh(made)
        _check_free(out)  # another export may have made it meanwhile
        if pack:
            _zip(made, out)
        else:
            made.replace(out)
    return out


def _check_hub(run: str | Path, *, hub: bool, pack: bool) -> None:
    if is_on_hub(run):
        fix = "predict by it as it is, or export the run that it was made of"
        raise DataError("PACKAGE_HUB", f"{run} is a package already", fix)
    if hub and pack:
        found, fix = "a zip for the Hub, which shows and fetches single files", "leave --zip out"
        raise DataError("PACKAGE_HUB", found, fix)


def _check_free(out: Path) -> None:
    if os.path.lexists(out):  # a link to what is not there now is somebody's, too
        raise DataError("OUT_TAKEN", f"{out} is there", "give a new name")


def _check_afresh(path: Path) -> None:
    """Check a package in a process that has nothing of what made it but where modules lie."""
    check = (
        f"import sys; sys.path = {[*map(str, sys.path)]!r}; "
        "from data_prep.parent_process import end_with_parent; end_with_parent(); "
        f"from {__name__} import tell_check; tell_check({str(path)!r})"
    )
    # -P: where modules lie is not known yet as it begins, and is not in the working directory.
    command = [sys.executable, "-P", "-c", check]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _told(done)


def tell_check(path: str | Path) -> None:
    """Check a package, and end this process with what is wrong, in JSON for the one it checks for.

    Raises:
        SystemExit: with code, finding and fix as the last line of stderr, see `check_package`.
    """
    try:
        with named_errors(fix=_AGAIN, code="PACKAGE_CHECK"):
            check_package(path)
    except DataError as error:
        sys.exit(json.dumps({"code": error.code, "found": error.found, "fix": error.fix}))


def _told(done: subprocess.CompletedProcess[str]) -> DataError:
    """Return what a process found that ended in `tell_check`, or before it came there."""
    last = done.stderr.strip().rpartition("\n")[2]
    try:
        error = json.loads(last, object_hook=lambda told: SimpleNamespace(**told))
        return DataError(error.code, placeless(error.found), error.fix)
    except (AttributeError, ValueError):
        last = textwrap.shorten(placeless(last), 300, placeholder=" ...")
        found = f"its check in a process of its own ended with status {done.returncode}: {last!r}"
        return DataError("PACKAGE_CHECK", found, _AGAIN)


def check_package(path: str | Path) -> None:
    """Verify a package folder, and that its network and program give what was recorded.

    Raises:
        DataError: PACKAGE_HASH, PACKAGE_CHECK.
    """
    path = Path(path)
    loaded = load_model(path).network  # verifies every file
    tensors, _ = read_tensors(path / EXAMPLE)
    channels, sizes = tensors["image"].shape[1], tensors["image"].shape[2:]
    networks = {"network": loaded}
    if (path / PROGRAM).exists():  # which folders for the Hub have not
        networks["program"] = torch.export.load(path / PROGRAM).module()
        check_program(networks["program"], loaded, channels)
    for name, network in networks.items():
        with torch.no_grad():
            check_gap(name, network(tensors["image"]), tensors["logits"])
    if (path / ONNX).exists():
        check_onnx((path / ONNX).read_bytes(), loaded, sizes, channels)


def _write(
    model: Model,
    run: Path,
    out: Path,
    facts: dict[str, Any],
    doubts: Collection[str],
    licence: bytes | None,
) -> None:
    plan = model.plan
    size = (1, len(plan.channels), *plan.patch_size)
    image = torch.randn(size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model.network(image)
    hub = facts["hub"]
    for name in (*NEEDED, RULES, "metrics.csv", "curve.png"):
        if is_there(run / name):
            write_bytes(out / name, read_written(run / name))
    write_accepted(out, doubts)
    write_weights(out / EXAMPLE, {"image": image, "logits": logits})
    write_json(out / FACTS, facts)
    card = model_card(model, facts).encode()
    for name in ("README.md", *["docs/README.md"] * (not hub)):  # Hugging Face's place, MONAI's
        write_bytes(out / name, card)
    if licence is not None:
        write_bytes(out / LICENCE, licence)
    if facts["onnx"] or not hub:
        program = program_of(model.network, len(plan.channels))
    if facts["onnx"]:
        write_bytes(out / ONNX, onnx_of(program))
    if not hub:
        _write_what_runs(model, run, out, facts)
        torch.export.save(program, out / PROGRAM)
    seal(out)


def _write_what_runs(model: Model, run: Path, out: Path, facts: dict[str, Any]) -> None:
    """Write the bundle of MONAI, whose settings are expressions of Python, and scripts."""
    network = read_json(run / "model.json")["network"]
    for name, content in bundle_files(model, network, facts).items():
        write_bytes(out / name, content)
    if facts["onnx"]:
        write_bytes(out / SCRIPT, script())


def _facts(model: Model, run: Path, doubts: Collection[str]) -> dict[str, Any]:
    """Return what a package tells of its network and of the training that made it."""
    plan, record = model.plan, _record_of(run)
    return {
        "labels": [
            {"name": name, "number": number, "colour": class_colour(number)}
            for number, name in enumerate(plan.classes)
        ],
        "regions": [asdict(region) for region in plan.regions],
        "validation_dice": record.get("validation_dice"),
        "parameters": count_parameters(model.network),
        "training": record.get("training"),
        "loss": _loss_of(run),
        "training_cases": record.get("training_cases"),
        "validation_cases": record.get("validation_cases"),
        "trained_on_all": is_of_all(settings_of(run)),
        "smallest": smallest_of(model.network),
        "versions": versions(),
        "doubts": [finding.found for finding in findings_of(doubts)],
    }


def _loss_of(run: Path) -> dict[str, Any]:
    """Return the loss of a training and its weights by name; nothing where that is not known."""
    settings = settings_of(run)  # also of a run that was stopped
    if not settings and (run / FACTS).exists():  # of a package
        with usable("PACKAGE_LIST", run / FACTS, "copy the package again"):
            return read_json(run / FACTS).get("loss", {})
    if "training.loss" not in settings:
        return {}
    weights = settings.get("training.class_weights", {})
    return {"name": settings["training.loss"], "weights": weights}


def _about(starts: Sequence[Start]) -> str:
    """Return how honest the scores are: of cases that start weights knew, the number alone."""
    began = "the weights that training began from were trained on"
    if seen := {id_ for start in starts for id_ in start.validation}:
        known = f"{len(seen)} of these validation cases"
        return f"{began.capitalize()} {known}, so that the score flatters."
    unknown = any(start.unknown for start in starts)
    return f"Nothing tells whether {began} some of these validation cases." if unknown else ""


def _record_of(run: Path) -> dict[str, Any]:
    """Return what is recorded of a training; nothing, where it was stopped."""
    path = run / RECORD
    with usable("RUN_RECORD", path, "remove it"):
        return read_hashed(path) if path.exists() else {}


def _zip(folder: Path, out: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                # Unpacked, it is one folder, as MONAI has it.
                archive.write(path, f"{out.stem}/{path.relative_to(folder).as_posix()}")
    write_bytes(out, packed.getvalue())
