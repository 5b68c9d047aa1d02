"""Several runs of one task: every fold, several seeds; and what helps after all of them."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.parse import MAX_LIST_BYTES, usable
from data_prep.core.progress import Progress, silent
from data_prep.files.hashed_json import read_hashed, write_hashed
from data_prep.files.output_folder import check_output, own_folder
from data_prep.files.written_files import is_there, read_written
from data_prep.prepared.dataset import Dataset, load_dataset
from data_prep.preprocessing.intensity import normalise
from sdunet.runtime.checkpoint import check_epochs
from sdunet.runtime.doubts import findings_of
from sdunet.runtime.lightning_setup import is_first_process
from sdunet.runtime.run_record import flat, say
from sdunet.segmentation.config import TaskConfig
from sdunet.segmentation.inference.decision import most_probable, stated_label
from sdunet.segmentation.inference.ensemble import essence, find_models
from sdunet.segmentation.inference.postprocessing import (
    RULES,
    Pieces,
    Rules,
    choose_rule,
    compare_pieces,
    weights_of,
)
from sdunet.segmentation.inference.sliding_window import WindowPredictor, slabs
from sdunet.segmentation.models.doubts import doubts_of
from sdunet.segmentation.models.planned import planned, without_validation
from sdunet.segmentation.models.run_folder import (
    VALIDATION_CASES,
    has_trained,
    hash_data,
    hash_set,
)
from sdunet.segmentation.models.run_settings import SETTINGS, is_of_all
from sdunet.segmentation.models.together import differing, listed_in, place_of, settings_of
from sdunet.segmentation.models.trained_model import RUNS, load_model
from sdunet.segmentation.training.train_fold import train


def train_several(
    task: TaskConfig,
    data: str | Path,
    out: str | Path,
    folds: Sequence[int | None],
    seeds: Sequence[int],
    *,
    resume: bool = False,
    init: str | Path | None = None,
) -> dict[str, float | None]:
    """Train a network for each fold and seed, one after the other, in folders of their own.

    Resumed, runs that came to their end are kept, the one that was stopped goes on, and the others
    begin; at least one must be there, in the folder that this fold and seed has.

    Args:
        task: settings; its seed is replaced.
        data: folder of a prepared dataset.
        out: folder for `fold_F/`, `seed_S/` or `seed_S/fold_F/`.
        folds: folds that validate, in turn; or None alone, see `train`.
        seeds: of weights, patches and augmentation.
        resume: go on where an earlier call stopped.
        init: what each begins from, as in `train`.

    Returns:
        What `train` returns of each run, by its folder.

    Raises:
        DataError: as `train`, before anything is trained where that can be known.
    """
    dataset = load_dataset(data)
    known: Collection[int | None] = [None] if None in folds else range(len(dataset.folds))
    check_output(out, data, *([init] if init else []))
    wrong = [fold for fold in folds if fold not in known]
    if wrong:
        found = f"fold {wrong[0]} of {len(dataset.folds)}" + " beside none" * (None in folds)
        raise DataError("SPLIT_FOLD", found, "count --fold from 0, or give none alone")
    if None in folds:
        task = without_validation(task)
    runs = {
        (seed, fold): Path(
            out, *[f"seed_{seed}"] * (len(seeds) > 1), *[f"fold_{fold}"] * (len(folds) > 1)
        )
        for seed, fold in product(seeds, folds)
    }
    begun = {run for run in runs.values() if (run / SETTINGS).exists()}
    if resume and not begun:
        raise _none_to_resume(Path(out), runs.values())
    taken = [run for run in runs.values() if has_trained(run)]
    if taken and not resume:
        raise DataError(
            "RUN_EXISTS", f"a run is already in {taken[0]}", "give another --out, or --resume"
        )
    if len(runs) > 1 and has_trained(Path(out)):
        raise DataError("RUN_EXISTS", f"{out} holds a run itself", "give another --out")
    inner = sorted(p.parent for p in Path(out).glob("*/**/model.json"))
    if inner and len(runs) == 1:
        raise DataError(
            "RUN_EXISTS", f"{out} holds the run {inner[0]}", "give a folder of its own as --out"
        )
    _refuse_others(Path(out), runs, planned(task, dataset.plan), dataset)
    # States count checks, if there are any, and how many there will be hangs on the fold.
    for run in sorted(begun) if resume and not task.training.validate_every else ():
        check_epochs(run, task.training.epochs)  # or some would be trained before one is refused
    if len(runs) > 1 and is_first_process():
        _record_runs(Path(out), {*runs.values(), *_runs_below(Path(out))})
    scores = {}
    for (seed, fold), run in runs.items():
        own = replace(task, training=replace(task.training, seed=seed))
        scores[str(run)] = train(own, data, run, fold, resume=resume and run in begun, init=init)
    return scores


def _none_to_resume(out: Path, runs: Collection[Path]) -> DataError:
    """Return the error of runs that are not there, which names those that are there instead."""
    there = [path.parent.relative_to(out).as_posix() for path in out.rglob(SETTINGS)]
    if not there:
        return DataError("RUN_MISSING", f"no run to resume in {out}", "leave out --resume")
    wanted = [run.relative_to(out).as_posix() for run in runs]
    lists = [", ".join(sorted(names)[:4]) + ", ..." * (len(names) > 4) for names in (wanted, there)]
    told = [text if text != "." else "a single run" for text in lists]
    found = f"no run to resume in {out}: asked for is {told[0]}, there is {told[1]}"
    fix = "give the --fold, --seeds and --training.seed of what is there, or another --out"
    return DataError("RUN_MISSING", found, fix)


def _runs_below(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.glob(f"*/**/{SETTINGS}"))


def _refuse_others(
    out: Path,
    runs: Mapping[tuple[int, int | None], Path],
    task: TaskConfig,
    dataset: Dataset,
) -> None:
    """Refuse a folder with runs of other settings, which would predict together with these.

    Raises:
        DataError: RUN_EXISTS; RUN_SETTINGS if records are damaged.
    """
    settings: dict = {"network": asdict(task.network), "training": asdict(task.training)}
    settings |= {"fold": next((fold for _, fold in runs), 0), "set_sha256": hash_set(dataset)}
    now = flat(json.loads(json.dumps(settings)))
    places = {(fold, seed) for seed, fold in runs}
    for folder in _runs_below(out):
        if folder in runs.values():
            continue
        before = settings_of(folder)
        found = f"{out} holds the run {folder.relative_to(out).as_posix()} of "
        if names := differing(before, now):
            found += f"another {', '.join(names)}"
            raise DataError("RUN_EXISTS", found, "give another --out")
        if (place := place_of(before)) in places:
            found += f"fold {place[0]} and seed {place[1]}, which would be there twice"
            raise DataError("RUN_EXISTS", found, "give another --out, or move it away")


def _record_runs(out: Path, runs: Iterable[Path]) -> None:
    """Write which runs belong together, so that none is missing from their ensemble unsaid."""
    path = out / RUNS
    names = {run.relative_to(out).as_posix() for run in runs}
    with own_folder(out, "train", part=None, adopt=()) as output:
        output.claim(path)
        names |= {run.relative_to(out).as_posix() for run in listed_in(out)}
        write_hashed(path, {"runs": sorted(names)})


def find_rules(
    runs: str | Path,
    data: str | Path,
    progress: Progress = silent,
    accept: Collection[str] = (),
) -> dict[str, tuple[str | float | None, float, float]]:
    """Find what is better removed from predictions, on the validation cases of trained networks.

    Writes `postprocess.json` into `runs`, which `predict` follows.

    Args:
        runs: folder of a run, or of one run a fold.
        data: the prepared dataset they were trained on.
        progress: wraps the loop over cases, given a title.
        accept: RUN_UNFINISHED, to find rules for runs that were stopped before their end.

    Returns:
        For each class or region the rule, `None` for none, with the mean Dice before and after.

    Raises:
        DataError: if there are no models, or the dataset does not hold their cases.
    """
    dataset = load_dataset(data)
    folders = find_models(runs)
    doubts = set[str]().union(*(doubts_of(folder, accept) for folder in folders))
    for finding in findings_of(doubts, accept):
        say(str(finding))
    path = Path(runs) / RULES
    with own_folder(runs, "train", part=None, adopt=()) as output:
        output.claim(path)  # before the work
        chosen = _choose_rules(folders, dataset, progress)
        rules: Rules = {name: rule for name, (rule, _, _) in chosen.items() if rule is not None}
        scores = {name: {"before": b, "after": a} for name, (_, b, a) in chosen.items()}
        weights = weights_of(folders)
        facts = {"validation_dice": scores, "weights": weights, "doubts": sorted(doubts)}
        write_hashed(path, {"rules": rules} | facts)
    return chosen


def _choose_rules(
    folders: Sequence[Path], dataset: Dataset, progress: Progress
) -> dict[str, tuple[str | float | None, float, float]]:
    found: dict[str, list[Pieces]] = {}
    for folder in folders:
        if is_of_all(settings_of(folder)):
            raise DataError(
                "RUN_CASES",
                f"{folder} was trained on all cases, and none is left to choose rules by",
                "give the folder of the folds; those rules hold for them alone",
            )
        model = load_model(folder)
        plan = model.plan
        cases = _validation_cases(folder)
        if unknown := set(cases) - set(dataset.cases):
            raise DataError(
                "MODEL_DATA",
                f"{folder} was validated on {sorted(unknown)[0]}, which is not in {dataset.root}",
                "give the dataset it was trained on",
            )
        if essence(plan) != essence(dataset.plan):
            raise DataError(
                "MODEL_DATA",
                f"{dataset.root} was prepared in another way than what {folder} was trained on",
                "give the dataset it was trained on",
            )
        if not _is_of(folder, dataset):
            raise DataError(
                "MODEL_DATA",
                f"{dataset.root} holds other cases or folds than what {folder} was trained on",
                "give the dataset it was trained on",
            )
        for case_id in progress(cases, f"{folder.name}"):
            image, label = dataset.arrays(case_id)
            scaling = dataset.cases[case_id].scaling
            parts = slabs(
                image,
                WindowPredictor([model.network], of_regions=bool(plan.regions)),
                plan.patch_size,
                model.overlap,
                partial(normalise, scaling=scaling),
            )
            found_classes = np.concatenate([most_probable(part, plan) for part in parts])
            prediction, there = stated_label(found_classes, plan), stated_label(label[0], plan)
            for target in plan.scored:
                pieces = compare_pieces(prediction, there, target.classes, plan.rules.void)
                found.setdefault(target.name, []).append(pieces)
    cell = float(np.prod(dataset.plan.spacing)) if dataset.plan.spacing else 1.0
    return {name: choose_rule(cases, cell) for name, cases in found.items()}


def _is_of(run: Path, dataset: Dataset) -> bool:
    """Tell whether a run was trained on a dataset, as far as it is recorded."""
    path = run / SETTINGS
    if not is_there(path):
        return True
    with usable("RUN_SETTINGS", path, "train anew"):
        settings = read_hashed(path)
        fold, recorded = settings["fold"], settings.get("data_sha256")
        return recorded is None or recorded == hash_data(dataset, fold)


def _validation_cases(folder: Path) -> list[str]:
    try:
        cases = read_written(folder / VALIDATION_CASES, MAX_LIST_BYTES).decode().splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            "RUN_CASES", f"{VALIDATION_CASES}: {error}", "give a run, not a package"
        ) from error
    if not cases:
        raise DataError("RUN_CASES", f"{VALIDATION_CASES} is empty", "train anew", file=str(folder))
    return cases
