"""The `sdunet` command: parses, calls, prints. Results go to stdout, all else to stderr.

Exit status: 0 done, 1 something was left out or failed, 2 the command itself is wrong.
Commands import what they run, so that only training waits for Lightning.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import jsonargparse
import torch

from data_prep.core.codes import explain
from data_prep.core.errors import DataError
from sdunet.cli import data, review, train
from sdunet.cli.options import Command
from sdunet.cli.parser import Parser, files_first
from sdunet.cli.vae import describe_vae, run_vae
from sdunet.ops import backends, keep_freed_memory, missing_backends
from sdunet.runtime.interruption import Stopped
from sdunet.runtime.run_record import RunRecord, bar, say, tell, versions

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
    argv = sys.argv[1:] if argv is None else list(argv)
    chosen = parser.instantiate(parser.parse_args(files_first(argv)))
    options = getattr(chosen, chosen.command)
    record = RunRecord(chosen.command, arguments=argv)
    keep_freed_memory()
    try:
        status = _COMMANDS[chosen.command][1](options)
        if chosen.command in ("prepare", "predict", "evaluate", "overlay", "compare"):
            record.write(Path(options.out), status=status)
        return status
    except (DataError, FloatingPointError) as error:
        say(f"error: {error}")
    except MemoryError as error:
        say(f"error: out of memory: {error}; close other programs, or give smaller scans")
    except OSError as error:
        say(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
    except Stopped as stopped:
        say(f"stopped: {stopped}; go on with --resume")
        return stopped.status
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 1


def _describe_demo(parser: Parser) -> None:
    """Train and review on a real image of 125 nuclei, in minutes."""
    parser.add_argument("--out", default="demo", help="folder for everything it makes")


def _demo(options: jsonargparse.Namespace) -> int:
    from sdunet.demo import demo

    return demo(Path(options.out), bar)


def _describe_bench(parser: Parser) -> None:
    """Measure speed and memory of sweeps or of whole networks, contenders side by side."""
    parser.add_argument(
        "WHAT",
        choices=["sweep", "cells", "net"],
        help="backends of the sweep; its two cells; networks",
    )
    parser.add_argument("--out", default="bench", help="folder for JSON and picture")
    parser.add_argument("--quick", action="store_true", help="small maps, within 40 s")
    parser.add_argument("--ours", action="store_true", help="no networks but ours")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto")


def _bench(options: jsonargparse.Namespace) -> int:
    from sdunet.bench.run import Options, bench_cells, bench_net, bench_sweep
    from sdunet.runtime.device import choose_device

    device = choose_device(options.device)
    run = {"sweep": bench_sweep, "cells": bench_cells, "net": bench_net}[options.WHAT]
    return run(Options(Path(options.out), device, options.quick, options.ours), say)


def _describe_info(parser: Parser) -> None:
    """Show versions, hardware and which backends of the sweep run here; or explain a code."""
    parser.add_argument("CODE", nargs="?", help="code of an error or finding, such as LBL_UNKNOWN")
    parser.add_argument("--json", action="store_true", help="for programs")


def _info(options: jsonargparse.Namespace) -> int:
    if options.CODE is not None:
        return _explain(options.CODE, as_json=options.json)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    facts = {
        "versions": versions(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "backends": list(backends(device)),
        "missing_backends": missing_backends(device),
    }
    if options.json:
        tell(*json.dumps(facts, indent=1).splitlines())
        return 0
    for name, value in facts["versions"].items():
        tell(f"{name:<18}{value}")
    tell(f"{'device':<18}{facts['device']}, {facts['threads']} threads")
    tell(f"{'sweep backends':<18}{', '.join(facts['backends'])} (fastest first)")
    for name, reason in facts["missing_backends"].items():
        tell(f"{'not available':<18}{name}: {reason}")
    return 0


def _explain(name: str, *, as_json: bool) -> int:
    try:
        code = explain(name)
    except ValueError as error:
        say(f"sdunet: {error}")
        return 2
    if as_json:
        tell(*json.dumps(asdict(code), indent=1).splitlines())
        return 0
    tell(f"{code.name}: {code.meaning}", f"what to do: {code.fix}")
    if code.accepted:
        tell(f"when accepted: {code.accepted}")
    return 0


_COMMANDS: dict[str, Command] = {
    **data.COMMANDS,
    **train.COMMANDS,
    **review.COMMANDS,
    "demo": (_describe_demo, _demo),
    "bench": (_describe_bench, _bench),
    "vae": (describe_vae, run_vae),
    "info": (_describe_info, _info),
}
