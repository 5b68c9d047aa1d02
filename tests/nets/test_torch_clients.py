"""What others of PyTorch do with a network: TorchScript by tracing, and functions of functions."""

import io

import pytest
import torch
from torch.func import functional_call, grad, vmap

from sdunet.nets.unet import SDUNet

CELLS = pytest.mark.parametrize(("cell", "init"), [("carry", "reach"), ("gru", "published")])


def network_of(dims, **settings):
    torch.manual_seed(0)
    return SDUNet(dims, 1, 2, (4, 6), num_features=3, **settings).eval()


@pytest.mark.long
# PyTorch tells of tracing that it is no longer worked on, and of sizes that are compared.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@CELLS
@pytest.mark.parametrize("sizes", [(12, 14), (6, 8, 10)])
def test_a_traced_network_is_saved_and_takes_other_sizes(cell, init, sizes):
    network = network_of(len(sizes), cell=cell, init=init)
    with torch.no_grad():
        traced = torch.jit.trace(network, torch.randn(1, 1, *sizes))
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    loaded = torch.jit.load(file)
    for number, more in ((1, 0), (2, 5)):
        image = torch.randn(number, 1, *(size + more for size in sizes))
        with torch.no_grad():
            torch.testing.assert_close(loaded(image), network(image))


@CELLS
def test_gradients_of_each_sample_are_those_of_it_alone(cell, init):
    network = network_of(2, cell=cell, init=init)
    weights = dict(network.named_parameters())
    images, wanted = torch.randn(3, 1, 10, 12), torch.randn(3, 2, 10, 12)

    def loss(weights, image, target):
        return (functional_call(network, weights, (image[None],)) - target[None]).square().mean()

    each = vmap(grad(loss), in_dims=(None, 0, 0))(weights, images, wanted)
    for place in range(3):
        network.zero_grad()
        (network(images[place : place + 1]) - wanted[place : place + 1]).square().mean().backward()
        for name, weight in weights.items():
            torch.testing.assert_close(each[name][place], weight.grad, rtol=1e-4, atol=1e-6)
