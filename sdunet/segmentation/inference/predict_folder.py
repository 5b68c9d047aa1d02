"""Predict labels for scans, each on its own grid."""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.core.errors import DataError, case_errors
from data_prep.core.findings import Finding, Findings
from data_prep.core.memory_limits import memory_of_one, memory_within
from data_prep.core.progress import Progress, silent
from data_prep.files.file_tree import Tree, open_tree, recorded
from data_prep.files.output_folder import (
    NOT_WHOLE,
    check_free,
    check_output,
    own_folder,
    partial_of,
)
from data_prep.layouts import Case, choose
from data_prep.layouts.cases import sample
from sdunet.runtime.device import own_device
from sdunet.runtime.doubts import findings_of
from sdunet.runtime.run_record import say, say_if_slow, versions
from sdunet.segmentation.inference.ensemble import Ensemble, load_ensemble, predict_scan
from sdunet.segmentation.inference.files.case_files import CaseFiles, LabelFormat, Wanted
from sdunet.segmentation.inference.files.source_series import Maker
from sdunet.segmentation.inference.instances import check_instances
from sdunet.segmentation.inference.prediction_record import Manifest
from sdunet.segmentation.models.input_cases import cases_in, read_in_order
from sdunet.segmentation.models.integrity import is_sealed
from sdunet.segmentation.models.seen_cases import is_seen

