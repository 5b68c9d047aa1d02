"""Check a raw dataset: every case by itself, then all of them together."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.checks.across_cases import compare
from data_prep.checks.case_fingerprint import examine
from data_prep.checks.ignored import ignored_in_all
from data_prep.checks.regions import settle, told_of
from data_prep.checks.same_patient import tell_of_patients
from data_prep.checks.settings import check_not_mapped, check_settings, renamed, without_effect
from data_prep.checks.told_by_names import kept_out, tell_of_parts
from data_prep.checks.window import beyond_window
from data_prep.core.config import DataConfig, MaskForm, Rules
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings, Question, Subject
from data_prep.core.memory_limits import bytes_of, memory_within
from data_prep.core.progress import Progress, silent
from data_prep.core.scan import UNNAMED
from data_prep.files.file_tree import Tree, open_again, open_tree, token_of
from data_prep.formats.mask_images import MaskLook, decide, drawn_masks, look_at_masks
from data_prep.layouts import Case, Layout, find_layout
from data_prep.parallel import run
from data_prep.planning.classes import classes_of, ignored_of, learned_classes
from data_prep.planning.fingerprint import Fingerprint
from data_prep.planning.regions import check_regions
from data_prep.planning.splits import groups_of
from data_prep.reading.other_names import ask_other_names, tell_other_tables

_MOST_TOLD = 20  # warnings of cases
_ORDER = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Checked:
    """A raw dataset, and what is known of it.

    Attributes:
        layout: the cases.
        rules: how they are read.
        facts: of those that can be used, by id.
        groups: what each of those must stay together with.
        errors: one for each case that cannot be used.
        whole: errors that concern all cases together; with one, nothing can be prepared.
        findings: errors, warnings and notes, in this order.
    """

    layout: Layout
    rules: Rules
    facts: dict[str, Fingerprint]
    groups: dict[str, str]
    errors: tuple[DataError, ...]
    whole: tuple[DataError, ...]
    findings: tuple[Finding, ...]

    def require_usable(self) -> None:
        """Refuse to go on with a set of which nothing can be used.

        Raises:
            DataError: the first of `whole`; SET_EMPTY or LAY_EMPTY if no case is left.
        """
        if self.whole:
            raise self.whole[0]
        if not self.facts:
            raise nothing_left(self.errors)

    def counts(self) -> list[tuple[str, str, int]]:
        """Return `(level, code, number)` of what was found, errors first."""
        found = Counter((finding.level, finding.code) for finding in self.findings)
        ordered = sorted(found.items(), key=lambda item: (_ORDER[item[0][0]], item[0][1]))
        return [(level, code, number) for (level, code), number in ordered]

    def worth_telling(self, where: str, first: Collection[Finding] = ()) -> list[Finding]:
        """Return what commands tell that go on in spite of it: warnings, and notes in short.

        Args:
            where: all warnings and notes of cases are listed, of which some are told.
            first: warnings of cases that are told in any number.
        """
        of_all = [f for f in self.findings if f.case is None and f.level != "error"]
        of_cases = [f for f in self.findings if f.case is not None and f.level == "warning"]
        of_cases = [f for f in of_cases if f not in first]
        told = [*of_all, *first, *of_cases[:_MOST_TOLD]]
        if (more := len(of_cases) - _MOST_TOLD) > 0:
            told.append(Finding("note", "CASE_MORE", f"{more} more warnings of cases, {where}", ""))
        if notes := [f.code for f in self.findings if f.case is not None and f.level == "note"]:
            codes = ", ".join(f"{code} {n}" for code, n in sorted(Counter(notes).items()))
            told.append(Finding("note", "CASE_MORE", f"notes of cases ({codes}), {where}", ""))
        return told

    def table(self) -> list[str]:
        """Return what was found as lines of a table, by level and code."""
        rows = [f"{level:<9}{code:<20}{number:>7}" for level, code, number in self.counts()]
        return [f"{'level':<9}{'code':<20}{'found':>7}", *rows] if rows else []


def check(
    data: str | Path,
    config: DataConfig,
    progress: Progress = silent,
    *,
    workers: int = 0,
    scheduler: str | None = None,
    max_ram: float | None = None,
    form: MaskForm | None = None,
    tree: Tree | None = None,
) -> Checked:
    """Check the raw dataset at `data`; nothing is written.

    Args:
        data: a folder, zip or tar in a known layout, see `find_layout`.
        config: the user's decisions.
        progress: wraps the loop over cases, given a title.
        workers: local processes to work in; with 0 in this one.
        scheduler: address of a Dask cluster to work on instead.
        max_ram: gigabytes of memory one case may take; larger ones are refused by their headers.
        form: how masks are stored in the set that this one is to be read like, if there is one.
        tree: of `data`, if it is open already.

    Raises:
        DataError: if it cannot be read at all: no known layout, classes that cannot be.
    """
    tree = tree or open_tree(data)
    memory = bytes_of(max_ram)
    with memory_within(memory):
        layout = find_layout(tree, label_folder=config.label_folder)
    check_settings(config, layout)
    channels = config.channels or layout.channels or UNNAMED
    settled, regions = settle(config, layout.regions)
    classes = classes_of(settled, layout.labels, layout.ignored)
    labels, instances = learned_classes(config, classes)
    check_regions(regions, labels)
    check_not_mapped(tree.root, config.label_map, labels, layout.labels)
    ignored = ignored_of(settled, layout.ignored)
    place = str(Path(data).absolute()), token_of(tree)
    by_name = Findings(config.accept)
    excluded = kept_out(layout, by_name)
    names = {error.case for error in excluded}
    cases = [case for case in layout.cases if case.id not in names]
    drawn = [(*place, case, memory) for case in cases if drawn_masks(case.masks)]
    looks = run(look_at_case, drawn, workers=workers, scheduler=scheduler)
    looks = [look for found in looks if not isinstance(found, DataError) for look in found]
    form = decide(looks, form)
    of_labels = labels, settled.label_map, config.structures
    rules = Rules(channels, *of_labels, config.accept, form, ignored, instances, regions)
    errors = [*layout.problems, *excluded]
    findings = [*_open(layout.findings, tree, config), *by_name.found]
    facts: dict[str, Fingerprint] = {}
    items = [(*place, case, rules, memory) for case in cases]
    results = run(examine_case, items, workers=workers, scheduler=scheduler)
    for case, result in zip(progress(cases, "checking"), results, strict=True):
        if isinstance(result, DataError):
            errors.append(result.at(case=case.id))
            continue
        fact, found = result
        findings += [finding for finding in found if finding.level != "error"]
        errors += [finding.error for finding in found if finding.level == "error"]
        if fact is not None:
            facts[case.id] = fact
    told = {c.id: (c.group, c.patient) for c in layout.cases if c.id in facts}
    groups, without, found = groups_of(told, config, left_out(layout, errors, facts))
    findings += [*found, *renamed(config, layout)]
    findings += tell_of_patients([case for case in layout.cases if case.id in facts], config)
    findings += tell_of_parts(layout, facts, config)
    findings += without_effect(config, layout, facts.values())
    findings += ignored_in_all(config, rules, facts.values())
    findings += told_of(rules, layout.regions)
    noticed = Findings(config.accept)
    without += ask_other_names({id_: fact.held for id_, fact in facts.items()}, rules, noticed)
    tell_other_tables({id_: fact.told for id_, fact in facts.items()}, rules, noticed)
    findings += noticed.found
    errors += without
    alone = {error.case for error in without}
    facts = {id_: fact for id_, fact in facts.items() if id_ not in alone}
    groups = {id_: group for id_, group in groups.items() if id_ not in alone}
    splits = {case.id: case.split for case in layout.cases}
    unplaced = {f.case for f in findings if f.code == "GEO_NONE" and f.case is not None}
    wrong, whole, found = compare(facts, groups, splits, rules, unplaced)
    errors += wrong.values()
    facts = {id_: fact for id_, fact in facts.items() if id_ not in wrong}
    clipped, beyond = beyond_window(facts, config, rules)
    whole += clipped
    findings += [*found.found, *beyond.found]
    findings += [Finding.of(error) for error in (*whole, *errors)]
    findings.sort(key=lambda f: (_ORDER[f.level], f.code, f.case or ""))
    return Checked(layout, rules, facts, groups, tuple(errors), tuple(whole), tuple(findings))


def _open(findings: Iterable[Finding], tree: Tree, config: DataConfig) -> Iterable[Finding]:
    """Yield what is told of a layout, without files that settings name.

    Of questions that settings answer, notes are left: what the user gives is used.
    """
    given = {Path(file).resolve() for file in (config.split_file, config.group_file) if file}
    answered: dict[Subject, bool] = {
        "split": bool(config.split_file),
        "groups": bool(config.group_file) or config.group_pattern is not None,
    }
    for finding in findings:
        unused = finding.file if finding.code == "LAY_UNUSED" else None
        if unused and (tree.root / unused).resolve() in given:
            continue
        known = isinstance(finding, Question) and all(answered[one] for one in finding.about)
        yield finding.answered() if isinstance(finding, Question) and known else finding


def left_out(layout: Layout, errors: Iterable[DataError], used: Collection[str]) -> set[str]:
    """Return the ids of cases that are there and not used."""
    there = {case.id for case in (*layout.cases, *layout.unlabelled)}
    return (there | {error.case for error in errors if error.case}) - set(used)


def look_at_case(data: str, token: str, case: Case, memory: float | None) -> list[MaskLook]:
    """Look at the masks of one case of the dataset at `data`, see `look_at_masks`."""
    with memory_within(memory):
        return look_at_masks(open_again(data, token), case.masks)


def examine_case(
    data: str, token: str, case: Case, rules: Rules, memory: float | None
) -> tuple[Fingerprint | None, list[Finding]]:
    """Examine one case of the dataset at `data` within `memory` bytes, see `examine`."""
    with memory_within(memory):
        return examine(open_again(data, token), case, rules)


def nothing_left(errors: Sequence[DataError]) -> DataError:
    """Return the error to raise where no case is left, given what stood against each."""
    if not errors:
        return DataError("LAY_EMPTY", "no cases", "check the folder")
    return DataError(
        "SET_EMPTY",
        f"none of {len(errors)} cases can be used, the first: {errors[0]}",
        "repair the cases",
    )
