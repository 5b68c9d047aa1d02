"""Trained networks that predict together."""

import math
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import torch

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.preprocessing.grid import Grid, grid_of, to_grid
from data_prep.preprocessing.intensity import normalise, scaling_of
from data_prep.preprocessing.streaming import mean_planes, planes_back
from sdunet.runtime.torch_errors import is_out_of_memory
from sdunet.segmentation.inference.decision import Prediction, decided
from sdunet.segmentation.inference.domain_check import as_trained
from sdunet.segmentation.inference.instances import check_instances
from sdunet.segmentation.inference.memory_estimate import needed_bytes
from sdunet.segmentation.inference.oom_fallback import Fallback
from sdunet.segmentation.inference.postprocessing import RULES, Rules, read_rules
from sdunet.segmentation.inference.sliding_window import WindowPredictor, slabs
from sdunet.segmentation.models.doubts import doubts_of
from sdunet.segmentation.models.hub import fetch, is_on_hub
from sdunet.segmentation.models.integrity import is_sealed, unpack
from sdunet.segmentation.models.seen_cases import Seen, read_seen
from sdunet.segmentation.models.together import (
    check_left_out,
    check_together,
    left_beside,
    listed_below,
)
from sdunet.segmentation.models.trained_model import (
    DESCRIPTION,
    WEIGHTS,
    Model,
    load_model,
)

_LARGE = 1e9  # bytes that are worth a word
_SHARED = (
    *("spatial_dims", "channels", "labels", "label_map", "structures", "ignored"),
    *("instances", "regions"),
)


@dataclass(frozen=True)
class Ensemble:
    """Networks whose mean probability on the grid of the scan decides.

    Attributes:
        models: each with its network; of the same channels and classes.
        rules: what is removed from their predictions.
        mirror: whether windows are also seen mirrored, along the axes of training.
        doubts: codes of what is doubtful about the models, see `doubts_of`.
        seen: cases that any of them was trained on, where that is known, see `read_seen`.
    """

    models: tuple[Model, ...]
    rules: Rules
    mirror: bool = False
    doubts: frozenset[str] = frozenset()
    seen: Seen = frozenset()

    @property
    def plan(self) -> Plan:
        """How scans are read: what all plans share, and of the rest that of the first."""
        first, *others = (model.plan for model in self.models)
        accept = [code for code in first.accept if all(code in plan.accept for plan in others)]
        return replace(first, accept=tuple(accept))

    @property
    def by_plan(self) -> list["Ensemble"]:
        """The networks of each plan, which see a scan on one grid."""
        parts: list[list[Model]] = []
        for model in self.models:
            plan = essence(model.plan)
            part = next((part for part in parts if essence(part[0].plan) == plan), None)
            if part is None:
                parts.append([model])
            else:
                part.append(model)
        return [replace(self, models=tuple(part)) for part in parts]

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.models[0].network.parameters()).device

    @property
    def from_hub(self) -> dict[str, str]:
        """SHA-256 of the networks that came from the Hub, by their name there, with its commit."""
        return {str(m.root): m.sha256 for m in self.models if is_on_hub(m.root)}

    def window_predictor(self) -> WindowPredictor:
        """Return what gives the probabilities of windows."""
        axes = set.intersection(*(set(model.flip_axes) for model in self.models))
        looks = chain.from_iterable(combinations(sorted(axes), n) for n in range(len(axes) + 1))
        networks = [model.network for model in self.models]
        flips, regions = tuple(looks) if self.mirror else ((),), bool(self.plan.regions)
        return WindowPredictor(networks, flips, self.device, of_regions=regions)


