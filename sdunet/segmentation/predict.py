"""Predict labels for scans, each on its own grid."""

from pathlib import Path

import numpy as np
import torch

from data_prep.checks import check_image
from data_prep.encode import encode
from data_prep.errors import DataError
from data_prep.findings import Findings
from data_prep.images import read_case_image
from data_prep.layouts import Case, choose, find_layout
from data_prep.preprocess import from_grid, grid_of, normalise, scaling_of, to_grid
from data_prep.progress import Progress, silent
from data_prep.scan import Scan, fit_channels
from data_prep.tree import Tree, check_output, open_tree
from data_prep.writer import write_bytes, write_json
from sdunet.runs.device import choose_device
from sdunet.runs.record import versions
from sdunet.segmentation.inference import class_probabilities
from sdunet.segmentation.model import Model, load_model
from sdunet.segmentation.pairs import MANIFEST


def predict(
    run: str | Path,
    images: str | Path,
    out: str | Path,
    only: set[str] | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> tuple[list[str], list[DataError]]:
    """Predict the label of each image and write it on the image's grid.

    Pictures give PNG, volumes `.nii.gz` with the scan's affine; both hold class numbers.
    `predictions.json` lists them with the classes. Images with an error are left out and
    reported; the others are predicted.

    Args:
        run: folder of a trained model.
        images: an image, a folder of images, or a raw dataset in a known layout.
        out: folder for the predictions.
        only: ids of the cases to predict. Default: all.
        device: `auto`, `cpu` or `gpu`.
        progress: wraps the loop over cases, given a title.

    Returns:
        Ids of the cases predicted, and one error for each that was not.

    Raises:
        DataError: if the model or the images cannot be found, or no case could be predicted.
    """
    model = load_model(run, choose_device(device))
    tree = open_tree(images)
    check_output(out, tree, images)
    layout = find_layout(tree, need_labels=False)
    cases = choose(layout.cases, only)
    problems = [error for error in layout.problems if only is None or error.case in only]
    out, written = Path(out), {}
    for case in progress(cases, "predicting"):
        try:
            written[case.id] = _predict_case(model, tree, case, out)
        except DataError as error:
            problems.append(error.at(case=case.id, file=case.image))
            # A prediction of an earlier run would pass for one of this.
            for suffix in (".png", ".nii.gz"):
                (out / f"{case.id}{suffix}").unlink(missing_ok=True)
    if not written:
        raise DataError(
            "PRED_NONE", f"no case could be predicted, the first: {problems[0]}", "see it"
        )
    write_json(
        out / MANIFEST,
        {
            "labels": model.plan.labels,
            "label_map": model.plan.label_map,
            "structures": model.plan.structures,
            "accept": model.plan.accept,
            "cases": written,
            "failed": {error.case: str(error) for error in problems},
            "versions": versions(),
        },
    )
    return sorted(written), problems


def predict_scan(model: Model, scan: Scan) -> np.ndarray:
    """Return the class numbers of a scan on its own grid, `(1, ...)` uint8 or uint16.

    Probabilities, not labels, are brought back to the scan's grid.

    Raises:
        DataError: if the scan does not have the model's channels or dimensions.
    """
    plan = model.plan
    dims = len(scan.size)
    if dims != plan.spatial_dims:
        raise DataError(
            "CH_DIMS", f"{dims} spatial axes, the model has {plan.spatial_dims}", "give such scans"
        )
    scan = fit_channels(scan, plan.channels)
    scan = check_image(scan, Findings(plan.accept))
    grid = grid_of(scan, plan.spacing)
    array = to_grid(scan.array, grid)
    image = torch.from_numpy(normalise(array, scaling_of(scan.array, plan)))[None]
    device = next(model.network.parameters()).device
    chances = class_probabilities(model.network, image.to(device), plan.patch_size, model.overlap)
    chances = from_grid(chances[0].cpu().numpy(), grid)
    dtype = np.uint8 if plan.num_classes <= 256 else np.uint16
    label = chances.argmax(0)[None].astype(dtype)
    if label.shape[1:] != scan.size:
        raise DataError(
            "PRED_GRID", f"prediction {label.shape[1:]} on a scan {scan.size}", "report this"
        )
    return label


def _predict_case(model: Model, tree: Tree, case: Case, out: Path) -> dict[str, str]:
    scan = read_case_image(tree, case, Findings(model.plan.accept))
    label = Scan(predict_scan(model, scan), scan.affine, scan.codes)
    suffix, data = encode(label)
    write_bytes(out / f"{case.id}{suffix}", data)
    return {"image": case.image, "file": f"{case.id}{suffix}"}