_HOW = "--accept {code}"  # the option of this command
NETWORKS = 0.5e9  # bytes that a file of a network may take, however little a scan may


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes:
        device: `auto`, `cpu` or `gpu`.
        mirror: also look at every window mirrored along the axes of training.
        tidy: remove what `sdunet postprocess` found better removed.
        uncertainty: write the entropy of each voxel, 0 to 1, to `uncertainty/`.
        instances: number objects in place of their class, by models that were trained on objects.
        probabilities: write the probability of each class to `probabilities/NUMBER/`; of regions
            in their order, from 1.
        dicom_seg: write a DICOM Segmentation beside the label, to `dicom_seg/`, of cases that are
            DICOM series.
        rtstruct: write an RT Structure Set likewise, to `rtstruct/`.
        class_codes: code of each class or region in the former by name, such as `SCT:10200004`, see
            `class_codes`.
        format: of labels: `plain` numbers; a PNG whose `palette` shows them in the colours of
            classes; or `seg.nrrd`, volumes for 3D Slicer with names and colours.
        max_ram: gigabytes that one scan may take; default: what this machine has.
        accept: codes of what is meant to be so.
        resume: keep what the same models have predicted from the same files.
        shard: number of this part of all cases, from 0, and number of parts.
    """

    device: str = "auto"
    mirror: bool = False
    tidy: bool = True
    uncertainty: bool = False
    instances: bool = False
    probabilities: bool = False
    dicom_seg: bool = False
    rtstruct: bool = False
    class_codes: Mapping[str, str] = field(default_factory=dict)
    format: LabelFormat = "plain"
    max_ram: float | None = None
    accept: tuple[str, ...] = ()
    resume: bool = False
    shard: tuple[int, int] = (0, 1)


def predict(
    runs: str | Path | Sequence[str | Path],
    images: str | Path,
    out: str | Path,
    only: set[str] | None = None,
    options: PredictOptions | None = None,
    progress: Progress = silent,
) -> tuple[list[str], list[DataError]]:
    """Predict the label of each image and write it on the image's grid.

    Pictures give PNG, volumes `.nii.gz` with the scan's affine; both hold class numbers. 2D images
    of MetaImage and NRRD give files of their own kind. Models that were trained on objects give
    their foreground, one class; or ids of objects (2D images with more than 65535 as TIFF).
    `predictions.json` lists them with the classes. Images with an error are left out and
    reported; the others are predicted.

    Args:
        runs: folder of a trained model or of several, such as all folds; or several folders. All
            models found predict together. A package on the Hub is `hf:OWNER/NAME@COMMIT`.
        images: an image, a folder of images, or a raw dataset in a known layout.
        out: folder for the predictions.
        only: ids of the cases to predict. Default: all.
        options: how. Default: `PredictOptions()`.
        progress: wraps the loop over cases, given a title.

    Returns:
        Ids of the cases predicted, and one error for each that was not.

    Raises:
        DataError: if the models or the images cannot be found, no case could be predicted, or
            `out` holds predictions of other models or settings (OUT_OTHER); PRED_INSTANCES for
            objects by a model of classes; as `CaseFiles.check` and `check_dicom` for files that
            cannot be written.
    """
    options = options or PredictOptions()
    runs = [runs] if isinstance(runs, str | Path) else list(runs)
    device = own_device(options.device)
    with memory_within(max(memory_of_one(options.max_ram), NETWORKS)):
        ensemble = load_ensemble(
            runs, device, mirror=options.mirror, tidy=options.tidy, accept=options.accept
        )
    check_instances(ensemble.plan, asked=options.instances)
    files = _files(ensemble, Path(out), options)
    files.check(instances=options.instances)
    for finding in findings_of(ensemble.doubts, options.accept):
        say(str(finding))
    tree = open_tree(images)
    # A run may have its predictions inside; in a package they would be members it does not list.
    check_output(out, images, *(run for run in runs if is_sealed(Path(run))))
    check_free(out, "predict")
    accepting = Findings({*ensemble.plan.accept, *options.accept}, _HOW)
    with memory_within(memory_of_one(options.max_ram)):
        layout, unused = cases_in(tree, ensemble.plan, accepting)
    number, parts = options.shard
    chosen = choose(layout.cases, only, layout.problems)
    cases = chosen[number::parts]
    problems = [error for error in layout.problems if only is None or error.case in only]
    problems += unused if only is None else []
    with memory_within(memory_of_one(options.max_ram)):
        files.check_cases(tree, cases, accepting)
    out = files.out
    if len(ensemble.models) > 1:
        say(f"{len(ensemble.models)} networks predict together, as an ensemble")
    for model in ensemble.models:
        say_if_slow(model.network, device)
    if parts > 1:
        say(f"part {number} of {parts}: {len(cases)} cases")
    form = ensemble.plan.form and asdict(ensemble.plan.form)
    manifest = Manifest(
        out,
        _facts(ensemble, options),
        _division(chosen, parts),
        versions=versions(),
        form=form,
        doubts=sorted(ensemble.doubts),
        channels=ensemble.plan.channels,
        **({"from_hub": ensemble.from_hub} if ensemble.from_hub else {}),
    )
    before = manifest.before()
    _tell_of_others(before, [case.id for case in chosen])
    files.check_ids({*before, *(case.id for case in chosen)})
    done: list[str] = []
    with own_folder(out, "predict", part=options.shard) as output, manifest:
        for case in progress(cases, "predicting"):
            paths = [out / name for name in files.names_of(case.id)]
            try:
                with case_errors(case.id, case.image):
                    for path in paths:
                        output.claim(path)
                    record = _predict_case(
                        ensemble,
                        tree,
                        case,
                        files,
                        options,
                        before.get(case.id) if options.resume else None,
                    )
            except DataError as error:
                problems.append(error)
                manifest.failed_with(error)
                # A prediction of an earlier run would pass for one of this.
                for path in paths:
                    output.remove(path)
            else:
                if case.id in before and before[case.id].get("source") != record["source"]:
                    say(f"case {case.id} takes the place of a prediction of another image")
                manifest.done(case.id, record)
                done.append(case.id)
    if not done and cases:
        raise DataError(
            "PRED_NONE",
            f"no case could be predicted, the first: {problems[0]}",
            "correct what it names, then run again",
        )
    return sorted(done), problems


def _files(ensemble: Ensemble, out: Path, options: PredictOptions) -> CaseFiles:
    """Return what writes the files that are asked for."""
    maker = Maker(versions()["sdunet"], tuple(model.sha256 for model in ensemble.models))
    wanted = Wanted(
        options.uncertainty,
        options.probabilities,
        options.dicom_seg,
        options.rtstruct,
        options.format,
        options.class_codes,
    )
    return CaseFiles(out, ensemble.plan, wanted, maker)


def _tell_of_others(before: Collection[str], now: Collection[str]) -> None:
    """Warn of predictions in the folder that are of no case of this input."""
    if others := sorted(set(before) - set(now)):
        found = (
            f"{len(others)} predictions of cases that are not in this input stay in the folder: "
        )
        fix = "give another folder, unless they belong together"
        say(str(Finding("warning", "PRED_KEPT", found + sample(others), fix)))


def _division(cases: Sequence[Case], parts: int) -> dict[str, Any] | None:
    """Return what the parts of one prediction share; nothing for all of it at once."""
    if parts == 1:
        return None
    listed = "\n".join(case.id for case in cases).encode()
    return {"parts": parts, "cases_sha256": hashlib.sha256(listed).hexdigest()}


def _facts(ensemble: Ensemble, options: PredictOptions) -> dict[str, Any]:
    """Return what predictions in one folder must share."""
    plan = ensemble.plan
    return {
        "labels": plan.stated,
        "label_map": plan.label_map,
        "structures": plan.structures,
        "accept": plan.accept,
        "models": [model.sha256 for model in ensemble.models],
        "mirror": ensemble.mirror,
        "removed": ensemble.rules,
        **({} if plan.ignored is None else {"ignored": plan.ignored}),
        **({} if plan.instances is None else {"instances": options.instances}),
        **({"regions": [asdict(region) for region in plan.regions]} if plan.regions else {}),
    }


def _predict_case(
    ensemble: Ensemble,
    tree: Tree,
    case: Case,
    files: CaseFiles,
    options: PredictOptions,
    before: dict[str, Any] | None,
) -> dict[str, Any]:
    """Predict a case, unless it is there already, and return what the manifest says of it."""
    memory = memory_of_one(options.max_ram)
    findings = Findings({*ensemble.plan.accept, *options.accept}, _HOW)
    reading, hashes = recorded(tree)
    with memory_within(memory):
        scan, order = read_in_order(reading, case, ensemble.plan, findings)
        made_with = _made_with(ensemble, case, order, files.wanted.settings)
        alike = {"source": hashes, "made_with": made_with}
        if before and before | alike == before and files.stand(before):
            return before
        source = files.source_of(tree, case, scan, findings)
        with tempfile.TemporaryDirectory(dir=partial_of(files.out), prefix=NOT_WHOLE) as folder:
            found = predict_scan(
                ensemble,
                scan,
                findings,
                lambda text: say(f"{case.id} {text}"),
                uncertainty=options.uncertainty,
                instances=options.instances,
                probabilities_into=partial(_on_disk, folder) if options.probabilities else None,
                memory=memory,
            )
            written = files.write(case, scan, found, source)
    findings.place(case=case.id)
    say_found(findings)
    noted = [str(finding.for_records()) for finding in findings.found]
    seen = {"seen": True} if is_seen(hashes.values(), ensemble.seen) else {}
    return {"image": case.image, **alike, **seen, "files": written, "found": noted}


def say_found(findings: Findings) -> None:
    """Tell of warnings about a scan, and of what was done to its prediction."""
    for finding in findings.found:
        if finding.is_told:
            say(str(finding))


def _made_with(
    ensemble: Ensemble, case: Case, order: Sequence[int], settings: Mapping[str, Any]
) -> str:
    """Hash what a prediction depends on besides the content of its files and settings of all."""
    models = [model.sha256 for model in ensemble.models]
    told = [models, case.roles, order, *[settings] * bool(settings)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _on_disk(folder: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array that a file holds, whose place on the disk is taken at once."""
    path = f"{folder}/probabilities.npy"
    try:
        array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        if hasattr(os, "posix_fallocate"):  # or a disk that fills later would kill the process
            with Path(path).open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, array.nbytes + array.offset)
    except OSError as error:  # which does not name the file
        found = f"{error.strerror}, {4 * math.prod(shape)} bytes to write"
        raise OSError(error.errno, found, path) from error
    return array
