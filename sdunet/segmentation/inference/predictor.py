"""Predict arrays and files from Python, with one trained model or an ensemble kept loaded."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_prep.core.codes import acceptable
from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.geometry import check_affine
from data_prep.core.memory_limits import memory_of_one, memory_within
from data_prep.core.scan import Scan, spacing_of
from data_prep.reading.scan_file import read_scan
from sdunet.runtime.device import choose_device
from sdunet.runtime.doubts import findings_of
from sdunet.segmentation.inference.ensemble import Ensemble, load_ensemble, predict_scan
from sdunet.segmentation.metrics.arguments import lengths_of

_BYTES = 8  # of a value, at the least: in single precision, as it is and normalised
_AXES = {2: "H, W", 3: "X, Y, Z"}


@dataclass(frozen=True)
class Prediction:
    """What was predicted for one scan, on its own grid.

    Attributes:
        labels: class numbers, `(H, W)` or `(X, Y, Z)`, uint8 or uint16; or numbers of objects from
            1 on, uint16 or uint32.
        probabilities: of each class, `(classes, H, W)` or `(classes, X, Y, Z)` float32, or of each
            of `Predictor.regions`; `None` unless asked for.
        warnings: what was noticed, such as a scan unlike those of training; one text each.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None
    warnings: tuple[str, ...]


