"""What several test files share."""

import importlib
import itertools
import json
import math
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Before anything imports Triton: its interpreter runs the CUDA kernels, unless a GPU shall (0).
os.environ.setdefault("TRITON_INTERPRET", "1")

from sdunet.runtime.threads import waiting_policy

os.environ.update(waiting_policy())  # before torch is imported

import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch
from dicom_files import encode
from PIL import Image

from data_prep.files.file_tree import open_tree
from sdunet.cells import CarryCell
from sdunet.cli.main import main
from sdunet.ops import carry_sweep, carry_sweep_reference, sdn_sweep, sdn_sweep_reference

# Small tensors: a second thread costs more than it brings.
torch.set_num_threads(1)


def pytest_make_parametrize_id(val, argname):
    """Name bytes by what they are for: compressed ones differ between workers, by their time."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items):
    """Mark what runs in Triton's interpreter, a hundred times slower than the other backends."""
    for item in items:
        if "triton" in item.name.lower():
            item.add_marker("long")


@pytest.fixture
def sweep_args():
    """Maker of `(x, w_ih, w_hh, b_ih, b_hh)` in float64, weights at GRU initial scale."""

    def make(*shape, seed=0):
        torch.manual_seed(seed)
        channels, taps = shape[-1], 3 ** (len(shape) - 3)
        cell = torch.nn.GRUCell(taps * channels, channels).double()
        return [torch.randn(shape).double(), *(p.detach() for p in cell.parameters())]

    return make


@dataclass(frozen=True)
class Operator:
    """A sweep, its definition, names of its value and gradients, and a maker of arguments."""

    sweep: Callable
    reference: Callable
    names: tuple[str, ...]
    args: Callable


@pytest.fixture
def carry_args():
    """Maker of `(x, w, b)` in float64, weights at initial scale."""

    def make(*shape, seed=0, groups=None):
        torch.manual_seed(seed)
        cell = CarryCell(shape[-1], 3 ** (len(shape) - 3), "published", groups).double()
        return [torch.randn(shape).double(), *(p.detach() for p in cell.parameters())]

    return make


@pytest.fixture(params=["gru", "carry"])
def operator(request, sweep_args, carry_args):
    """Each of the two sweeps."""
    if request.param == "gru":
        names = ("y", "dx", "dw_ih", "dw_hh", "db_ih", "db_hh")
        return Operator(sdn_sweep, sdn_sweep_reference, names, sweep_args)
    return Operator(carry_sweep, carry_sweep_reference, ("y", "dx", "dw", "db"), carry_args)


@pytest.fixture
def gru_cell_by_cell():
    """The sweep spelt out with `torch.nn.GRUCell`, one cell at a time."""

    def sweep(x, w_ih, w_hh, b_ih, b_hh):
        channels = x.shape[-1]
        cell = torch.nn.GRUCell(w_ih.shape[1], channels, dtype=x.dtype)
        cell.load_state_dict(
            {"weight_ih": w_ih, "weight_hh": w_hh, "bias_ih": b_ih, "bias_hh": b_hh}
        )
        sizes = x.shape[2:-1]
        y = x.clone()
        for t in range(1, x.shape[1]):
            for at in itertools.product(*map(range, sizes)):
                around = itertools.product(*((i - 1, i, i + 1) for i in at))
                seen = [
                    y[:, t - 1, *place]
                    if all(0 <= i < size for i, size in zip(place, sizes, strict=True))
                    else torch.zeros_like(y[:, 0, *at])
                    for place in around
                ]
                y[:, t, *at] = cell(torch.cat(seen, -1), x[:, t, *at])
        return y.detach()

    return sweep


