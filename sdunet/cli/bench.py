"""`demo` and `bench`."""

from pathlib import Path

import jsonargparse

from sdunet.cli.options import DEVICE, Command
from sdunet.cli.parser import Parser
from sdunet.runtime.device import check_environment, choose_device
from sdunet.runtime.run_record import bar, say


def _describe_demo(parser: Parser) -> None:
    """Train and review on a real image of 125 nuclei, in minutes.

    Example: sdunet demo -o demo
    """
    parser.add_argument("-o", "--out", default="demo", help="folder for everything it makes")


def _demo(options: jsonargparse.Namespace) -> int:
    check_environment()
    from sdunet.demo import demo

    return demo(Path(options.out), bar)


def _describe_bench(parser: Parser) -> None:
    """Measure speed and memory of sweeps or of whole networks, contenders side by side.

    Example: sdunet bench sweep --quick
    """
    parser.add_argument(
        "WHAT",
        choices=["sweep", "cells", "net"],
        help="backends of the sweep; its two cells; networks",
    )
    parser.add_argument("-o", "--out", default="bench", help="folder for JSON and picture")
    parser.add_argument("--quick", action="store_true", help="small maps, within 40 s")
    parser.add_argument("--ours", action="store_true", help="no networks but ours")
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto", help=DEVICE)


def _bench(options: jsonargparse.Namespace) -> int:
    from sdunet.bench.run import Options, bench_cells, bench_net, bench_sweep

    device = choose_device(options.device)
    run = {"sweep": bench_sweep, "cells": bench_cells, "net": bench_net}[options.WHAT]
    return run(Options(Path(options.out), device, options.quick, options.ours), say)


COMMANDS: dict[str, Command] = {
    "demo": (_describe_demo, _demo),
    "bench": (_describe_bench, _bench),
}
