"""The sweeps as operators of PyTorch: compiled, exported, copied, parallel, checkpointed."""

import copy

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from grids import crossed
from monai.data import MetaTensor
from torch._dynamo.testing import CompileCounter
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from sdunet import SDUNet
from sdunet.layers import ResSDNLayer
from sdunet.ops import backends, sdn_sweep
from sdunet.ops.carry import _carry
from sdunet.ops.mix import _mix
from sdunet.ops.sweep import _sweep

SMALL = {"features": (4, 6), "num_features": 3, "sdn_decoder": (0,), "directions": ("left", "down")}


@pytest.fixture(params=["gru", "carry"])
def cell(request):
    return request.param


@pytest.fixture
def network(cell):
    torch.manual_seed(0)
    return SDUNet(2, 1, 2, cell=cell, **SMALL)


@pytest.fixture
def image():
    torch.manual_seed(1)
    return torch.randn(2, 1, 20, 24)


def assert_same(got, want):
    """Assert agreement to 1e-6 of the largest value."""
    error = (got - want).abs().max() / want.abs().max()
    assert error < 1e-6, error


BACKENDS = ["auto", *backends()[:-1]]


def gradients(network, loss):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, network.parameters())])


@pytest.mark.parametrize(
    ("shape", "reverse", "backend"),
    crossed([(2, 5, 7, 4), (1, 3, 4, 70), (2, 1, 3, 70), (2, 3, 4, 5, 3)], [False, True], BACKENDS),
)
def test_operator_passes_the_checks_of_pytorch(shape, reverse, backend, sweep_args):
    args = [a.requires_grad_() for a in sweep_args(*shape)]
    torch.library.opcheck(_sweep, (*args, reverse, shape[-1] > 64, backend))


def test_operator_accepts_maps_that_are_not_dense(sweep_args):
    x, *weights = sweep_args(2, 6, 8, 4)
    for part in (x[:, ::2], x.transpose(1, 2), x[:, :, ::3].transpose(1, 2), x.movedim(1, -2)):
        args = [a.detach().requires_grad_() for a in (part, *weights)]
        torch.library.opcheck(_sweep, (*args, False, False, "auto"))


@pytest.mark.parametrize(
    ("shape", "reverse", "backend"),
    crossed([(2, 5, 7, 4), (2, 1, 3, 5), (1, 2, 3, 2, 3)], [False, True], BACKENDS),
)
def test_carrying_operator_passes_the_checks_of_pytorch(shape, reverse, backend, carry_args):
    args = [a.requires_grad_() for a in carry_args(*shape)]
    torch.library.opcheck(_carry, (*args, reverse, backend))


def test_carrying_operator_accepts_maps_that_are_not_dense(carry_args):
    x, *weights = carry_args(2, 6, 8, 4)
    for part in (x[:, ::2], x.transpose(1, 2), x[:, :, ::3].transpose(1, 2)):
        args = [a.detach().requires_grad_() for a in (part, *weights)]
        torch.library.opcheck(_carry, (*args, False, "auto"))


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("sizes", [(4, 5), (2, 3, 4)])
def test_mixing_operator_passes_the_checks_of_pytorch(sizes, planes):
    shapes = ((2, *sizes, 3), (4, 3), (4,), (2, *sizes, 2))
    args = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    torch.library.opcheck(_mix, (*args, planes))


# PyTorch's own compiler does what its own warnings forbid.
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_network_is_one_graph_and_agrees(network, image):
    network, image = network.double(), image.double()
    want = network(image)
    compiled = torch.compile(network, fullgraph=True)(image)
    assert_same(compiled, want)
    assert_same(
        gradients(network, compiled.square().sum()), gradients(network, want.square().sum())
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_network_is_compiled_once_for_all_sizes(network):
    compiler = CompileCounter()
    compiled = torch.compile(network, backend=compiler, dynamic=True, fullgraph=True)
    with torch.no_grad():
        for size in ((2, 20, 24), (3, 33, 17), (2, 16, 50)):
            image = torch.randn(size[0], 1, *size[1:])
            assert_same(compiled(image), network(image))
    assert compiler.frame_count == 1


def test_exported_network_agrees_and_holds_the_operator(network, image):
    exported = torch.export.export(network, (image,))
    assert_same(exported.module()(image), network(image))
    targets = [str(node.target) for node in exported.graph.nodes]
    sweeps = [t for t in targets if t in ("sdunet.sweep.default", "sdunet.carry.default")]
    assert len(sweeps) == len(SMALL["directions"])


def test_images_of_monai_pass_through(network, image):
    assert torch.equal(torch.as_tensor(network(MetaTensor(image))), network(image))


def test_exported_network_takes_other_batch_sizes(network, image):
    batch = torch.export.Dim("batch", min=1, max=8)
    exported = torch.export.export(network, (image,), dynamic_shapes=({0: batch},))
    more = torch.randn(3, 1, 20, 24)
    assert_same(exported.module()(more), network(more))


def test_inference_mode_and_copies_give_the_same(network, image):
    want = network(image)
    with torch.inference_mode():
        assert torch.equal(network(image), want)
    assert torch.equal(copy.deepcopy(network)(image), want)


def test_network_runs_and_trains_under_autocast(network, image):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = network(image).float().square().mean()
    want = network(image).square().mean()
    torch.testing.assert_close(loss, want, rtol=0.05, atol=0)
    assert gradients(network, loss).isfinite().all()


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_activation_checkpointing_gives_the_same_gradients(use_reentrant):
    torch.manual_seed(0)
    layer, x = ResSDNLayer(3, 4, 5), torch.randn(2, 3, 6, 7, requires_grad=True)
    want = gradients(layer, layer(x).square().sum())
    got = gradients_by_backward(layer, checkpoint(layer, x, use_reentrant=use_reentrant))
    assert torch.equal(got, want)


def gradients_by_backward(layer, y):
    layer.zero_grad()
    y.square().sum().backward()
    return torch.cat([p.grad.flatten() for p in layer.parameters()])


def test_second_derivatives_are_refused_not_wrong(sweep_args):
    x, *weights = sweep_args(1, 3, 4, 2)
    x.requires_grad_()
    (first,) = torch.autograd.grad(sdn_sweep(x, *weights).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        first.sum().backward()


def _one_of_two(rank, folder, images, cell):
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = SDUNet(2, 1, 2, cell=cell, **SMALL)
    parallel = DistributedDataParallel(network)
    parallel(images[rank : rank + 1]).square().mean().backward()
    grads = torch.cat([p.grad.flatten() for p in network.parameters()])
    torch.save(grads, f"{folder}/{rank}.pt")
    dist.barrier()  # neither closes the connection while the other still uses it
    del parallel  # it holds threads of the group, which are joined here and not at exit
    dist.destroy_process_group()


@pytest.mark.long
def test_two_processes_get_the_gradient_of_the_whole_batch(network, image, cell, tmp_path):
    mp.spawn(_one_of_two, (str(tmp_path), image, cell), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.equal(first, second)
    want = gradients(network, network(image).square().mean())
    assert_same(first, want)
