"""`evaluate`, `overlay` and `compare`."""

import jsonargparse

from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.values.numbers import Count
from sdunet.cli.options import (
    Command,
    add_cases,
    add_max_ram,
    add_task,
    cases_of,
    max_ram_of,
    report,
    say_unused,
)
from sdunet.cli.parser import Parser
from sdunet.runtime.run_record import bar, tell
from sdunet.segmentation.metrics.case_scores import METRICS, USUAL, ScoreOptions


def _describe_evaluate(parser: Parser) -> None:
    """Score predictions against references.

    Example: sdunet evaluate --pred predictions --ref raw -o scores
    """
    _add_scored(parser, "folder for the scores")
    parser.add_argument(
        "--instances",
        action="store_true",
        help="predictions hold ids of objects, as of other tools; our own tell that themselves",
    )
    parser.add_argument(
        "--pooled-dice",
        type=Count,
        metavar="BATCH",
        help="also that of published tables, pooled over batches of so many cases; no image's Dice",
    )
    parser.add_argument(
        "--pooled-size",
        type=Count,
        nargs=2,
        metavar=("H", "W"),
        help="pixels that it brings both masks to, the soft edge of the reference cut away",
    )


def _evaluate(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.evaluation.evaluate import evaluate
    from sdunet.segmentation.evaluation.instance_scores import instance_table
    from sdunet.segmentation.metrics.batch_pooled import BatchPooledDice

    batch, size = options.pooled_dice, options.pooled_size
    if size and not batch:
        raise DataError("OPTION", "--pooled-size without --pooled-dice", "give both, or none")
    pooled = BatchPooledDice(batch, size and (size[0], size[1])) if batch else None
    say_unused(options.dataset)
    summary, problems = evaluate(
        options.pred,
        options.ref,
        options.out,
        cases_of(options),
        options.dataset,
        bar,
        options.score,
        max_ram_of(options),
        pooled,
        instances=options.instances,
    )
    shown = ("Dice", "IoU", "NSD", "HD95", "AP")
    scored = "".join(f"{name:>9}" for name in ("Jaccard", "NSD", "HD95", "AP"))
    width = max([18, *(len(scores["name"]) for scores in summary["mean"].values())]) + 2
    tell(f"{'class':<{width}}{'Dice (95 %)':<25}{scored}{'n':>6}  left out or zero")
    for scores in summary["mean"].values():
        outcomes = ("true_negatives", "false_alarms", "missed", "missing")
        rest = ", ".join(f"{scores[o]} {o.replace('_', ' ')}" for o in outcomes if scores[o])
        dice, *others = (_number(scores[name]) for name in shown)
        bounds = scores["interval"]["Dice"]
        if bounds:
            dice += f" ({bounds[0]:.4f} to {bounds[1]:.4f})"
        numbers = "".join(f"{number:>9}" for number in others)
        tell(f"{scores['name']:<{width}}{dice:<25}{numbers}{scores['n']:>6}  {rest or 'none'}")
    if "instances" in summary:
        tell(*instance_table(summary["instances"]))
    if pooled is not None:
        for name, value in summary["batch_pooled_dice"]["classes"].items():
            tell(f"{name}: {value:.4f} pooled over batches of {batch}; not the Dice of images")
    tell(f"scores in {options.out}")
    return report(problems)


def _add_scored(parser: Parser, out: str) -> None:
    """Add predictions, references and how they are scored."""
    parser.add_argument("--pred", required=True, help="folder of predictions")
    parser.add_argument("--ref", required=True, help="raw dataset, or folder of label files")
    parser.add_argument("-o", "--out", required=True, help=out)
    parser.add_class_arguments(ScoreOptions, "score")
    add_cases(parser)
    add_max_ram(parser)
    add_task(parser)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _describe_overlay(parser: Parser) -> None:
    """Draw correct, false positive and false negative on the images.

    Example: sdunet overlay --images raw --ref raw --pred predictions -o overlays
    """
    parser.add_argument("--images", required=True, help="raw dataset or folder of images")
    _add_scored(parser, "folder for the pictures")
    parser.add_argument("--colour-blind", action="store_true", help="colours for every eye")


def _overlay(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.review.overlay import overlay

    say_unused(options.dataset)
    page, problems = overlay(
        options.images,
        options.ref,
        options.pred,
        options.out,
        cases_of(options),
        options.dataset,
        bar,
        palette="colour_blind" if options.colour_blind else "usual",
        options=options.score,
        max_ram=max_ram_of(options),
    )
    tell(f"pictures in {options.out}; look through all cases in {page}")
    return report(problems)


def _describe_compare(parser: Parser) -> None:
    """Test models against each other over the same cases.

    Example: sdunet compare scores_a scores_b -o compared
    """
    parser.add_argument("SCORES", nargs="+", help="folders that sdunet evaluate wrote")
    parser.add_argument("-o", "--out", required=True, help="folder for the tables")
    parser.add_argument("--names", nargs="+", help="of the models; default: from their folders")
    parser.add_argument(
        "--metrics", nargs="+", choices=list(METRICS), default=list(USUAL), help="scores to test"
    )
    parser.add_argument("--images", help="raw dataset or folder of images, for a page")
    parser.add_argument("--ref", help="raw dataset, or folder of label files, for a page")
    parser.add_argument("--pred", nargs="+", help="predictions of each model, for a page")
    parser.add_argument("--colour-blind", action="store_true", help="colours for every eye")
    add_cases(parser)
    add_max_ram(parser)
    add_task(parser)


def _compare(options: jsonargparse.Namespace) -> int:
    from sdunet.runtime.tables import aligned
    from sdunet.segmentation.evaluation.compare_models import cells_of, compare, read_scores
    from sdunet.segmentation.review.compare_page import open_sides, side_by_side

    for_page = (options.images, options.ref, options.pred)
    if any(for_page) and not (all(for_page) and len(options.pred) == len(options.SCORES)):
        raise DataError(
            "COMPARE_PAGE",
            "a page needs --images, --ref and as many --pred as scores",
            "give all of them, or none",
        )
    say_unused(options.dataset)
    of_page = options.colour_blind or options.max_ram or options.dataset != DataConfig()
    if of_page and not any(for_page):
        raise DataError(
            "COMPARE_PAGE",
            "--colour-blind, --max-ram and --dataset are of a page, and none is asked for",
            "give --images, --ref and --pred, too, or leave them out",
        )
    only = cases_of(options)
    if all(for_page):  # or its tables would be there, and say nothing of the page that is not
        scored, _ = read_scores(options.SCORES, options.names, only)
        shown = set(scored[0].cases)
        memory = max_ram_of(options)
        sides = open_sides(*for_page, options.out, shown, options.dataset, memory)
    metrics = list(dict.fromkeys(options.metrics))
    rows, problems = compare(options.SCORES, options.out, metrics, options.names, only)
    tell(*aligned(*cells_of(rows)).splitlines())
    tell(f"tables in {options.out}")
    if all(for_page):
        page, more = side_by_side(
            options.images,
            options.ref,
            options.pred,
            scored,
            options.out,
            shown,
            options.dataset,
            bar,
            palette="colour_blind" if options.colour_blind else "usual",
            max_ram=memory,
            sides=sides,
        )
        tell(f"side by side in {page}")
        problems = [*problems, *more]
    return report(problems)


COMMANDS: dict[str, Command] = {
    "evaluate": (_describe_evaluate, _evaluate),
    "overlay": (_describe_overlay, _overlay),
    "compare": (_describe_compare, _compare),
}
