"""The kernels on a CUDA card, which the tests of their logic run in an interpreter.

TRITON_INTERPRET=0 pytest tests/ops/test_cuda.py
"""

import functools
import os

import pytest
import torch

from sdunet.cells import CarryCell
from sdunet.layers import Sweep
from sdunet.nets.unet import SDUNet
from sdunet.ops import backends, carry_sweep, carry_sweep_reference, gated_mix, triton_carry

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() or os.environ["TRITON_INTERPRET"] == "1",
    reason="needs a CUDA card, and TRITON_INTERPRET=0",
)

# One past a block of cells and of channels, more features than the registers hold, lines that
# several programs share, more images than a card has processors, one line, no image.
SHAPES = [
    (1, 1, 1, 1),
    (2, 5, 7, 4),
    (2, 33, 17, 24),
    (1, 64, 300, 16),
    (150, 9, 33, 16),
    (2, 9, 31, 70),
    (1, 7, 9, 360),
    (1, 3, 6000, 9),
    (1, 3, 1, 1, 2),
    (2, 9, 5, 17, 16),
    (1, 5, 60, 70, 8),
    (2, 5, 6, 7, 150),
    (0, 3, 4, 2),
]
TOLERANCE = 2e-6  # as on processors
every_backend = pytest.mark.parametrize("backend", ["triton", "torch"])


@pytest.fixture(autouse=True)
def all_digits():
    """Let products of PyTorch keep float32's digits, and fresh memory hold NaN."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        torch.utils.deterministic.fill_uninitialized_memory = True
        torch.use_deterministic_algorithms(True, warn_only=True)
        yield
        torch.use_deterministic_algorithms(False)


def value_and_grads(sweep, args):
    args = [a.detach().requires_grad_() for a in args]
    y = sweep(*args)
    torch.manual_seed(7)
    cotangent = torch.rand(y.shape, dtype=torch.float64).to(y)
    return y, *torch.autograd.grad(y, args, cotangent, materialize_grads=True, allow_unused=True)


def errors(got, want):
    return [
        ((g.double() - w).norm() / w.norm().clamp_min(1e-12)).item()
        for g, w in zip(got, want, strict=True)
    ]


@every_backend
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradients_match_the_float64_reference(shape, backend, operator):
    args = [a.float().cuda() for a in operator.args(*shape)]
    got = value_and_grads(functools.partial(operator.sweep, backend=backend), args)
    want = value_and_grads(operator.reference, [a.double() for a in args])
    assert max(errors(got, want)) < TOLERANCE, errors(got, want)


def test_triton_is_chosen_on_a_card():
    assert backends("cuda")[0] == "triton"


@pytest.mark.parametrize("groups", [1, 2, 16])
@pytest.mark.parametrize("most_steps", [0, 100], ids=["spread", "alone"])
@pytest.mark.parametrize("shape", [(3, 40, 700, 16), (2, 6, 20, 30, 16)], ids=str)
def test_lines_of_several_blocks_and_groups(shape, most_steps, groups, carry_args, monkeypatch):
    monkeypatch.setattr(triton_carry, "_MOST_STEPS", most_steps)
    args = [a.float().cuda() for a in carry_args(*shape, groups=groups)]
    got = value_and_grads(carry_sweep, args)
    want = value_and_grads(carry_sweep_reference, [a.double() for a in args])
    assert max(errors(got, want)) < TOLERANCE, errors(got, want)


@pytest.mark.parametrize("shape", [(4, 128, 257, 16), (1, 33, 5000, 16)], ids=str)
def test_the_same_map_gives_the_same_numbers(shape, operator):
    """A race between threads would show."""
    args = [a.float().cuda() for a in operator.args(*shape)]
    first = value_and_grads(operator.sweep, args)
    for _ in range(20):
        for one, other in zip(first, value_and_grads(operator.sweep, args), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("planes", [True, False])
@pytest.mark.parametrize("sizes", [(9, 11), (3, 4, 5)], ids=str)
def test_mix_on_a_card_is_as_on_the_processor(sizes, planes):
    torch.manual_seed(0)
    shapes = [(2, 6, *sizes), (8, 6), (8,), (2, 4, *sizes)]
    args = [torch.randn(shape) for shape in shapes]
    mix = functools.partial(gated_mix, channels_last=not planes)
    got = value_and_grads(mix, [a.cuda() for a in args])
    want = value_and_grads(mix, [a.double().cuda() for a in args])
    assert max(errors(got, want)) < TOLERANCE


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("cell", ["gru", "carry"])
def test_a_network_says_on_a_card_what_it_says_on_the_processor(cell, dims):
    torch.manual_seed(0)
    network = SDUNet(dims, 1, 3, (8, 12, 16), cell=cell, num_features=8)
    x = torch.randn(2, 1, *(32, 40, 16)[:dims])
    want = network(x)
    torch.testing.assert_close(network.cuda()(x.cuda()).cpu(), want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cell", ["gru", "carry"])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_outside_is_full_precision_inside(kind, cell):
    torch.manual_seed(0)
    sweep = Sweep(16, "down", 2, cell=cell).cuda()
    x = torch.randn(2, 16, 40, 30, device="cuda")
    with torch.autocast("cuda", kind):
        got = sweep(x.to(kind))
    assert got.dtype == kind
    torch.testing.assert_close(got, sweep(x.to(kind).float()).to(kind))


@pytest.mark.parametrize("cell", ["gru", "carry"])
def test_a_compiled_network_on_a_card_is_the_same(cell):
    torch.manual_seed(0)
    network = SDUNet(2, 1, 2, (8, 12), cell=cell, num_features=8).cuda().eval()
    x = torch.randn(1, 1, 32, 40, device="cuda")
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(network)(x), network(x), atol=1e-5, rtol=1e-4)


def test_a_graph_replays_the_sweep():
    """What CUDA graphs record must not depend on values read on the host."""
    cell = CarryCell(16, 3, "published", 4).cuda()
    args = [torch.randn(2, 64, 80, 16, device="cuda"), *(p.detach() for p in cell.parameters())]
    want = carry_sweep(*args)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = carry_sweep(*args)
    graph.replay()
    assert torch.equal(got, want)


def test_sweeps_use_the_current_stream(operator):
    args = [a.float().cuda() for a in operator.args(2, 64, 80, 16)]
    want = operator.sweep(*args)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(10_000_000)
        later = [a * 1 for a in args]
        got = operator.sweep(*later)
    torch.cuda.current_stream().wait_stream(stream)
    assert torch.equal(got, want)
