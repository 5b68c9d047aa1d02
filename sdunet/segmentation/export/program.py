"""A network as a program of `torch.export`, which takes images of any number and size."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from data_prep.core.errors import DataError
from sdunet.nets.registry import multiples_of

PROGRAM = "program.pt2"
ALIKE = 1e-4  # of logits, between processors; on one they are the same bits
_MORE = 3  # cells beyond the smallest image, of which no network has a multiple


def smallest_of(network: nn.Module) -> list[int]:
    """Return the fewest cells along each axis that the program of a network takes.

    Smaller images, whose coarsest map is a single cell along an axis, need the network itself.
    """
    return [multiple + 1 for multiple in multiples_of(network)]


def program_of(network: nn.Module, channels: int) -> ExportedProgram:
    """Return a network of `build_network`, in evaluation, as a program `(N, C, ...)` to logits.

    Args:
        network: of `build_network`.
        channels: C of its images.
    """
    sizes = [2 * multiple for multiple in multiples_of(network)]
    free = {0: Dim("batch", min=1)} | {
        axis: Dim(f"size_{axis}", min=least) for axis, least in enumerate(smallest_of(network), 2)
    }
    image = torch.zeros(2, channels, *sizes)  # of one image, 1 would be fixed
    with torch.no_grad():  # or the program would hold what only training needs
        program = torch.export.export(
            network,
            (image,),
            dynamic_shapes=(free,),
            # Questions that hold for all of these sizes are asked again when it runs.
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    _forget_sources(program)
    return program


def check_program(program: nn.Module, network: nn.Module, channels: int) -> None:
    """Compare a program with its network, on images of another number and size than any before.

    Raises:
        DataError: PACKAGE_CHECK if they differ.
    """
    sizes = [least + _MORE for least in smallest_of(network)]
    image = torch.randn([3, channels, *sizes], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        check_gap(f"program at {_times(sizes)}", program(image), network(image))


def check_gap(what: str, logits: torch.Tensor, wanted: torch.Tensor) -> None:
    """Refuse logits that are not those that are wanted.

    Raises:
        DataError: PACKAGE_CHECK.
    """
    gap = float((logits - wanted).abs().max())
    if not gap <= ALIKE:
        raise DataError("PACKAGE_CHECK", f"the {what} differs by {gap:.3g}", "export it again")


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def _forget_sources(program: ExportedProgram) -> None:
    """Remove what torch notes of where its code lies on this machine."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
