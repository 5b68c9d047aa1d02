"""Prepare a raw dataset: read and check every case, plan, preprocess, split, write."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.checks.run import Checked, check, left_out, nothing_left
from data_prep.checks.settings import check_agrees, with_split
from data_prep.core.chunked_stats import class_counts
from data_prep.core.config import DataConfig, Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings
from data_prep.core.memory_limits import bytes_of, memory_within
from data_prep.core.progress import Progress, silent
from data_prep.core.values.regions import as_settings
from data_prep.files.atomic import move_file, remove_file, write_array, write_bytes
from data_prep.files.file_tree import Tree, open_again, open_tree, token_of
from data_prep.files.output_folder import below, check_free, check_output, own_folder
from data_prep.layouts import Case
from data_prep.parallel import Jobs, run
from data_prep.planning.classes import with_ignored
from data_prep.planning.fingerprint import Fingerprint
from data_prep.planning.fit import fit_plan
from data_prep.planning.splits import (
    Folds,
    check_folds,
    choose_test,
    given_folds,
    make_folds,
    read_folds,
    split_settings,
)
from data_prep.prepared.dataset import (
    SCHEMA,
    CaseRecord,
    Dataset,
    load_dataset,
    save_dataset,
)
from data_prep.prepared.lost import in_words, lost_by_resampling
from data_prep.prepared.rendering import thumbnail
from data_prep.prepared.report import REPORT, write_report
from data_prep.preprocessing.grid import foreground, grid_of, to_grid
from data_prep.preprocessing.instances import IGNORED
from data_prep.preprocessing.intensity import scaling_of
from data_prep.reading.case import read_checked
from data_prep.reading.label import look_at_ignored
from data_prep.reading.objects import objects_as_classes

FOLDS = 5  # where nothing says how many
_PREVIOUS = "previous.json"  # the description of what was here, while it is prepared anew
_NAMES = ("dataset.json", _PREVIOUS, "splits.json", REPORT)


@dataclass(frozen=True)
class Work:
    """What is the same for all cases.

    Attributes:
        data: path of the raw dataset.
        token: `token_of` its tree.
        out: folder to write to.
        plan: how cases are brought to their grid.
        memory: bytes that one case may take; `None` for no limit.
    """

    data: str
    token: str
    out: str
    plan: Plan
    memory: float | None


def prepare(
    data: str | Path,
    out: str | Path,
    config: DataConfig,
    progress: Progress = silent,
    *,
    workers: int = 0,
    scheduler: str | None = None,
    max_ram: float | None = None,
    plan: Plan | None = None,
    tell: Callable[[Finding], None] | None = None,
) -> tuple[Dataset, list[DataError]]:
    """Prepare the raw dataset at `data` into the folder `out`.

    Cases with an error are left out and reported; the others are prepared. Cases already in
    `out` are used again when neither their files nor anything they depend on has changed.

    Args:
        data: a folder, zip or tar in a known layout, see `find_layout`.
        out: folder to write to; made if missing.
        config: the user's decisions.
        progress: wraps each loop over cases, given a title.
        workers: local processes to work in; with 0 in this one.
        scheduler: address of a Dask cluster to work on instead.
        max_ram: gigabytes of memory one case may take; larger ones are refused by their headers.
        plan: to prepare by, see `read_plan`. Default: one fitted to the training cases.
        tell: is told of each class that a case loses, or most of it, when it is resampled; of
            warnings and notes about the whole; and of warnings about cases, the first of many.

    Returns:
        The dataset, and one error for each case left out.

    Raises:
        DataError: if nothing can be prepared; then nothing is written.
    """
    tree = open_tree(data)
    check_output(out, data)
    check_free(out, "prepare", _NAMES)
    jobs: Jobs = {"workers": workers, "scheduler": scheduler}
    if plan is not None:
        check_agrees(config, plan)
        config, plan = with_split(config, plan), replace(plan, split_by=None)
        rules = asdict(plan.rules)
        for name in ("form", "ignored"):  # which the dataset tells, too
            del rules[name]
        rules["labels"] = with_ignored(plan.stated, plan.ignored)
        rules["instances"] = plan.instances is not None
        rules["regions"] = as_settings(plan.regions)
        config = replace(config, **rules)
    form = plan.form if plan else None
    # The window of a plan is to leave something of the images, too.
    fixed = replace(config, intensity=plan.intensity, window=plan.window) if plan else config
    checked = check(data, fixed, progress, max_ram=max_ram, form=form, tree=tree, **jobs)
    problems = list(checked.errors)
    plan = planned(checked, config, plan)

    out = Path(out)
    place = str(Path(data).absolute()), token_of(tree)
    with own_folder(out, "prepare", _NAMES) as output:
        before = _cases_before(out)
        for id_ in before:  # or an edited picture would go into the report
            output.claim(below(out, f"qc/{id_}.png"))
        output.begin()
        # While arrays change, the folder must not pass for a dataset.
        if (out / "dataset.json").exists():
            move_file(out / "dataset.json", out / _PREVIOUS)
        memory = bytes_of(max_ram)
        work = Work(*place, str(out.absolute()), plan, memory)
        records, failed = _write_cases(work, checked, before, progress, jobs)
        problems += failed
        lost, only = lost_by_resampling(checked.facts, records, plan)
        problems += only
        records = {
            id_: record for id_, record in records.items() if id_ not in {e.case for e in only}
        }
        checked = replace(checked, findings=(*map(Finding.of, only), *lost, *checked.findings))
        _tell_each(checked.worth_telling(f"in {REPORT}", lost), tell)
        _remove_left_out(out, {*before, *(str(e.case) for e in problems)} - set(records))
        if not records:
            raise nothing_left(problems)
        noticed = Findings(config.accept)
        folds, test = split(checked, list(records), config, noticed)
        _tell_each(noticed.found, tell)
        checked = replace(checked, findings=(*checked.findings, *noticed.found))
        split_by = split_settings(config)
        dataset = Dataset(out, checked.layout.name, plan, records, folds, test, split_by)
        write_report(dataset, checked)
        save_dataset(dataset)
        remove_file(out / _PREVIOUS)
    return dataset, problems


def planned(checked: Checked, config: DataConfig, given: Plan | None = None) -> Plan:
    """Return the plan fitted to the training cases of a checked set, or the given one.

    Raises:
        DataError: if nothing can be prepared, or not by the given plan.
    """
    checked.require_usable()
    try:
        _, test = split(checked, list(checked.facts), config, Findings(config.accept))
    except DataError as error:
        if checked.errors:  # or their cases would be missing without a word
            left_out = f"{len(checked.errors)} cases were left out, the first: {checked.errors[0]}"
            error.found += f"; {left_out}"
        raise
    seen = [fact for id_, fact in checked.facts.items() if id_ not in test]
    fitted = fit_plan(config, checked.rules, seen)
    if given is not None and given.spatial_dims != fitted.spatial_dims:
        raise DataError(
            "PLAN_DIMS",
            f"the plan is for {given.spatial_dims} spatial axes, the scans have "
            f"{fitted.spatial_dims}",
            "plan again",
        )
    if given is not None and (given.spacing is None) != (fitted.spacing is None):
        found = f"the plan has a spacing of {given.spacing}, the scans {fitted.spacing}"
        raise DataError("PLAN_DIMS", found, "plan again")
    rules = checked.rules  # which the dataset tells, too
    return replace(given, form=rules.form, ignored=rules.ignored) if given else fitted


def split(
    checked: Checked, ids: list[str], config: DataConfig, findings: Findings
) -> tuple[Folds, tuple[str, ...]]:
    """Return the folds of these cases, and those of the test set.

    Args:
        checked: the set.
        ids: cases that can be used.
        config: how to split.
        findings: what is noticed is added to it.

    Raises:
        DataError: SPLIT_... if they cannot be dealt as asked.
    """
    groups = {id_: checked.groups[id_] for id_ in ids}
    given = {case.id: case.split for case in checked.layout.cases if case.id in groups}
    foreground = {id_ for id_ in ids if sum(checked.facts[id_].voxels[1:])}
    test = {id_ for id_, where in given.items() if where == "test"}
    if not test:
        test = set(choose_test(groups, foreground, config.test_share, config.seed))
        if config.test_share:
            found = f"{len(test)} of {len(groups)} cases are kept apart for testing"
            findings.note("SPLIT_TEST", f"{found}, {config.test_share:g} of them was asked for")
    rest = {id_: group for id_, group in groups.items() if id_ not in test}
    if not rest:
        found = f"all {len(test)} cases are kept apart for testing, and none is left to train on"
        fix = "say which are for training, or leave preparing out: predict takes them as they are"
        raise DataError("SPLIT_FEW", found, fix)
    if config.split_file:
        missing = left_out(checked.layout, checked.errors, groups)
        folds = read_folds(config.split_file, rest, missing, findings)
    numbered = {id_: fold for id_ in rest if isinstance(fold := given[id_], int)}
    if numbered and len(numbered) == len(rest):
        listed = given_folds(numbered)
        numbers = sorted(set(numbered.values()))
        if numbers != list(range(len(numbers))):
            found = f"folds {numbers} of the dataset are counted 0 to {len(numbers) - 1}"
            findings.note("SPLIT_NUMBERS", found)
        if config.split_file and _sides(folds) != _sides(listed):
            found = f"the folds of split_file {config.split_file} are not those of the dataset"
            raise DataError("SET_CONFLICT", found, "leave one of them out")
        folds = listed
    elif not config.split_file:
        folds = make_folds(rest, config.folds or FOLDS, config.seed, foreground)
        if config.folds and len(folds) < config.folds:
            found = f"{config.folds} folds asked for, {len(folds)} made of as many groups"
            findings.warn("SPLIT_FEWER", found, "ask for fewer, or add cases")
    if config.folds and len(folds) != config.folds and (numbered or config.split_file):
        found = f"dataset.folds {config.folds}, {len(folds)} are given by "
        found += f"split_file {config.split_file}" if config.split_file else "the dataset"
        raise DataError("SET_CONFLICT", found, "leave dataset.folds out")
    check_folds(folds, groups, test)
    return folds, tuple(sorted(test))


def _sides(folds: Folds) -> list[list[list[str]]]:
    return sorted([sorted(fold["val"]), sorted(fold["train"])] for fold in folds)


def _tell_each(findings: Iterable[Finding], tell: Callable[[Finding], None] | None) -> None:
    if tell is not None:
        for finding in findings:
            tell(finding)


def _write_cases(
    work: Work,
    checked: Checked,
    before: dict[str, CaseRecord],
    progress: Progress,
    jobs: Jobs,
) -> tuple[dict[str, CaseRecord], list[DataError]]:
    cases = [case for case in checked.layout.cases if case.id in checked.facts]
    items = [
        (work, case, checked.groups[case.id], checked.facts[case.id], before.get(case.id))
        for case in cases
    ]
    records, failed = {}, []
    results = run(prepare_case, items, **jobs)
    for case, result in zip(progress(cases, "preparing"), results, strict=True):
        if isinstance(result, DataError):
            failed.append(result.at(case=case.id))
        else:
            records[case.id] = result
    return records, failed


def prepare_case(
    work: Work, case: Case, group: str, facts: Fingerprint, before: CaseRecord | None
) -> CaseRecord:
    """Write the arrays of one case, or use those that are there and unchanged.

    Raises:
        DataError: if the case cannot be read as when it was checked.
    """
    out = Path(work.out)
    unchanged = _unchanged(out, before, facts, _made_with(work.plan, case), group)
    if unchanged:
        return unchanged
    with memory_within(work.memory):
        return _write_case(open_again(work.data, work.token), case, out, work.plan, group, facts)


def _write_case(
    tree: Tree, case: Case, out: Path, plan: Plan, group: str, facts: Fingerprint
) -> CaseRecord:
    findings = Findings(plan.accept)
    objects = plan.instances is not None
    image, label = read_checked(tree, case, plan.rules, findings, facts.source, ids=objects)
    grid = grid_of(image, plan.spacing, plan.resize)
    image_array = to_grid(image.array, grid)
    label_array = to_grid(label.array, grid, label=not objects, ids=objects)
    lost_objects = 0
    if objects:  # only now: a boundary would not be whole on a coarser grid
        lost_objects = len(np.setdiff1d(label.array, np.append(label_array, (0, IGNORED))))
        label_array = objects_as_classes(label_array, plan.rules)
    void = plan.rules.void
    there = foreground(label.array, IGNORED if objects else void)
    if there.any() and not foreground(label_array, void).any():
        cells = np.count_nonzero(there)
        at, fix = in_words(plan)
        raise DataError("LBL_LOST", f"none of {cells} labelled voxels is left {at}", fix)
    look_at_ignored(label_array, plan.rules, findings)
    scaling = scaling_of(image.array, plan)
    image_name, label_name = f"images/{case.id}.npy", f"labels/{case.id}.npy"
    sha256 = {
        image_name: write_array(below(out, image_name), image_array),
        label_name: write_array(below(out, label_name), label_array),
    }
    write_bytes(below(out, f"qc/{case.id}.png"), thumbnail(image_array, label_array, void))
    *voxels, ignored = class_counts(label_array[0], plan.num_classes + 1).tolist()
    return CaseRecord(
        case.id,
        group,
        image_name,
        label_name,
        grid.size,
        scaling,
        voxels,
        sha256,
        facts.source,
        _made_with(plan, case),
        ignored,
        lost_objects,
        case.labels,
    )


def _remove_left_out(out: Path, ids: Collection[str]) -> None:
    """Remove what an earlier run made of cases that are left out now."""
    for folder, suffix in (("images", ".npy"), ("labels", ".npy"), ("qc", ".png")):
        for path in (out / folder).glob(f"*{suffix}"):
            if path.name.removesuffix(suffix) in ids:
                remove_file(path)


def _made_with(plan: Plan, case: Case) -> str:
    """Hash what the arrays of a case depend on besides the content of its files."""
    used = asdict(plan)
    unused = ["why", "patch_size", "seen", "network", "regions", "split_by"]
    # As it was hashed before there were such.
    unused += [name for name in ("ignored", "instances") if used[name] is None]
    for name in unused:
        del used[name]
    text = json.dumps([SCHEMA, used, case.roles], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _unchanged(
    out: Path, before: CaseRecord | None, facts: Fingerprint, made_with: str, group: str
) -> CaseRecord | None:
    """Return the case's record if its arrays can be used as they are."""
    if before is None or before.source != facts.source or before.made_with != made_with:
        return None
    for name, sha256 in before.sha256.items():
        path = out / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            return None
    return replace(before, group=group)


def _cases_before(out: Path) -> dict[str, CaseRecord]:
    for described in ("dataset.json", _PREVIOUS):
        try:
            return load_dataset(out, described).cases
        except DataError:
            continue  # none there, or from another version: prepared anew
    return {}