def find_models(path: str | Path) -> list[Path]:
    """Return the folders of trained networks at or below a path, such as those of all folds.

    Raises:
        DataError: MODEL_MISSING if there is none, or one of several is not whole; as
            `check_together` for several, and `check_left_out`.
    """
    path = Path(path)
    found = {p.parent for name in (DESCRIPTION, WEIGHTS) for p in path.rglob(name)}
    # What a killed export left is no model, and a package is another form of a run beside it.
    found = {folder for folder in found if ".partial-" not in str(folder)}
    listed: list[Path] = []
    if path in found:
        parts = {path}
    else:
        parts = {folder for folder in found if not is_sealed(folder)} or found
        listed = listed_below(path)
        parts |= {*listed} | left_beside(parts, path)
    if not parts:
        raise DataError("MODEL_MISSING", f"no trained model in {path}", "give a run or a package")
    for folder in sorted(parts):
        if not all((folder / name).is_file() for name in (DESCRIPTION, WEIGHTS)):
            raise DataError(
                "MODEL_MISSING",
                f"{folder} holds no whole model",
                "finish its training by --resume, copy it again, or name the folders to use",
            )
    check_together(sorted(parts), listed)
    check_left_out(sorted(parts), sorted(found - parts), path)
    return sorted(parts)


def load_ensemble(
    paths: Sequence[str | Path],
    device: str = "cpu",
    *,
    mirror: bool = False,
    tidy: bool = True,
    accept: Collection[str] = (),
) -> Ensemble:
    """Load all trained networks at or below some paths, to predict together.

    Args:
        paths: folders of runs or of several of them, or packages, which are verified; or names
            of packages on the Hub, see `fetch`.
        device: of torch.
        mirror: see `Ensemble`.
        tidy: follow the rules that `sdunet postprocess` found.
        accept: RUN_UNFINISHED, to take runs that were stopped before their end.

    Raises:
        DataError: PRED_TEAM if they have other channels or classes; PRED_TWICE if two are the
            same; PRED_RULES if paths have different rules, or rules count pixels of other sizes;
            PRED_MEMORY if the device has no room for them; PACKAGE_... for damaged packages; as
            `doubts_of`, `load_model` and `fetch`.
    """
    if "" in map(str, paths):  # which to Python is the folder that one is in
        raise DataError("MODEL_MISSING", "the path of a model is empty", "name a run or a package")
    with tempfile.TemporaryDirectory() as folder:
        given = [*map(Path, paths)]
        roots = [_at_hand(path, Path(folder) / str(number)) for number, path in enumerate(given)]
        origins = [
            (found, found if path == root else path)
            for path, root in zip(given, roots, strict=True)
            for found in find_models(root)
        ]
        folders = [found for found, _ in origins]
        doubts = frozenset[str]().union(*(doubts_of(found, accept) for found in folders))
        models = [
            _on_device(replace(load_model(found), root=origin), device) for found, origin in origins
        ]
        seen = frozenset[frozenset[str]]().union(*map(read_seen, folders))
        names = [target.name for target in models[0].plan.scored]
        rules = _rules_of(roots, names) if tidy else {}
    _refuse_twice(models)
    for model in models[1:]:
        if names := _not_shared(model.plan, models[0].plan):
            raise DataError(
                "PRED_TEAM",
                f"{model.root} and {models[0].root} were trained with other {', '.join(names)}",
                "predict together with networks of the same channels and classes",
            )
    if rules and len({model.plan.resize for model in models}) > 1:
        found = f"{RULES} of images of other sizes: it counts pixels of theirs"
        raise DataError("PRED_RULES", found, "give --no-postprocess")
    return Ensemble(tuple(models), rules, mirror, doubts, seen)


def _at_hand(path: Path, folder: Path) -> Path:
    """Return a folder of models as it is, or one to which a package was brought from elsewhere."""
    if is_on_hub(path):
        return fetch(path, folder)
    return unpack(path, folder) if path.suffix.lower() == ".zip" else path


def _rules_of(roots: Sequence[Path], names: Collection[str]) -> Rules:
    """Return the rules of all paths, which must agree: each was found for its own networks."""
    roots = _with_rules(roots)
    found = [read_rules(root, names, find_models(root)) for root in roots]
    if any(rules != found[0] for rules in found):
        raise DataError(
            "PRED_RULES",
            f"{RULES} differ between {', '.join(map(str, roots))}",
            "give --no-postprocess, or run sdunet postprocess on one folder that holds all runs",
        )
    return found[0]