@pytest.fixture
def carry_cell_by_cell():
    """The carrying sweep spelt out, one feature of one cell at a time, in one group or several."""

    def sweep(x, w, b):
        channels, sizes = x.shape[-1], x.shape[2:-1]
        taps = list(itertools.product((-1, 0, 1), repeat=len(sizes)))
        groups = (len(w) - 2 * channels) // (len(taps) - 1)
        y = torch.empty_like(x)
        y[:, 0] = x[:, 0] @ w[-channels:].T + b[-channels:]
        places = itertools.product(range(len(x)), range(1, x.shape[1]), *map(range, sizes))
        for image, t, *at in places:
            made = (w @ x[image, t, *at] + b).tolist()
            for channel in range(channels):
                sides = made[channels + channel // (channels // groups) : -channels : groups]
                sides.insert(len(taps) // 2, 0.0)
                weights = [math.exp(side) for side in sides]
                mixed = 0.0
                for weight, tap in zip(weights, taps, strict=True):
                    seen = [
                        min(max(i + d, 0), n - 1) for i, d, n in zip(at, tap, sizes, strict=True)
                    ]
                    mixed += weight / sum(weights) * y[image, t - 1, *seen, channel].item()
                carry = 1 / (1 + math.exp(-made[channel]))
                own = made[channel - channels]
                y[image, t, *at, channel] = carry * mixed + (1 - carry) * own
        return y

    return sweep


@pytest.fixture
def nan_in_fresh_memory():
    """Make torch fill uninitialised tensors with NaN, so that a cell never written shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def script():
    """Loader of a file in `scripts/` as a module, which processes it starts can import, too."""
    sys.path.append(str(Path(__file__).parent.parent / "scripts"))
    return importlib.import_module


@pytest.fixture
def written(tmp_path):
    """Writer of files by name, JSON where the content is no bytes."""

    def write(files, folder="raw"):
        for name, data in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        return tmp_path / folder

    return write


@pytest.fixture
def write_tree(tmp_path):
    """Writer of datasets as the files of a tree."""

    def write(**folders):
        for folder, slices in folders.items():
            for i, one in enumerate(slices):
                path = tmp_path / folder / f"{i:02}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(one if isinstance(one, bytes) else encode(one))
        return open_tree(tmp_path)

    return write


@pytest.fixture(scope="session")
def write_nifti():
    """Writer of an array as NIfTI with a given affine, as `name` asks, gzipped or not."""

    def write(path, array, affine=None, codes=(1, 1)):
        path.parent.mkdir(parents=True, exist_ok=True)
        affine = np.eye(4) if affine is None else affine
        image = nib.Nifti1Image(array, affine)
        image.set_qform(affine, codes[0])
        image.set_sform(affine, codes[1])
        nib.save(image, path)
        return path

    return write


@pytest.fixture(scope="session")
def write_picture():
    """Writer of an array as PNG or TIFF, by the suffix of `path`."""

    def write(path, array):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tif":
            tifffile.imwrite(path, array)
        else:
            Image.fromarray(array).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def make_discs(write_picture):
    """Maker of a raw folder-pair dataset: bright discs on noise, masks 0 and `foreground`."""

    def make(root, count=5, foreground=1, size=48):
        random = np.random.default_rng(0)
        rows, columns = np.indices((size, size))
        for i in range(count):
            centre = random.integers(size // 4, 3 * size // 4, 2)
            disc = np.hypot(rows - centre[0], columns - centre[1]) < size / 5
            image = (random.normal(60, 12, (size, size)) + 90 * disc).clip(0, 255)
            write_picture(root / "images" / f"disc_{i}.png", image.astype(np.uint8))
            write_picture(root / "masks" / f"disc_{i}.png", disc.astype(np.uint8) * foreground)
        return root

    return make


@pytest.fixture
def discs(tmp_path, make_discs):
    """Maker of such a dataset in a folder of the test's own."""
    return lambda **options: make_discs(tmp_path / "raw", **options)


@pytest.fixture
def balls(tmp_path, write_nifti):
    """Maker of a raw Decathlon dataset: balls of two classes in volumes of odd sizes."""

    def make(folder="decathlon", count=4, affine=None):
        root, random = tmp_path / folder, np.random.default_rng(1)
        names = [f"ball_{i}.nii.gz" for i in range(count)]
        for i, name in enumerate(names):
            size = (20, 19 + i, 17)
            at = np.indices(size) - np.array([10, 10, 8]).reshape(3, 1, 1, 1)
            label = (np.linalg.norm(at, axis=0) < 6).astype(np.uint8)
            label[10:] *= 2
            image = (random.normal(100, 10, size) + 60 * label).astype(np.float32)
            write_nifti(root / "imagesTr" / name, image, affine)
            write_nifti(root / "labelsTr" / name, label, affine)
        training = [{"image": f"./imagesTr/{n}", "label": f"./labelsTr/{n}"} for n in names]
        described = {
            "labels": {"0": "background", "1": "front", "2": "back"},
            "modality": {"0": "MRI"},
            "training": training,
        }
        (root / "dataset.json").write_text(json.dumps(described))
        return root

    return make


@pytest.fixture(scope="session")
def trained_discs(make_discs, tmp_path_factory):
    """A folder with raw discs whose masks are 255, the prepared set, and a trained network."""
    root = tmp_path_factory.mktemp("discs")
    make_discs(root / "raw", count=6, foreground=255)
    (root / "task.yaml").write_text(
        "dataset:\n"
        "  labels: {background: 0, disc: 1}\n"
        "  label_map: {255: 1}\n"
        "  patch_size: [32, 32]\n"
        "  folds: 3\n"
        "network: {features: [4, 6, 8], num_features: 3}\n"
        "training: {epochs: 6, batch_size: 2, patches_per_case: 4, learning_rate: 0.02,\n"
        "           device: cpu}\n"
    )
    raw, prepared, out, config = (str(root / n) for n in ("raw", "set", "run", "task.yaml"))
    assert main(["prepare", raw, prepared, "--config", config]) == 0
    assert main(["train", "--config", config, "--data", prepared, "--out", out]) == 0
    return root


@pytest.fixture
def disc_run(trained_discs, tmp_path, capsys):
    """A copy of it to spoil: the raw set, the folder of all, the config file."""
    root = tmp_path / "discs"
    shutil.copytree(trained_discs, root)
    capsys.readouterr()
    return root / "raw", root, root / "task.yaml"
