"""Predict an array with the network of this folder: python predict_onnx.py image.npy label.npy.

The image is (channels, rows, columns), or of volumes (channels, X, Y, Z) with axes that lead right,
forwards and up, on the spacing in model.json; values are as the camera or scanner gave them. Needs
NumPy and onnxruntime alone. `sdunet predict` also reads scans, checks, turns and resamples them,
clips single values far beyond the others and removes small pieces, which this does not.
"""

import hashlib
import itertools
import json
import os
import sys
from functools import reduce
from pathlib import Path

import numpy as np
import onnxruntime

FOLDER = Path(__file__).parent


def normalised(image: np.ndarray, plan: dict) -> np.ndarray:
    """Return intensities as the network learnt them, float32."""
    shape = (-1,) + (1,) * (image.ndim - 1)
    low, high, shift, scale = -np.inf, np.inf, 0.0, 1.0
    if plan["intensity"] == "unit":
        scale = float(np.iinfo(image.dtype).max)
    elif plan.get("window"):
        low, high = plan["window"]
        shift, scale = low, high - low
    elif plan["intensity"] == "ct":
        names = ("low", "high", "mean", "deviation")
        low, high, shift, scale = (
            np.reshape([level[name] for level in plan["levels"]], shape) for name in names
        )
    else:
        shift = image.reshape(len(image), -1).mean(1, dtype=float).reshape(shape)
        scale = image.reshape(len(image), -1).std(1, dtype=float).reshape(shape)
        scale[scale == 0] = 1.0
    return ((np.clip(image.astype(float), low, high) - shift) / scale).astype(np.float32)


def read(name: str) -> bytes:
    """Return a file of this folder, if it is as it was exported."""
    listed = json.loads((FOLDER / "MANIFEST.json").read_text(encoding="utf-8"))["files"]
    if name not in listed or not (FOLDER / name).is_file():
        raise SystemExit(f"{name} is not in this package: export it with the network as ONNX")
    data = (FOLDER / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != listed[name]:
        raise SystemExit(f"{name} is not as it was exported: fetch the package again")
    return data


def predict(image: np.ndarray) -> np.ndarray:
    """Return class numbers of an image (channels, ...), window by window."""
    model = json.loads(read("model.json"))
    plan, overlap = model["plan"], model["overlap"]
    for name in ("resize", "regions", "instances"):
        if plan.get(name):
            raise SystemExit(f"of a network with dataset.{name}: use sdunet predict")
    patch, sizes = plan["patch_size"], image.shape[1:]
    channels, axes = len(plan["channels"]), 1 + len(patch)
    if image.ndim != axes or len(image) != channels or not image.size:
        raise SystemExit(f"the image must have {channels} channels, {axes} axes: {image.shape}")
    kinds = "ui" if plan["intensity"] == "unit" else "uif"
    if image.dtype.kind not in kinds or not np.isfinite(image).all():
        raise SystemExit(f"the image must hold numbers as those of training: {image.dtype}")
    network = onnxruntime.InferenceSession(read("network.onnx"))
    pads = [
        (max(p - n, 0) // 2, (max(p - n, 0) + 1) // 2) for p, n in zip(patch, sizes, strict=True)
    ]
    padded = np.pad(normalised(image, plan), [(0, 0), *pads])
    ends = [n - p for n, p in zip(padded.shape[1:], patch, strict=True)]
    steps = [max(1, int(p * (1 - overlap))) for p in patch]
    starts = [sorted({*range(0, end, by), end}) for end, by in zip(ends, steps, strict=True)]
    bells = [np.exp(-0.5 * ((np.arange(p) - (p - 1) / 2) / (p / 8)) ** 2) for p in patch]
    weight = np.maximum(reduce(np.multiply, np.ix_(*bells)), 1e-3).astype(np.float32)
    classes = network.get_outputs()[0].shape[1]
    total = np.zeros((classes, *padded.shape[1:]), np.float32)
    for start in itertools.product(*starts):
        window = (slice(None), *(slice(s, s + p) for s, p in zip(start, patch, strict=True)))
        (logits,) = network.run(["logits"], {"image": padded[window][None]})
        odds = np.exp(logits[0] - logits[0].max(0))
        total[window] += weight * odds / odds.sum(0)
    inside = (slice(None), *(slice(low, low + n) for (low, _), n in zip(pads, sizes, strict=True)))
    return total[inside].argmax(0).astype(np.uint16)


def main(arguments: list[str]) -> None:
    """Read an image, and write its label under a new name."""
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    image, label = map(Path, arguments)
    if label.suffix != ".npy" or os.path.lexists(label):
        raise SystemExit(f"{label} must be a new name that ends in .npy")
    if not label.parent.is_dir():
        raise SystemExit(f"{label.parent} is no folder: make it first")
    try:
        values = np.load(image)
    except (OSError, ValueError, EOFError) as error:
        raise SystemExit(f"{image} cannot be read as an array: {error}") from error
    if not isinstance(values, np.ndarray):
        raise SystemExit(f"{image} holds several arrays: give one, as .npy")
    np.save(label, predict(values))


if __name__ == "__main__":
    main(sys.argv[1:])
