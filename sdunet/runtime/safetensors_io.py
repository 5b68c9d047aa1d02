"""Tensors on disk as safetensors, with the hash of their content. Nothing in them can run."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from data_prep.core.errors import DataError, words_of
from data_prep.files.atomic import write_bytes
from sdunet.runtime.run_record import flat

_SHOWN = 4  # settings of two runs that differ


def write_weights(
    path: str | Path,
    weights: Mapping[str, Tensor],
    previous: str | Path | None = None,
    **texts: str,
) -> None:
    """Write tensors atomically, with the hash of their content, which safetensors lacks.

    `texts` are kept beside them; `read_tensors` gives them back. `previous` as in `write_bytes`.
    """
    tensors: dict[str, Tensor] = {}
    held: set[int] = set()
    for name, tensor in weights.items():
        tensor = tensor.detach().cpu().contiguous()
        # A module registered under two names: safetensors refuses memory held twice.
        tensors[name] = tensor.clone() if tensor.data_ptr() in held else tensor
        held.add(tensor.data_ptr())
    packed = save(tensors, metadata=texts | {"sha256": _hash(tensors, texts)})
    write_bytes(path, _with_sorted_texts(packed), previous)


def read_weights(path: str | Path, data: bytes | None = None) -> dict[str, Tensor]:
    """Read the tensors that `write_weights` wrote.

    Args:
        path: of the file.
        data: its content, where it has been read already. Default: it is read.

    Raises:
        DataError: MODEL_WEIGHTS if damaged, MODEL_NONFINITE for NaN or infinity.
    """
    tensors, _ = read_tensors(path, data)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError(
                "MODEL_NONFINITE", f"{name} holds NaN or infinity", "train again", file=str(path)
            )
    return tensors


def read_tensors(
    path: str | Path, data: bytes | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and texts that `write_weights` wrote; arguments as `read_weights`.

    Raises:
        DataError: MODEL_WEIGHTS if damaged.
    """
    data = Path(path).read_bytes() if data is None else data
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        texts = header["__metadata__"]
        recorded = texts.pop("sha256")
        digest = _hash(tensors, texts)
    except (
        SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise DataError(
            "MODEL_WEIGHTS",
            f"not weights of sdunet: {words_of(error)}",
            "copy the run folder again",
            file=str(path),
        ) from error
    if recorded != digest:
        raise DataError(
            "MODEL_WEIGHTS",
            "damaged: the hash differs",
            "copy the run folder again",
            file=str(path),
        )
    return tensors, texts


def run_text(run: Mapping[str, Any] | None) -> str:
    """Return what tells a run from every other, as states and weights hold it."""
    return json.dumps(run or {}, sort_keys=True)


def check_run(path: Path, run: Mapping[str, Any]) -> None:
    """Refuse a state, or weights, that another run wrote, wherever they were copied from.

    Those of earlier versions do not tell.

    Args:
        path: of a file of tensors that is whole.
        run: settings that tell the run from every other, nested, as JSON has them.

    Raises:
        DataError: RUN_OTHER, with what differs.
    """
    with safe_open(path, "pt") as file:
        there = flat(json.loads((file.metadata() or {}).get("run", "{}")))
    here = flat(run)
    # What only one of them tells, other versions have added.
    differing = [name for name in here if name in there and there[name] != here[name]]
    if differing:
        told = [f"{n} {there[n]!r} there, {here[n]!r} here" for n in differing[:_SHOWN]]
        more = f" and {len(differing) - _SHOWN} more" * (len(differing) > _SHOWN)
        found = f"it is of another run: {'; '.join(told)}{more}"
        raise DataError("RUN_OTHER", found, "copy the run again, or train anew", file=str(path))


def _with_sorted_texts(packed: bytes) -> bytes:
    """Return a safetensors file with its texts in order: safetensors writes them in any."""
    start = 8 + int.from_bytes(packed[:8], "little")
    header = json.loads(packed[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + packed[start:]


def _hash(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(texts):
        digest.update(f"{name} {texts[name]}".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
