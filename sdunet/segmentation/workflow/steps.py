"""What `configs/inference.json` of a package runs: what `sdunet predict` does, in steps of MONAI.

Between the steps goes a dictionary, as between MONAI's own: `image` to the network, `pred` from it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.inferers.inferer import Inferer
from torch import Tensor, nn

from data_prep.core.codes import acceptable
from data_prep.core.config import Plan
from data_prep.core.errors import DataError, case_errors
from data_prep.core.findings import Findings
from data_prep.core.memory_limits import memory_of_one, memory_within
from data_prep.core.parse import read_json
from data_prep.core.scan import Scan
from data_prep.files.atomic import write_bytes
from data_prep.files.file_tree import Tree, open_tree
from data_prep.files.links import real
from data_prep.files.output_folder import below, check_free, check_output, own_folder
from data_prep.formats.encode import encode
from data_prep.formats.registry import suffix_of
from data_prep.layouts import Case
from data_prep.preprocessing.grid import Grid, grid_of, to_grid
from data_prep.preprocessing.intensity import normalise, scaling_of
from data_prep.preprocessing.streaming import planes_back
from sdunet.runtime.doubts import findings_of
from sdunet.runtime.run_record import say
from sdunet.segmentation.inference.decision import decided
from sdunet.segmentation.inference.domain_check import as_trained
from sdunet.segmentation.inference.ensemble import Ensemble, load_ensemble
from sdunet.segmentation.inference.instances import check_instances
from sdunet.segmentation.inference.memory_estimate import needed_bytes
from sdunet.segmentation.inference.oom_fallback import Fallback
from sdunet.segmentation.inference.predict_folder import say_found
from sdunet.segmentation.inference.sliding_window import WindowPredictor, slabs
from sdunet.segmentation.models.input_cases import cases_in, read_in_order
from sdunet.segmentation.models.integrity import LIST, is_sealed

Data = dict[str, Any]
_CHECKPOINT = "models/model.pt"
_COMMAND = "bundle"  # that predictions are of: those of `sdunet predict` have a record besides
_HOW = "--accept \"['{code}']\""
_FLOAT, _COPIES = 4, 2  # bytes; all probabilities, and the slabs they are joined of


@dataclass(frozen=True)
class Package:
    """The package a bundle is, verified.

    Attributes:
        folder: of the package.
        ensemble: its network, with plan and rules of postprocessing.
        accept: codes of what is meant to be so about scans.
    """

    folder: Path
    ensemble: Ensemble
    accept: tuple[str, ...] = ()

    @property
    def network(self) -> nn.Module:
        """The trained network, which gives logits."""
        return self.ensemble.models[0].network

    @property
    def plan(self) -> Plan:
        """How scans are read."""
        return self.ensemble.plan

    def findings(self) -> Findings:
        """Return where to note what is found about a scan."""
        return Findings({*self.plan.accept, *self.accept}, _HOW)


@dataclass(frozen=True)
class Found:
    """A case, and the files it is one of."""

    tree: Tree
    case: Case


@dataclass(frozen=True)
class Place:
    """Where an image of the network comes from, by which its label goes back.

    Attributes:
        case: id of the case.
        image: first file of its image.
        scan: the image without its values.
        grid: the way from the scan to the network and back.
    """

    case: str
    image: str
    scan: Scan
    grid: Grid


def load_package(folder: str, accept: Sequence[str] = ()) -> Package:
    """Load a package, verify it, and tell what was doubtful about its training.

    Raises:
        DataError: as `load_ensemble`; PRED_ACCEPT for a code that cannot be accepted.
    """
    codes = acceptable(list(accept), "accept")
    ensemble = load_ensemble([folder], accept=codes)
    for finding in findings_of(ensemble.doubts, codes):
        say(str(finding))
    return Package(Path(folder), ensemble, codes)


def cases_of(package: Package, images: str) -> list[dict[str, Found]]:
    """Return the cases to predict, `{"image": ...}` each: an image, or a folder as `predict` takes.

    An empty list where nothing is there yet, so that a bundle can be looked at without data.

    Raises:
        DataError: as `cases_in`; for the first file or case that cannot be told to be one.
    """
    if not Path(images).exists():
        return []
    tree, accepting = open_tree(images), package.findings()
    with memory_within(memory_of_one()):
        layout, unused = cases_in(tree, package.plan, accepting)
    for problem in (*layout.problems, *unused):
        raise problem
    return [{"image": Found(tree, case)} for case in layout.cases]


def has_own_weights(package: Package, checkpoint: str) -> bool:
    """Tell whether a checkpoint holds the weights of the package, wherever it lies.

    Rules of postprocessing were found for these weights; that they are left out for others is told.
    """
    own = package.folder / _CHECKPOINT
    if Path(checkpoint).is_file() and own.is_file() and cmp(checkpoint, own, shallow=False):
        return True
    if package.ensemble.rules:
        say("rules of postprocessing are left out: they were found for the package's own weights")
    return False


def check_paths(package: Package, images: str, out: str) -> None:
    """Refuse what cannot be predicted, or would be lost, before anything is.

    Raises:
        DataError: as `check_apart`; OUT_TAKEN if `out` holds what is not of an earlier prediction.
    """
    check_apart(package, images, out)
    check_free(out, _COMMAND)


def check_apart(package: Package, images: str, out: str) -> None:
    """Refuse images that are not there, and an output that would spoil them or the package.

    A folder of its own in the package spoils nothing.

    Raises:
        DataError: IO_MISSING or IO_NO_FILES; OUT_IN_DATA.
    """
    open_tree(images)
    check_output(out, images)
    target, root = real(Path(out)), real(package.folder)
    if target.is_relative_to(root):
        listed = read_json(root / LIST)["files"] if is_sealed(root) else {}
        own = {Path(name).parts[0] for name in listed}
        if target == root or target.relative_to(root).parts[0] in own:
            found = f"{out} is the package's own"
            raise DataError("OUT_IN_DATA", found, "give another folder")


def read_scan(data: Data, package: Package) -> Data:
    """Bring a scan to the grid and the intensities of the network.

    Args:
        data: `image` of `cases_of`, or the path of an image.
        package: the package.

    Returns:
        The data with `image` as the network sees it, `(C, ...)` float32.

    Raises:
        DataError: as `predict_scan`; PRED_MEMORY where all probabilities do not fit the memory.
    """
    found, findings, plan = _found(data["image"], package), package.findings(), package.plan
    case = found.case
    with case_errors(case.id, case.image), memory_within(memory_of_one()):
        scan, _ = read_in_order(found.tree, case, plan, findings)
        scan = as_trained(scan, [plan], findings)
        grid = grid_of(scan, plan.spacing, plan.resize)
        _check_memory(scan, grid, plan)
        values = normalise(to_grid(scan.array, grid), scaling_of(scan.array, plan))
    findings.place(case=case.id)
    say_found(findings)
    empty = scan.holding(np.zeros((1,) * scan.array.ndim, np.uint8))
    return {**data, "image": _tracked(values, Place(case.id, case.image, empty, grid))}


class WindowInferer(Inferer):
    """Probabilities of classes or regions by sliding windows, blended as `sdunet predict` does.

    MONAI's own averages what the network gives, and not its probabilities.

    Args:
        roi_size: voxels of a window along each axis.
        overlap: share of a window that its neighbour covers too, 0 to below 1.
        package: whose network it is; of regions, each channel is a probability by itself.
    """

    def __init__(self, roi_size: Sequence[int], overlap: float, package: Package) -> None:
        self.roi_size = tuple(roi_size)
        self.overlap = overlap
        self.regions = bool(package.plan.regions)

    def __call__(
        self, inputs: Tensor, network: Callable, *args: object, **kwargs: object
    ) -> Tensor:
        """Return the probabilities of images `(N, C, ...)`, float32, in main memory."""
        if args or kwargs or not isinstance(network, nn.Module):
            raise TypeError("a network that takes images alone")
        # A network that did not fit its GPU is on the processor by now.
        device = next(network.parameters()).device
        windows = WindowPredictor([network], device=device, of_regions=self.regions)
        return torch.stack([self._of_one(image, Fallback(windows, say)) for image in inputs])

    def _of_one(self, image: Tensor, windows: Fallback) -> Tensor:
        parts = slabs(image.cpu().numpy(), windows, self.roi_size, self.overlap)
        return torch.from_numpy(np.concatenate(list(parts), axis=1))


def decide(data: Data, package: Package, *, tidy: bool = True, instances: bool = False) -> Data:
    """Turn probabilities into the label of the scan, on its own grid.

    Args:
        data: `pred` of the inferer and `image` of `read_scan`.
        package: the package.
        tidy: follow the rules that `sdunet postprocess` found for the weights of the package.
        instances: number objects in place of their class.

    Returns:
        The data with `pred` as class numbers, `(1, ...)`.

    Raises:
        DataError: PRED_INSTANCES for objects by a network of classes; PACKAGE_STEP if `image` is
            not of `read_scan`.
    """
    check_instances(package.plan, asked=instances)
    place, findings = _place_of(data), package.findings()
    with case_errors(place.case, place.image):
        label = decided(
            planes_back([np.asarray(data["pred"].cpu())], place.grid),
            place.grid,
            package.plan,
            package.ensemble.rules if tidy else {},
            findings,
            instances=instances,
        ).label
    findings.place(case=place.case)
    say_found(findings)
    return {**data, "pred": _tracked(label, place, place.scan.affine)}


def write_label(data: Data, folder: str) -> Data:
    """Write `pred` of `decide` into a folder, as `sdunet predict` does, under the id of its case.

    Raises:
        DataError: OUT_TAKEN if the file is there and not of an earlier prediction; PACKAGE_STEP if
            `image` is not of `read_scan`.
    """
    place = _place_of(data)
    label = np.asarray(data["pred"])
    suffix, content = encode(place.scan.holding(label), suffix_of(place.image))
    with own_folder(folder, _COMMAND) as output:
        path = below(output.root, f"{place.case}{suffix}")
        output.claim(path)
        write_bytes(path, content)
    return data


def _found(image: Any, package: Package) -> Found:
    """Return a case, also of the path of its image.

    Raises:
        DataError: IO_MISSING if there is nothing; PACKAGE_STEP if there is not one case.
    """
    if isinstance(image, Found):
        return image
    open_tree(image)
    cases = cases_of(package, image)
    if len(cases) != 1:
        found = f"{len(cases)} cases in {image}, where each item of data is one"
        raise DataError("PACKAGE_STEP", found, "name each image, or a folder by dataset_dir")
    return cases[0]["image"]


def _check_memory(scan: Scan, grid: Grid, plan: Plan) -> None:
    needed = needed_bytes(scan, grid, plan.outputs, plan.patch_size, uncertainty=False)
    needed += _COPIES * plan.outputs * math.prod(grid.size) * _FLOAT
    if needed > memory_of_one():
        raise DataError(
            "PRED_MEMORY",
            f"it needs about {needed / 1e9:.2g} GB, {memory_of_one() / 1e9:.2g} GB are there",
            "predict it by sdunet predict, which holds a slab of probabilities alone",
        )


def _tracked(values: np.ndarray, place: Place, affine: np.ndarray | None = None) -> MetaTensor:
    """Return values as MONAI has them, with where they come from.

    What was applied is what MONAI hands on through batches as it is.
    """
    if affine is None and len(place.grid.size) == len(place.grid.turned_size):
        affine = place.grid.affine
    tensor = MetaTensor(
        torch.from_numpy(values),
        affine=None if affine is None else torch.from_numpy(affine),
        meta={"filename_or_obj": place.image},
    )
    tensor.applied_operations = [{"class": "sdunet.bundle.read_scan", "place": place}]
    return tensor


def _place_of(data: Data) -> Place:
    """Return where the image of some data comes from.

    Raises:
        DataError: PACKAGE_STEP.
    """
    applied = getattr(data.get("image"), "applied_operations", None) or [{}]
    place = applied[0].get("place") if isinstance(applied[0], dict) else None
    if not isinstance(place, Place):
        found = "a step of the bundle was given an image that is not of sdunet.bundle.read_scan"
        raise DataError("PACKAGE_STEP", found, "keep the preprocessing of configs/inference.json")
    return place