def _with_rules(roots: Sequence[Path]) -> Sequence[Path]:
    """Return the folder that all these runs are in, and no other, if rules stand only there."""
    models = {model.resolve() for root in roots for model in find_models(root)}
    folder = next(iter(models)).parent
    there = {path.parent for path in folder.glob(f"*/{WEIGHTS}")}
    own = any((root / RULES).exists() for root in roots)
    return [folder] if there == models and not own and (folder / RULES).is_file() else roots


def _refuse_twice(models: Sequence[Model]) -> None:
    for one, other in combinations(models, 2):
        if one.sha256 == other.sha256:
            raise DataError(
                "PRED_TWICE", f"{one.root} and {other.root} are the same network", "name it once"
            )


def _on_device(model: Model, device: str) -> Model:
    try:
        model.network.to(device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise DataError(
            "PRED_MEMORY", f"no memory for {model.root} on {device}", "give --device cpu"
        ) from error
    return model


def predict_scan(
    ensemble: Ensemble,
    scan: Scan,
    findings: Findings,
    say: Callable[[str], None],
    *,
    uncertainty: bool = False,
    instances: bool = False,
    probabilities_into: Callable[[tuple[int, ...]], np.ndarray] | None = None,
    memory: float = math.inf,
) -> Prediction:
    """Predict the label of a scan on its own grid.

    Probabilities, not labels, are brought back to the scan's grid, some planes at a time.

    Args:
        ensemble: the networks.
        scan: `(C, ...)`.
        findings: what is noticed is added to it.
        say: is told the memory a large scan takes, and of steps back from too little of it.
        uncertainty: whether to give the entropy.
        instances: whether the label is to number objects; of networks that learned their inside
            and boundary, it else is the foreground of both.
        probabilities_into: makes an array of a shape to keep all probabilities in, if wanted.
        memory: bytes that may be taken.

    Raises:
        DataError: CH_... if the scan does not have the model's channels or dimensions, PRED_RANGE
            if it is of another kind, PRED_MEMORY if it would take more than `memory`;
            PRED_INSTANCES as `check_instances`.
    """
    plan, parts = ensemble.plan, ensemble.by_plan
    check_instances(plan, asked=instances)
    scan = as_trained(scan, [part.plan for part in parts], findings)
    grids = [grid_of(scan, part.plan.spacing, part.plan.resize) for part in parts]
    needed = sum(
        needed_bytes(scan, there, plan.outputs, part.plan.patch_size, uncertainty=uncertainty)
        for part, there in zip(parts, grids, strict=True)
    )
    if needed > _LARGE:
        say(f"needs about {needed / 1e9:.1f} GB of memory besides the networks")
    if needed > memory:
        raise DataError(
            "PRED_MEMORY",
            f"it needs about {needed / 1e9:.2g} GB, {memory / 1e9:.2g} GB are allowed",
            "allow more by --max-ram, or crop the scan",
        )

    def step_back(text: str) -> None:
        say(text)
        findings.note("DEVICE_MEMORY", text)

    streams = [
        planes_back(_slabs(part, scan, there, step_back), there)
        for part, there in zip(parts, grids, strict=True)
    ]
    shares = [len(part.models) / len(ensemble.models) for part in parts]
    return decided(
        mean_planes(streams, shares),
        grids[0],  # all turn the scan alike
        plan,
        ensemble.rules,
        findings,
        uncertainty=uncertainty,
        instances=instances,
        probabilities_into=probabilities_into,
    )


def _slabs(
    part: Ensemble, scan: Scan, grid: Grid, step_back: Callable[[str], None]
) -> Iterator[np.ndarray]:
    """Return probabilities by networks of one plan, on its grid, slab by slab."""
    scaling = scaling_of(scan.array, part.plan)
    return slabs(
        to_grid(scan.array, grid),
        Fallback(part.window_predictor(), step_back),
        part.plan.patch_size,
        part.models[0].overlap,
        lambda window: normalise(window, scaling),
    )


def _not_shared(one: Plan, other: Plan) -> list[str]:
    """Return the names of what networks must share to predict together, and these do not."""
    return [name for name in _SHARED if getattr(one, name) != getattr(other, name)]


def essence(plan: Plan) -> Plan:
    """Return what networks of one grid and one kind of intensities share."""
    return replace(plan, why={}, seen=None, form=None)
