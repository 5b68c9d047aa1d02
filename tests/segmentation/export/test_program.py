"""Programs give what their networks give, for any number and size of images."""

import sys
from pathlib import Path

import pytest
import torch

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from sdunet.segmentation.config import NetworkConfig
from sdunet.segmentation.export.onnx_file import check_installed, check_onnx, onnx_of
from sdunet.segmentation.export.program import check_program, program_of, smallest_of
from sdunet.segmentation.models.trained_model import network_for

LABELS = {"background": 0, "b": 1}
NETWORKS = {
    "sweeps of images": NetworkConfig(features=(4, 6), num_features=3),
    "sweeps of volumes": NetworkConfig(features=(4, 6), num_features=3, deep_supervision=True),
    "published sweeps": NetworkConfig(
        features=(4, 6, 8), num_features=3, cell="gru", residual=False, encoder="residual"
    ),
    "nested": NetworkConfig(name="nested_sdunet", features=(4, 6, 8), num_features=3),
    "of MONAI": NetworkConfig(name="attention_unet", features=(4, 6, 8)),
    "dilated": NetworkConfig(name="dilated"),
}
QUICK = ("sweeps of images", "sweeps of volumes", "of MONAI")


def network_of(name, seed=0):
    torch.manual_seed(seed)
    dims = 3 if name == "sweeps of volumes" else 2
    plan = Plan(dims, ("a", "b"), LABELS, {}, "zscore", (1,) * dims, (8,) * dims)
    return network_for(NETWORKS[name], plan).eval()


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in NETWORKS],
)
def test_programs_take_images_of_any_number_and_size(name):
    network = network_of(name)
    program = program_of(network, 2).module()
    least = smallest_of(network)
    with torch.inference_mode():
        for more in (0, 1, 6, 13):
            sizes = [size + more * axis for axis, size in enumerate(least, 1)]
            image = torch.randn([1 + more % 3, 2, *sizes])
            torch.testing.assert_close(program(image), network(image), rtol=1e-5, atol=1e-6)
    check_program(program, network, 2)
    with pytest.raises(DataError, match=r"PACKAGE_CHECK: the program at \d+ x \d+.* differs by"):
        check_program(program, network_of(name, seed=1), 2)


def test_what_is_too_small_for_a_program_is_refused():
    network = network_of("sweeps of images")
    least = smallest_of(network)
    assert least == [3, 3]
    program = program_of(network, 2).module()
    with pytest.raises((RuntimeError, AssertionError)):
        program(torch.zeros(1, 2, least[0] - 1, 8))


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK[:2] else pytest.param(name, marks=pytest.mark.long)
        for name in NETWORKS
    ],
)
def test_onnx_files_give_what_the_network_gives(name):
    network = network_of(name)
    content = onnx_of(program_of(network, 2))
    sizes = [20] * (3 if name == "sweeps of volumes" else 2)
    check_onnx(content, network, sizes, 2)
    assert str(Path(__file__).parents[3]).encode() not in content
    with pytest.raises(DataError, match=r"PACKAGE_CHECK: the network.onnx at \d+ x \d+.* differs"):
        check_onnx(content, network_of(name, seed=1), sizes, 2)


def test_what_writes_onnx_is_looked_for_before_anything_is_written(monkeypatch):
    check_installed()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(DataError, match=r"PACKAGE_ONNX: onnxscript not installed"):
        check_installed()