class Predictor:
    """A trained model, or an ensemble of several, that predicts scan after scan.

    It predicts what `sdunet predict` writes: each scan is brought to the spacing and intensities
    of training, predicted by sliding windows, and the probabilities are brought back.

    Args:
        ensemble: the networks; `Predictor.load` reads them.
        accept: codes of what is meant to be so about them.

    Attributes:
        labels: class names to the numbers that predictions hold.
        channels: names of the channels that a scan must have, in this order.
        regions: names of regions, which may overlap, to numbers of the classes that each is made
            of; empty for a model that tells classes apart.

    Examples:
        >>> from sdunet import Predictor
        >>> predictor = Predictor.load("runs/nuclei")            # doctest: +SKIP
        >>> prediction = predictor(array, spacing=(1, 1, 2.5))   # doctest: +SKIP
        >>> prediction.labels.shape == array.shape               # doctest: +SKIP
        True
    """

    def __init__(self, ensemble: Ensemble, accept: Collection[str] = ()) -> None:
        self._ensemble = ensemble
        self._accept = acceptable(accept, "accept")

    @classmethod
    def load(
        cls,
        path: str | Path | list[str | Path],
        device: str = "auto",
        mirroring: bool = False,
        accept: Collection[str] = (),
    ) -> "Predictor":
        """Load a trained model.

        Args:
            path: folder of a run, of all folds, an exported package (folder or zip), one on the
                Hugging Face Hub (`hf:OWNER/NAME@COMMIT`), or several of these; the models found
                form an ensemble.
            device: `auto`, `cpu` or `gpu`; `cuda` is a GPU, `cuda:1` the second.
            mirroring: test-time augmentation: average over windows mirrored along the axes that
                training flipped.
            accept: RUN_UNFINISHED, to take runs that were stopped before their end.

        Raises:
            DataError: MODEL_MISSING, MODEL_JSON, MODEL_WEIGHTS, PACKAGE_... or HUB_... for models
                that cannot be used; RUN_UNFINISHED, unless accepted; PRED_TEAM if they do
                not fit together; CONFIG_DEVICE; PRED_ACCEPT and OPTION for arguments that
                cannot be.
        """
        paths = list(path) if isinstance(path, list | tuple) else [path]
        if not paths or not all(isinstance(one, str | Path) for one in paths):
            found = f"no path of a model: {path!r:.80}"
            raise DataError("MODEL_MISSING", found, "give a run or a package")
        _check_truth("mirroring", mirroring)
        accept = acceptable(accept, "accept")
        device = choose_device(device)
        ensemble = load_ensemble(paths, device, mirror=mirroring, accept=accept)
        return cls(ensemble, accept)

    @property
    def labels(self) -> dict[str, int]:
        """Class names to numbers."""
        return dict(self._ensemble.plan.stated)

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """Names of regions to their classes, in the order in which they are painted."""
        return {region.name: region.classes for region in self._ensemble.plan.regions}

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in order."""
        return tuple(self._ensemble.plan.channels)

    def __call__(
        self,
        scan: np.ndarray | Tensor | str | Path,
        affine: np.ndarray | None = None,
        spacing: tuple[float, ...] | None = None,
        *,
        probabilities: bool = False,
        instances: bool = False,
    ) -> Prediction:
        """Predict one scan.

        Args:
            scan: an image file, the folder of a DICOM series, or an array `([C,] H, W)` or
                `([C,] X, Y, Z)`; the channel axis may be left out where the model has one channel.
            affine: of an array that is a volume, or a slice with a spacing as those of training:
                voxel to millimetres, RAS+, `(4, 4)`, as nibabel has it.
            spacing: of such an array: millimetres between voxels along its axes, which then are
                taken to point right, anterior and superior.
            probabilities: whether to return those of all classes or regions, too.
            instances: whether to number objects, by models that were trained with
                `dataset.instances`; of these, labels else are the foreground.

        Raises:
            DataError: CH_AXES if the axes of an array are not as above, or voxels are masked;
                OPTION if `probabilities` or `instances` is no truth value; PRED_INSTANCES for
                objects by a model of classes; GEO_SHEAR and HDR_SPACING_RANGE for affines that a
                file is refused for, too; GEO_SPACING if a
                volume has no spacing or two that contradict each other, or a 2D image or a file
                has one; IO_MEMORY; as `sdunet predict` for scans it refuses.
        """
        _check_truth("probabilities", probabilities)
        _check_truth("instances", instances)
        with memory_within(memory_of_one()):
            return self._predicted(
                scan, affine, spacing, probabilities=bool(probabilities), instances=bool(instances)
            )

    def _predicted(
        self,
        scan: np.ndarray | Tensor | str | Path,
        affine: np.ndarray | None,
        spacing: tuple[float, ...] | None,
        *,
        probabilities: bool,
        instances: bool,
    ) -> Prediction:
        """Predict one scan; arguments as of a call."""
        findings = Findings(self._ensemble.plan.accept, "train with dataset.accept: [{code}]")
        if isinstance(scan, str | Path):
            if affine is not None or spacing is not None:
                raise DataError("GEO_SPACING", "a file and a spacing", "the file holds its own")
            read = read_scan(scan, findings)
        else:
            _check_memory(scan)
            read = _scan_of(scan, self._ensemble.plan, affine, spacing)
            if read.affine is not None:
                check_affine(read.affine, findings)
        # Labels would be others within the caller's autocast.
        with torch.autocast(self._ensemble.device.type, enabled=False):
            found = predict_scan(
                self._ensemble,
                read,
                findings,
                lambda text: None,
                instances=instances,
                probabilities_into=(lambda shape: np.empty(shape, np.float32))
                if probabilities
                else None,
            )
        every = None
        if probabilities:
            numbers = range(self._ensemble.plan.probability_maps)
            every = np.concatenate([found.probability_of(number) for number in numbers])
        told = [str(f) for f in findings_of(self._ensemble.doubts, self._accept)]
        told += [str(finding) for finding in findings.found if finding.is_told]
        label = found.label[0]
        if read.two_axes:
            label, every = label[..., 0], None if every is None else every[..., 0]
        return Prediction(label, every, tuple(told))


def _check_truth(name: str, value: object) -> None:
    """Refuse `"no"`, which would be taken for true."""
    if not isinstance(value, bool | np.bool_):
        raise DataError("OPTION", f"{name} is {value!r:.80}", "give True or False")


def _check_memory(array: np.ndarray | Tensor) -> None:
    """Refuse an array that is a view of few numbers, and as a scan has more than memory holds."""
    needed, memory = math.prod(getattr(array, "shape", ())) * _BYTES, memory_of_one()
    if needed > memory:
        found = f"it needs about {needed / 1e9:.2g} GB of memory, there are {memory / 1e9:.2g} GB"
        raise DataError("IO_MEMORY", found, "crop it, or predict it in parts")


def _scan_of(
    array: np.ndarray | Tensor,
    plan: Plan,
    affine: np.ndarray | None,
    spacing: tuple[float, ...] | None,
) -> Scan:
    own = _own_affine(array)
    if isinstance(array, Tensor):  # NumPy has no bfloat16
        array = array.detach().cpu()
        array = (array.float() if array.dtype.is_floating_point else array).numpy()
    if np.ma.is_masked(array):
        found = f"an array with {np.ma.count_masked(array)} masked voxels"
        raise DataError("CH_AXES", found, "fill them by what they are, as array.filled(0) does")
    if hasattr(array, "get_fdata"):  # an image of nibabel
        fix = "give image.get_fdata() and affine=image.affine"
        raise DataError("CH_AXES", f"a {type(array).__name__} object", fix)
    array = np.asarray(array)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    dims, channels = plan.spatial_dims, len(plan.channels)
    wanted = f"({_AXES[dims]})" if channels == 1 else f"({channels}, {_AXES[dims]})"
    if array.dtype.kind not in "biuf":
        raise DataError("CH_AXES", f"an array of {array.dtype}", "give integers or real numbers")
    if array.ndim == dims and channels == 1:
        array = array[None]
    if array.ndim != dims + 1 or len(array) != channels or not array.size:
        fix = f"give {wanted}"
        if array.ndim == dims + 1 and array.shape[-1] == channels:
            fix += ": channels come first, as np.moveaxis(array, -1, 0) puts them"
        raise DataError("CH_AXES", f"an array of shape {array.shape}", fix)
    if dims == 2 and plan.spacing is None:
        if affine is not None or spacing is not None:
            raise DataError("GEO_SPACING", "an affine or spacing for a 2D image", "leave it out")
        return Scan(array)
    affine = _affine_of(affine, spacing, dims)
    if own is not None and not np.allclose(spacing_of(own)[:dims], spacing_of(affine)[:dims], 1e-3):
        found = f"the array carries a spacing of {spacing_of(own)}, given is {spacing_of(affine)}"
        raise DataError("GEO_SPACING", found, "give its own, or an array without one")
    return Scan(array, affine) if dims == 3 else Scan(array[..., None], affine, two_axes=True)


def _own_affine(array: object) -> np.ndarray | None:
    """Return the affine that an array of MONAI carries; the identity is that of none."""
    own = np.asarray(getattr(array, "affine", np.eye(4)), dtype=float)
    return None if own.shape != (4, 4) or (own == np.eye(4)).all() else own


def _affine_of(
    affine: np.ndarray | None, spacing: tuple[float, ...] | None, dims: int
) -> np.ndarray:
    if affine is None and spacing is None:
        what = {2: "slice", 3: "volume"}[dims]
        raise DataError("GEO_SPACING", f"a {what} without spacing", "give affine or spacing")
    if spacing is not None:
        try:
            sides = lengths_of(spacing, dims)
        except ValueError as error:
            many = {2: "two", 3: "three"}[dims]
            fix = f"give {many} lengths in mm"
            raise DataError("GEO_SPACING", f"spacing {spacing!r:.80}", fix) from error
        if affine is None:
            return np.diag([*sides, 1.0, 1.0][:4])
    given = np.asarray(affine)
    affine = given.astype(float) if given.dtype.kind in "iuf" else np.zeros(0)
    if (
        affine.shape != (4, 4)
        or not np.isfinite(affine).all()
        or (affine[3] != (0, 0, 0, 1)).any()
        or np.linalg.matrix_rank(affine[:3, :3]) < 3
    ):
        raise DataError("GEO_SPACING", "an affine that is none", "give the (4, 4) of the scan")
    if spacing is not None and not np.allclose(spacing_of(affine)[:dims], sides, rtol=1e-3):
        found = f"the affine has a spacing of {spacing_of(affine)}, given is {tuple(sides)}"
        raise DataError("GEO_SPACING", found, "give one of them")
    return affine
