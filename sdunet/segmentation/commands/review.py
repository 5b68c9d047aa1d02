"""`evaluate` and `overlay`."""

import jsonargparse

from sdunet.runs.parser import Parser
from sdunet.runs.record import bar
from sdunet.segmentation.commands.options import Command, add_cases, add_task, cases_of, report


def _describe_evaluate(parser: Parser) -> None:
    """Score predictions against references."""
    parser.add_argument("--pred", required=True, help="folder of predictions")
    parser.add_argument("--ref", required=True, help="raw dataset with the references")
    parser.add_argument("-o", "--out", required=True, help="folder for the scores")
    add_cases(parser)
    add_task(parser)


def _evaluate(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.evaluate import evaluate

    summary, problems = evaluate(
        options.pred, options.ref, options.out, cases_of(options), options.dataset, bar
    )
    print(f"{'class':<20}{'Dice':>8}{'Jaccard':>9}{'n':>6}  left out or zero")
    for scores in summary["mean"].values():
        outcomes = ("true_negatives", "false_alarms", "missed", "missing")
        rest = ", ".join(f"{scores[o]} {o.replace('_', ' ')}" for o in outcomes if scores[o])
        dice, jaccard = (_number(scores[name]) for name in ("Dice", "IoU"))
        print(f"{scores['name']:<20}{dice:>8}{jaccard:>9}{scores['n']:>6}  {rest or 'none'}")
    print(f"scores in {options.out}")
    return report(problems)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _describe_overlay(parser: Parser) -> None:
    """Draw correct, false positive and false negative on the images."""
    parser.add_argument("--images", required=True, help="raw dataset or folder of images")
    parser.add_argument("--ref", required=True, help="raw dataset with the references")
    parser.add_argument("--pred", required=True, help="folder of predictions")
    parser.add_argument("-o", "--out", required=True, help="folder for the pictures")
    add_cases(parser)
    add_task(parser)


def _overlay(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.overlay import overlay

    sheet, problems = overlay(
        options.images,
        options.ref,
        options.pred,
        options.out,
        cases_of(options),
        options.dataset,
        bar,
    )
    print(f"overlays in {options.out}, worst first in {sheet}")
    return report(problems)


COMMANDS: dict[str, Command] = {
    "evaluate": (_describe_evaluate, _evaluate),
    "overlay": (_describe_overlay, _overlay),
}
