"""`info`."""

import json
from dataclasses import asdict

import jsonargparse
import torch

from data_prep.core.codes import explain
from sdunet.cli.options import Command
from sdunet.cli.parser import Parser
from sdunet.ops import backends, missing_backends
from sdunet.runtime.run_record import say, tell, versions


def _describe_info(parser: Parser) -> None:
    """Show versions, hardware and which backends of the sweep run here; or explain a code.

    Example: sdunet info LBL_UNKNOWN
    """
    parser.add_argument("CODE", nargs="?", help="code of an error or finding, such as LBL_UNKNOWN")
    parser.add_argument("--json", action="store_true", help="for programs")


def _info(options: jsonargparse.Namespace) -> int:
    if options.CODE is not None:
        return _explain(options.CODE, as_json=options.json)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found, missing = list(backends(device)), missing_backends(device)
    facts = {
        "versions": versions(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "backends": found,
        "missing_backends": missing,
    }
    if options.json:
        tell(*json.dumps(facts, indent=1).splitlines())
        return 0
    for name, value in versions().items():
        tell(f"{name:<18}{value}")
    tell(f"{'device':<18}{facts['device']}, {facts['threads']} threads")
    tell(f"{'sweep backends':<18}{', '.join(found)} (fastest first)")
    for name, reason in missing.items():
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


COMMANDS: dict[str, Command] = {"info": (_describe_info, _info)}
