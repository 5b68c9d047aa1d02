"""`check`, `convert`, `plan` and `prepare`: from raw data to a prepared dataset."""

import json
import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonargparse

from data_prep.core.config import DataConfig, Plan
from data_prep.core.errors import DataError
from data_prep.core.findings import Finding, Findings, Level
from data_prep.core.values.numbers import Count, CountFrom0, Seed
from data_prep.planning.classes import with_ignored
from data_prep.planning.seeding import Seeding
from sdunet.cli.options import Command, add_jobs, add_task, jobs_of, report, say_unused, task_of
from sdunet.cli.parser import Parser
from sdunet.runtime.run_record import bar, say, tell

if TYPE_CHECKING:  # commands import what they run, so that help does not wait for it
    from data_prep.checks.run import Checked

_SHOWN = 5
# Options that are `Seeding`, by its names for them.
_SEEDING: dict[str, tuple[str, Any, str]] = {
    "cuts": ("--seeded-cuts", CountFrom0, "cuts of each image, at most"),
    "per_image": ("--seeds-per-image", Count, "cases of each image, at most"),
    "radius": ("--cut-radius", Count, "of a cut, in pixels"),
    "smallest": ("--smallest-part", Count, "pixels of the smallest part that is marked"),
    "seed": ("--seed", Seed, "of all that is drawn"),
}
_IN_CHECK = "which sdunet check lists"


def _describe_check(parser: Parser) -> None:
    """Find what is wrong or doubtful in a raw dataset, case by case, with what to do about it.

    Example: sdunet check raw
    """
    parser.add_argument("DATA", help="raw dataset: folder, zip or tar in a known layout")
    parser.add_argument("--fix", metavar="OUT", help="write a repaired copy of the usable cases")
    parser.add_argument("--all", action="store_true", help=f"more than {_SHOWN} of each code")
    parser.add_argument("--json", action="store_true", help="for programs")
    add_jobs(parser)
    add_task(parser, "dataset")


def _check(options: jsonargparse.Namespace) -> int:
    from data_prep.checks.run import check
    from data_prep.checks.settings import of_planning
    from data_prep.convert import convert

    config = task_of(options).dataset
    if options.fix:
        written, checked, _ = convert(
            options.DATA, options.fix, config, progress=bar, **jobs_of(options)
        )
    else:
        checked = check(options.DATA, config, bar, **jobs_of(options))
    checked = _with_split(checked, config)
    if options.fix:
        found = of_planning(config)
        checked = replace(checked, findings=(*checked.findings, *found))
    doubtful = any(finding.level != "note" for finding in checked.findings)
    if options.json:
        facts = {
            "layout": checked.layout.name,
            "cases": len(checked.layout.cases),
            "usable": len(checked.facts),
            "findings": [asdict(finding.for_records()) for finding in checked.findings],
        }
        tell(*json.dumps(facts, indent=1).splitlines())
        return int(doubtful)
    shown: Counter[str] = Counter()
    for finding in checked.findings:
        shown[finding.code] += 1
        if shown[finding.code] <= _SHOWN or options.all:
            tell(str(finding))
    tell(*checked.table())
    tell(f"layout {checked.layout.name}: {len(checked.facts)} cases can be used")
    if options.fix:
        tell(f"{len(written)} cases written to {options.fix}")
    return int(doubtful)


def _with_split(checked: "Checked", config: DataConfig) -> "Checked":
    """Add what is to be said of the folds, where settings or the dataset tell of some."""
    from data_prep.prepared.prepare import split

    asked = config.folds or config.split_file or config.test_share
    told = any(case.split is not None for case in checked.layout.cases)
    findings = Findings(config.accept)
    if (asked or told) and checked.facts:
        try:
            split(checked, sorted(checked.facts), config, findings)
        except DataError as error:
            # Cases to predict alone are sound, and cannot be prepared.
            to_test = all(c.split == "test" for c in checked.layout.cases if c.id in checked.facts)
            level: Level = "warning" if to_test and error.code == "SPLIT_FEW" else "error"
            findings.found.append(replace(Finding.of(error), level=level))
    return replace(checked, findings=(*checked.findings, *findings.found))


def _describe_convert(parser: Parser) -> None:
    """Write a raw dataset in another layout, in its exact values.

    Example: sdunet convert raw -o converted --to nnunet
    """
    parser.add_argument("DATA", help="raw dataset: folder, zip or tar in a known layout")
    parser.add_argument("-o", "--out", help="folder for the copy (required)")
    parser.add_argument(
        "--to", choices=["folders", "nnunet", "monai"], default="folders", help="layout to write"
    )
    parser.add_argument(
        "--seeded",
        action="store_true",
        help="make tasks of far context of 2D images: cut the label into parts, mark a point, and "
        "keep the part that holds it",
    )
    for name, (option, kind, about) in _SEEDING.items():
        about = f"with --seeded, {about}; default: {getattr(Seeding, name)}"
        parser.add_argument(option, type=kind, metavar="N", help=about)
    add_jobs(parser)
    add_task(parser, "dataset")


