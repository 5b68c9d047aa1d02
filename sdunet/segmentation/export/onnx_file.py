"""A network as a file of ONNX, which runs without PyTorch and without this package."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from data_prep.core.errors import DataError
from sdunet.segmentation.export.program import check_gap, smallest_of

ONNX = "network.onnx"
SCRIPT = "predict_onnx.py"  # beside it: predicts with NumPy and onnxruntime alone
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def check_installed() -> None:
    """Refuse to begin where what writes the file is not there.

    Raises:
        DataError: PACKAGE_ONNX, naming it.
    """
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        found = f"{', '.join(missing)} not installed"
        raise DataError("PACKAGE_ONNX", found, "pip install sdunet[onnx]")


def onnx_of(program: ExportedProgram) -> bytes:
    """Return a program of `program_of` as an ONNX model, for images of any number and size.

    Its input `image` is `(N, C, ...)` float32, its output `logits` `(N, classes, ...)`.
    """
    import onnx_ir

    from sdunet.segmentation.export.onnx_sweeps import INNER, OPSET, TRANSLATIONS

    with _quiet():
        made: Any = torch.onnx.export(
            program,
            input_names=["image"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamo=True,
            optimize=False,  # not before all functions are there
            verbose=False,
            custom_translation_table=TRANSLATIONS,
        )
        for one in INNER:
            function: Any = onnx_ir.from_proto(one.to_function_proto())
            made.model.functions[function.identifier()] = function
        made.optimize()
    for node in made.model.graph:  # which would tell where code lies on this machine
        node.metadata_props.clear()
        node.doc_string = None
    return made.model_proto.SerializeToString()


def check_onnx(content: bytes, network: nn.Module, sizes: Sequence[int], channels: int) -> None:
    """Compare an ONNX model with its network, on images of three sizes.

    Args:
        content: of the file.
        network: in evaluation, on the processor.
        sizes: of a patch.
        channels: of images.

    Raises:
        DataError: PACKAGE_CHECK if they differ.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    random = torch.Generator().manual_seed(0)
    least = smallest_of(network)
    uneven = [max(least[axis], n) + axis + 1 for axis, n in enumerate(sizes)]
    for number, shape in enumerate((least, [*map(max, least, sizes)], uneven), start=1):
        image = torch.randn([number, channels, *shape], generator=random)
        (logits,) = session.run(["logits"], {"image": image.numpy()})
        with torch.no_grad():
            check_gap(
                f"{ONNX} at {' x '.join(map(str, shape))}",
                torch.from_numpy(logits),
                network(image),
            )


def script() -> bytes:
    """Return the program that predicts by the file alone."""
    return (files(__package__) / SCRIPT).read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what PyTorch's exporter tells its developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
