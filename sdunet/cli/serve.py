"""`serve`."""

import sys

import jsonargparse

from data_prep.core.values.numbers import CountFrom0, PositiveNumber
from sdunet.cli.options import DEVICE, Command, accepted, add_accept
from sdunet.cli.parser import Parser
from sdunet.runtime.run_record import tell


def _describe_serve(parser: Parser) -> None:
    """Predict scans that are sent over HTTP, one at a time, for research.

    Example: sdunet serve package --port 8000
    """
    parser.add_argument("PACKAGE", help="package (folder or zip) or run, which is kept loaded")
    parser.add_argument("--host", default="127.0.0.1", help="name or address to listen at")
    parser.add_argument(
        "--port", type=CountFrom0, default=8000, help="to listen at; 0: any that is free"
    )
    parser.add_argument(
        "--token",
        help="that requests must show; other users of this machine can see options, so the "
        "variable SDUNET_TOKEN is the better place for it",
    )
    parser.add_argument(
        "--no-token",
        action="store_true",
        help="let anybody ask who can reach the server, also from other machines",
    )
    parser.add_argument(
        "--queue", type=CountFrom0, default=8, help="requests that may wait for their turn"
    )
    parser.add_argument(
        "--max-upload-mb",
        type=PositiveNumber,
        default=2000,
        metavar="MB",
        help="that one request may have; the temporary folder takes twice that of each",
    )
    parser.add_argument(
        "--keep-scans",
        type=CountFrom0,
        default=8,
        metavar="N",
        help="that MONAI Label's clients (3D Slicer) sent for later requests, each of up to "
        "--max-upload-mb; the one unused for longest makes room; 0: keep none",
    )
    parser.add_argument(
        "--keep-minutes",
        type=PositiveNumber,
        default=60,
        metavar="MINUTES",
        help="without a request for it after which such a scan is removed",
    )
    parser.add_argument(
        "--max-ram",
        type=PositiveNumber,
        metavar="GB",
        help="memory of one scan, beside the network; default: what this job has",
    )
    parser.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto", help=DEVICE)
    add_accept(parser)


def _serve(options: jsonargparse.Namespace) -> int:
    from sdunet.serve.server import ServeOptions, serve

    chosen = ServeOptions(
        host=options.host,
        port=options.port,
        queue=options.queue,
        max_upload_mb=options.max_upload_mb,
        token=options.token,
        no_token=options.no_token,
        device=options.device,
        keep_scans=options.keep_scans,
        keep_minutes=options.keep_minutes,
        max_ram=options.max_ram,
        accept=accepted(options),
    )
    serve(options.PACKAGE, chosen, _tell_address)
    return 0


def _tell_address(address: str) -> None:
    tell(f"listening at {address}")
    sys.stdout.flush()  # or a program that waits for this line would not see it


COMMANDS: dict[str, Command] = {"serve": (_describe_serve, _serve)}