def _convert(options: jsonargparse.Namespace) -> int:
    from data_prep.convert import convert, lost_of

    config = task_of(options).dataset
    seeding = _seeding_of(options)
    say_unused(config)
    written, checked, problems = convert(
        options.DATA, options.out, config, options.to, bar, seeding, **jobs_of(options)
    )
    for finding in (*checked.worth_telling(_IN_CHECK), *lost_of(checked, options.to)):
        say(str(finding))
    tell(f"{len(written)} cases written to {options.out}")
    return report(problems)


def _seeding_of(options: jsonargparse.Namespace) -> Seeding | None:
    """Return how cases with a marked point are made, if they are.

    Raises:
        DataError: OPTION if that is told without being asked for.
    """
    given = {
        name: options[option.removeprefix("--").replace("-", "_")]
        for name, (option, *_) in _SEEDING.items()
    }
    told = {name: value for name, value in given.items() if value is not None}
    if told and not options.seeded:
        option = _SEEDING[next(iter(told))][0]
        raise DataError("OPTION", f"{option} without --seeded", "give both, or none")
    return Seeding(**told) if options.seeded else None


def _describe_plan(parser: Parser) -> None:
    """Write how a raw dataset would be prepared, to look at, change and prepare by.

    Example: sdunet plan raw -o plan.json
    """
    parser.add_argument("DATA", help="raw dataset: folder, zip or tar in a known layout")
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="JSON file to write")
    add_jobs(parser)
    add_task(parser, "dataset")


def _plan(options: jsonargparse.Namespace) -> int:
    from data_prep.checks.run import check
    from data_prep.files.file_tree import open_tree
    from data_prep.files.output_folder import check_output
    from data_prep.planning.plan_json import write_plan
    from data_prep.planning.splits import given_split
    from data_prep.prepared.prepare import planned

    config = task_of(options).dataset
    tree = open_tree(options.DATA)
    check_output(options.out, options.DATA)
    if os.path.lexists(options.out):
        raise DataError("OUT_TAKEN", f"{options.out} is there", "give a new name, or remove it")
    checked = check(options.DATA, config, bar, tree=tree, **jobs_of(options))
    plan = replace(planned(checked, config), split_by=given_split(config))
    write_plan(options.out, plan)
    for finding in checked.worth_telling(_IN_CHECK):
        say(str(finding))
    _tell(plan)
    tell(f"plan in {options.out}")
    return report(list(checked.errors))


def _describe_prepare(parser: Parser) -> None:
    """Read, check, plan and preprocess a raw dataset.

    Example: sdunet prepare raw -o prepared
    """
    parser.add_argument("DATA", help="raw dataset: folder, zip or tar in a known layout")
    parser.add_argument("-o", "--out", help="folder for the prepared dataset (required)")
    parser.add_argument("--plan", metavar="FILE", help="prepare by this plan, see sdunet plan")
    add_jobs(parser)
    add_task(parser, "dataset")


def _prepare(options: jsonargparse.Namespace) -> int:
    from data_prep.planning.plan_json import read_plan
    from data_prep.prepared.prepare import prepare
    from data_prep.prepared.report import REPORT

    dataset, problems = prepare(
        options.DATA,
        options.out,
        task_of(options).dataset,
        bar,
        plan=read_plan(options.plan) if options.plan else None,
        tell=lambda finding: say(str(finding)),
        **jobs_of(options),
    )
    plan = dataset.plan
    tell(f"layout {dataset.layout}, {len(dataset.cases)} cases, {len(dataset.folds)} folds")
    _tell(plan)
    tell(f"prepared in {options.out}; look at {Path(options.out) / REPORT}")
    return report(problems)


def _tell(plan: Plan) -> None:
    tell(f"classes {with_ignored(plan.labels, plan.ignored)}, channels {', '.join(plan.channels)}")
    if plan.regions:
        told = (f"{region.name} {list(region.classes)}" for region in plan.regions)
        tell(f"regions {', '.join(told)}, painted in this order")
    for name in ("intensity", "window", "resize", "spacing", "patch_size"):
        if (value := getattr(plan, name)) is not None:
            reason = f"  ({plan.why[name]})" if name in plan.why else ""
            tell(f"{name} {value}{reason}")
    if fit := plan.network:
        widths, why = ", ".join(map(str, fit.features)), plan.why.get("network", "by hand")
        tell(f"network of widths {widths}, {fit.batch_size} patches a step  ({why})")


COMMANDS: dict[str, Command] = {
    "check": (_describe_check, _check),
    "convert": (_describe_convert, _convert),
    "plan": (_describe_plan, _plan),
    "prepare": (_describe_prepare, _prepare),
}
