"""The `sdunet` command: parses, calls, prints. Results go to stdout, all else to stderr.

Exit status: 0 done, 1 something was left out or failed, 2 the command itself is wrong.
Commands import what they run, so that only training waits for Lightning.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import jsonargparse
import torch
from jsonargparse.typing import NonNegativeInt, PositiveFloat

from data_prep.errors import DataError
from data_prep.limits import memory_each
from sdunet.ops import backends, keep_freed_memory, missing_backends
from sdunet.runs.parser import Parser
from sdunet.runs.record import RunRecord, bar, say, versions
from sdunet.segmentation.config import TaskConfig
from sdunet.vae.cli import describe_vae, run_vae

_SHOWN = 5
_DESCRIPTION = """Train segmentation networks that sweep, and see where they are wrong.
Exit status: 0 done, 1 something was left out or failed, 2 the command itself is wrong."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = Parser(prog="sdunet", description=_DESCRIPTION, allow_abbrev=False)
    commands = parser.add_subcommands(dest="command", required=True)
    for name, (describe, _) in _COMMANDS.items():
        sub = Parser(allow_abbrev=False)
        commands.add_subcommand(name, sub, help=describe.__doc__)
        describe(sub)
    chosen = parser.instantiate(parser.parse_args(argv))
    options = getattr(chosen, chosen.command)
    record = RunRecord(chosen.command, arguments=list(sys.argv[1:] if argv is None else argv))
    keep_freed_memory()
    try:
        status = _COMMANDS[chosen.command][1](options)
        if chosen.command in ("prepare", "predict", "evaluate", "overlay"):
            record.write(Path(options.out), status=status)
        return status
    except (DataError, FloatingPointError) as error:
        say(f"error: {error}")
    except OSError as error:
        say(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 1


def _describe_check(parser: Parser) -> None:
    """Find what is wrong or doubtful in a raw dataset, case by case, with what to do about it."""
    parser.add_argument("DATA", help="raw dataset: folder, zip or tar in a known layout")
    parser.add_argument("--fix", metavar="OUT", help="write a repaired copy of the usable cases")
    parser.add_argument("--all", action="store_true", help=f"more than {_SHOWN} of each code")
    parser.add_argument("--json", action="store_true", help="for programs")
    _add_jobs(parser)
    _add_task(parser)


def _check(options: jsonargparse.Namespace) -> int:
    from data_prep.check import check
    from data_prep.convert import convert

    config = _task(options).dataset
    if options.fix:
        written, checked, _ = convert(
            options.DATA, options.fix, config, progress=bar, **_jobs(options)
        )
    else:
        checked = check(options.DATA, config, bar, **_jobs(options))
    doubtful = any(finding.level != "note" for finding in checked.findings)
    if options.json:
        facts = {
            "layout": checked.layout.name,
            "cases": len(checked.layout.cases),
            "usable": len(checked.facts),
            "findings": [asdict(finding) for finding in checked.findings],
        }
        print(json.dumps(facts, indent=1))
        return int(doubtful)
    shown = Counter()
    for finding in checked.findings:
        shown[finding.code] += 1
        if shown[finding.code] <= _SHOWN or options.all:
            print(finding)
    print(*checked.table(), sep="\n")
    print(f"layout {checked.layout.name}: {len(checked.facts)} cases can be used")
    if options.fix:
        print(f"{len(written)} cases written to {options.fix}")
    return int(doubtful)


def _describe_convert(parser: Parser) -> None:
    """Write a raw dataset in another layout, in its exact values."""
    parser.add_argument("DATA", help="raw dataset: folder, zip or tar in a known layout")
    parser.add_argument("out", metavar="OUT", help="folder for the copy")
    parser.add_argument("--to", choices=["folders", "nnunet", "monai"], required=True)
    _add_task(parser)


def _convert(options: jsonargparse.Namespace) -> int:
    from data_prep.convert import convert

    written, _, problems = convert(
        options.DATA, options.out, _task(options).dataset, options.to, bar
    )
    print(f"{len(written)} cases written to {options.out}")
    return _report(problems)


def _describe_prepare(parser: Parser) -> None:
    """Read, check, plan and preprocess a raw dataset."""
    parser.add_argument("DATA", help="raw dataset: folder, zip or tar in a known layout")
    parser.add_argument("out", metavar="OUT", help="folder for the prepared dataset")
    _add_jobs(parser)
    _add_task(parser)


def _prepare(options: jsonargparse.Namespace) -> int:
    from data_prep.prepare import prepare
    from data_prep.report import REPORT

    dataset, problems = prepare(
        options.DATA,
        options.out,
        _task(options).dataset,
        bar,
        **_jobs(options),
    )
    plan = dataset.plan
    print(f"layout {dataset.layout}, {len(dataset.cases)} cases, {len(dataset.folds)} folds")
    print(f"classes {plan.labels}, channels {', '.join(plan.channels)}")
    for name in ("spacing", "patch_size"):
        reason = f"  ({plan.why[name]})" if name in plan.why else ""
        print(f"{name} {getattr(plan, name)}{reason}")
    print(f"prepared in {options.out}; look at {Path(options.out) / REPORT}")
    return _report(problems)


def _describe_train(parser: Parser) -> None:
    """Train a network on a prepared dataset."""
    parser.add_argument("--data", required=True, help="prepared dataset")
    parser.add_argument("--out", required=True, help="folder for the run")
    parser.add_argument("--fold", type=int, default=0, help="fold that validates")
    _add_task(parser)


def _train(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.train import train

    dice = train(_task(options), options.data, options.out, options.fold)
    print(f"best validation Dice {dice:.4f}, model in {options.out}")
    return 0


def _describe_predict(parser: Parser) -> None:
    """Predict labels for new images."""
    parser.add_argument("--model", required=True, help="folder of a run")
    parser.add_argument("-i", "--input", required=True, help="image, folder or raw dataset")
    parser.add_argument("-o", "--out", required=True, help="folder for the predictions")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")
    _add_cases(parser)


def _predict(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.predict import predict

    done, problems = predict(
        options.model, options.input, options.out, _cases(options), options.device, bar
    )
    print(f"{len(done)} predictions in {options.out}")
    return _report(problems)


def _describe_evaluate(parser: Parser) -> None:
    """Score predictions against references."""
    parser.add_argument("--pred", required=True, help="folder of predictions")
    parser.add_argument("--ref", required=True, help="raw dataset with the references")
    parser.add_argument("-o", "--out", required=True, help="folder for the scores")
    _add_cases(parser)
    _add_task(parser)


def _evaluate(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.evaluate import evaluate

    summary, problems = evaluate(
        options.pred, options.ref, options.out, _cases(options), options.dataset, bar
    )
    print(f"{'class':<20}{'Dice':>8}{'Jaccard':>9}{'n':>6}  left out or zero")
    for scores in summary["mean"].values():
        outcomes = ("true_negatives", "false_alarms", "missed", "missing")
        rest = ", ".join(f"{scores[o]} {o.replace('_', ' ')}" for o in outcomes if scores[o])
        dice, jaccard = (_number(scores[name]) for name in ("Dice", "IoU"))
        print(f"{scores['name']:<20}{dice:>8}{jaccard:>9}{scores['n']:>6}  {rest or 'none'}")
    print(f"scores in {options.out}")
    return _report(problems)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _describe_overlay(parser: Parser) -> None:
    """Draw correct, false positive and false negative on the images."""
    parser.add_argument("--images", required=True, help="raw dataset or folder of images")
    parser.add_argument("--ref", required=True, help="raw dataset with the references")
    parser.add_argument("--pred", required=True, help="folder of predictions")
    parser.add_argument("-o", "--out", required=True, help="folder for the pictures")
    _add_cases(parser)
    _add_task(parser)


def _overlay(options: jsonargparse.Namespace) -> int:
    from sdunet.segmentation.overlay import overlay

    sheet, problems = overlay(
        options.images,
        options.ref,
        options.pred,
        options.out,
        _cases(options),
        options.dataset,
        bar,
    )
    print(f"overlays in {options.out}, worst first in {sheet}")
    return _report(problems)


def _describe_demo(parser: Parser) -> None:
    """Train and review on a real image of 125 nuclei, in minutes."""
    parser.add_argument("--out", default="demo", help="folder for everything it makes")


def _demo(options: jsonargparse.Namespace) -> int:
    from sdunet.demo import demo

    return demo(Path(options.out), bar)


def _describe_bench(parser: Parser) -> None:
    """Measure speed and memory of the sweep or of whole networks, contenders side by side."""
    parser.add_argument("WHAT", choices=["sweep", "net"], help="what to measure")
    parser.add_argument("--out", default="bench", help="folder for JSON and picture")
    parser.add_argument("--quick", action="store_true", help="small maps, within 40 s")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")


def _bench(options: jsonargparse.Namespace) -> int:
    from sdunet.bench.run import Options, bench_net, bench_sweep
    from sdunet.runs.device import choose_device

    device = choose_device(options.device)
    run = {"sweep": bench_sweep, "net": bench_net}[options.WHAT]
    return run(Options(Path(options.out), device, options.quick), say)


def _describe_info(parser: Parser) -> None:
    """Show versions, hardware and which backends of the sweep run here."""
    parser.add_argument("--json", action="store_true", help="for programs")


def _info(options: jsonargparse.Namespace) -> int:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    facts = {
        "versions": versions(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "backends": list(backends(device)),
        "missing_backends": missing_backends(device),
    }
    if options.json:
        print(json.dumps(facts, indent=1))
        return 0
    for name, value in facts["versions"].items():
        print(f"{name:<18}{value}")
    print(f"{'device':<18}{facts['device']}, {facts['threads']} threads")
    print(f"{'sweep backends':<18}{', '.join(facts['backends'])} (fastest first)")
    for name, reason in facts["missing_backends"].items():
        print(f"{'not available':<18}{name}: {reason}")
    return 0


def _add_jobs(parser: Parser) -> None:
    parser.add_argument(
        "--workers", type=NonNegativeInt, default=0, help="local processes; 0: this one"
    )
    parser.add_argument("--scheduler", help="address of a Dask cluster, such as tcp://host:8786")
    parser.add_argument(
        "--max-ram",
        type=PositiveFloat,
        metavar="GB",
        help="memory of one case, above which it is refused unread; default: what this machine "
        "has for each worker, with a cluster no limit",
    )


def _jobs(options: jsonargparse.Namespace) -> dict:
    """Return how the work is spread, as `check` and `prepare` take it."""
    max_ram = options.max_ram
    if max_ram is None and options.scheduler is None:
        max_ram = memory_each(options.workers)
    return {"workers": options.workers, "scheduler": options.scheduler, "max_ram": max_ram}


def _add_task(parser: Parser) -> None:
    parser.add_argument("--config", action="config", help="YAML file of the task")
    parser.add_class_arguments(TaskConfig, None)


def _task(options: jsonargparse.Namespace) -> TaskConfig:
    return TaskConfig(options.dataset, options.network, options.training)


def _add_cases(parser: Parser) -> None:
    parser.add_argument("--cases", help="text file with the id of one case a line; default all")


def _cases(options: jsonargparse.Namespace) -> set[str] | None:
    if options.cases is None:
        return None
    try:
        lines = Path(options.cases).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeError as error:
        raise DataError("CASE_FILE", f"{options.cases} is not UTF-8", "save it as UTF-8") from error
    return {line.strip() for line in lines if line.strip()}


def _report(problems: Sequence[DataError]) -> int:
    """Print each problem; return the exit status they call for."""
    for problem in problems:
        say(f"error: {problem}")
    if problems:
        say(f"{len(problems)} problems; all other cases are done")
    return 1 if problems else 0


_COMMANDS: dict[str, tuple[Callable[[Parser], None], Callable[[jsonargparse.Namespace], int]]] = {
    "check": (_describe_check, _check),
    "convert": (_describe_convert, _convert),
    "prepare": (_describe_prepare, _prepare),
    "train": (_describe_train, _train),
    "predict": (_describe_predict, _predict),
    "evaluate": (_describe_evaluate, _evaluate),
    "overlay": (_describe_overlay, _overlay),
    "demo": (_describe_demo, _demo),
    "bench": (_describe_bench, _bench),
    "vae": (describe_vae, run_vae),
    "info": (_describe_info, _info),
}
