"""`info`."""

import json

import jsonargparse
import torch

from sdunet.cli.options import Command
from sdunet.cli.parser import Parser
from sdunet.ops import backends, missing_backends
from sdunet.runtime.run_record import tell, versions


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
        tell(*json.dumps(facts, indent=1).splitlines())
        return 0
    for name, value in facts["versions"].items():
        tell(f"{name:<18}{value}")
    tell(f"{'device':<18}{facts['device']}, {facts['threads']} threads")
    tell(f"{'sweep backends':<18}{', '.join(facts['backends'])} (fastest first)")
    for name, reason in facts["missing_backends"].items():
        tell(f"{'not available':<18}{name}: {reason}")
    return 0


COMMANDS: dict[str, Command] = {"info": (_describe_info, _info)}
