"""The carrying sweep: against filters of SciPy, its bounds, and each way its kernels can run."""

import ctypes
import itertools

import pytest
import torch
from scipy.ndimage import uniform_filter
from scipy.signal import lfilter

from sdunet.cells import CarryCell
from sdunet.ops import backends, carry_sweep, carry_sweep_reference, cpu_carry, cpu_library

SETS = cpu_library.instruction_sets()
# One past a vector and past a tile, features past a block of rows, lines split among threads,
# weights that make all images go together, one group and one for each feature.
SHAPES = [
    ((1, 1, 1, 1), 1),
    ((2, 4, 7, 8), 2),
    ((3, 5, 17, 13), 13),
    ((5, 4, 33, 25), 1),
    ((1, 3, 600, 16), 4),
    ((2, 3, 9, 360), 3),
    ((2, 3, 4, 5, 9), 3),
    ((1, 3, 24, 25, 16), 4),
]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}  # as in test_sweep.py

every_backend = pytest.mark.parametrize("backend", backends())
volumes_too = pytest.mark.parametrize("line", [(6,), (4, 5)], ids=str)


def weights_of(channels, taps, *, carry, only=None):
    """Weights by which all carry gates are as given, one tap takes all, or all take as much, and a
    cell's values are its features."""
    b = torch.zeros(2 * channels + taps - 1, dtype=torch.float64)
    b[:channels] = torch.logit(torch.tensor(carry, dtype=torch.float64))
    if only == taps // 2:
        b[channels:-channels] = -700.0
    elif only is not None:
        b[channels + only - (only > taps // 2)] = 700.0
    w = torch.zeros(len(b), channels, dtype=torch.float64)
    w[-channels:] = torch.eye(channels)
    return w, b


@every_backend
@volumes_too
def test_with_the_cell_above_alone_it_is_a_first_order_filter(line, backend):
    x = torch.randn(2, 7, *line, 3, dtype=torch.float64)
    taps = 3 ** len(line)
    y = carry_sweep(x, *weights_of(3, taps, carry=0.7, only=taps // 2), backend=backend)
    # The filter rests at the first line's value.
    want, _ = lfilter([0.3], [1, -0.7], x.numpy(), axis=1, zi=0.7 * x[:, :1].numpy())
    torch.testing.assert_close(y, torch.from_numpy(want))


@every_backend
@volumes_too
def test_carrying_all_it_smooths_the_first_line_and_repeats_the_edge(line, backend):
    x = torch.randn(2, 4, *line, 3, dtype=torch.float64)
    y = carry_sweep(x, *weights_of(3, 3 ** len(line), carry=1 - 1e-12), backend=backend)
    want = x[:, 0].numpy()
    for t in range(1, 4):
        want = uniform_filter(want, (1, *(3 for _ in line), 1), mode="nearest")
        torch.testing.assert_close(y[:, t], torch.from_numpy(want))


@every_backend
def test_each_tap_reads_the_cell_at_its_offset(backend):
    x = torch.randn(1, 2, 4, 5, 2, dtype=torch.float64)
    for tap, (row, column) in enumerate(itertools.product((-1, 0, 1), repeat=2)):
        y = carry_sweep(x, *weights_of(2, 9, carry=1 - 1e-12, only=tap), backend=backend)
        rows, columns = ((torch.arange(n) + d).clamp(0, n - 1) for n, d in ((4, row), (5, column)))
        torch.testing.assert_close(y[:, 1], x[:, 0][:, rows][:, :, columns])


@every_backend
@pytest.mark.parametrize("init", ["reach", "published"])
def test_no_cell_is_larger_than_the_largest_and_an_even_map_stays(backend, init, carry_args):
    x = carry_args(1, 40, 9, 6)[0]
    cell = CarryCell(6, 3, init).double()
    y = carry_sweep(x, cell.weight, cell.bias, backend=backend)
    values = x @ cell.weight[-6:].T + cell.bias[-6:]
    assert (y.abs() <= values.abs().amax((1, 2), keepdim=True) + 1e-12).all()
    even = torch.randn(6, dtype=torch.float64).expand(1, 40, 9, 6)
    torch.testing.assert_close(
        carry_sweep(even, cell.weight, cell.bias, backend=backend),
        even @ cell.weight[-6:].T + cell.bias[-6:],
    )


@pytest.mark.parametrize(("line", "taps"), [((16,), 3), ((6, 6), 9)])
@pytest.mark.parametrize("channels", [8, 32, 150])
def test_a_gradient_reaches_512_lines_and_does_not_grow(line, taps, channels):
    torch.manual_seed(0)
    cell = CarryCell(channels, taps, "reach")
    cell.bias.data[:channels] = 8.0  # carries as far as 3,000 lines
    x = torch.tanh(torch.randn(1, 512, *line, channels)).requires_grad_()
    y = carry_sweep(x, cell.weight, cell.bias)
    sizes = [
        torch.autograd.grad(y[:, t].sum(), x, retain_graph=True)[0][:, 0].norm() for t in (1, 511)
    ]
    assert 0.3 < sizes[1] / sizes[0] < 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (11, r"w must have 2C \+ 2G rows, with G a divisor of C=4, got \(11, 4\)"),
        (14, r"with G a divisor of C=4, got \(14, 4\)"),
        (8, r"with G a divisor of C=4, got \(8, 4\)"),
    ],
)
def test_weights_of_no_number_of_groups_are_named(rows, message):
    with pytest.raises(ValueError, match=message):
        carry_sweep(torch.zeros(1, 2, 3, 4), torch.zeros(rows, 4), torch.zeros(rows))


@pytest.mark.parametrize(
    ("w", "b", "message"),
    [
        (torch.zeros(10, 5), torch.zeros(10), r"w must be \(10, 4\) for x with C=4, got \(10, 5\)"),
        (torch.zeros(10, 4), torch.zeros(7), r"b must be \(10,\) for x with C=4, got \(7,\)"),
        (
            torch.zeros(10, 4).double(),
            torch.zeros(10),
            r"w must have the dtype of x, torch.float32",
        ),
        (torch.zeros(10, 4), torch.zeros(10, device="meta"), r"b must be on cpu like x, got meta"),
    ],
)
def test_weights_that_do_not_fit_are_named(w, b, message):
    with pytest.raises(ValueError, match=message):
        carry_sweep(torch.zeros(1, 2, 3, 4), w, b)


@pytest.fixture
def threads():
    """Setter of the number of threads, undone afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def value_and_grads(args, cotangent, reverse, instructions="best"):
    y = cpu_carry.forward(*args, reverse, instructions)
    return y, *cpu_carry.backward(cotangent, args[0], y, *args[1:], reverse, instructions)


def cotangent_of(x):
    return torch.linspace(-1, 1, x.numel(), dtype=torch.float64).square().reshape(x.shape)


@pytest.mark.usefixtures("nan_in_fresh_memory")
@pytest.mark.parametrize(("shape", "groups"), SHAPES, ids=str)
def test_every_instruction_set_and_thread_count_gives_the_definition(
    shape, groups, carry_args, threads
):
    args = carry_args(*shape, groups=groups)
    cotangent = cotangent_of(args[0])
    leaves = [a.clone().requires_grad_() for a in args]
    y = carry_sweep_reference(*leaves, reverse=True)
    grads = torch.autograd.grad(y, leaves, cotangent, allow_unused=True, materialize_grads=True)
    want = (y.detach(), *grads)
    for count, dtype, name in itertools.product((1, 2, 3), TOLERANCE, SETS):
        threads(count)
        got = value_and_grads([a.to(dtype) for a in args], cotangent.to(dtype), True, name)
        errors = [
            ((g.double() - w).norm() / w.norm().clamp_min(1e-12)).item()
            for g, w in zip(got, want, strict=True)
        ]
        assert max(errors) < TOLERANCE[dtype], (count, dtype, name, errors)


@pytest.mark.parametrize(("shape", "groups"), SHAPES, ids=str)
def test_repeats_are_bit_identical_and_threads_change_neither_map_nor_gradient(
    shape, groups, carry_args, threads
):
    args = [a.float() for a in carry_args(*shape, groups=groups)]
    cotangent = cotangent_of(args[0]).float()
    found = []
    for count in (1, 2, 3):
        threads(count)
        first, second = (value_and_grads(args, cotangent, False) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        found.append(first[:2])
    assert all(torch.equal(a, b) for other in found for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("line", [(9,), (4, 5)], ids=str)
def test_nan_spreads_as_in_the_definition(name, line, carry_args):
    args = [a.float() for a in carry_args(3, 5, *line, 4)]
    args[0][1, 1, ..., 3, 2] = float("nan")
    y = cpu_carry.forward(*args, False, name)
    assert torch.equal(y.isnan(), carry_sweep_reference(*args).isnan())
    assert y.isnan().any()
    grad_x = cpu_carry.backward(torch.ones_like(y), args[0], y, *args[1:], False, name)[0]
    assert grad_x[1].isnan().any()
    assert not grad_x[::2].isnan().any()


@pytest.mark.parametrize("name", SETS)
def test_extreme_gates_are_those_of_the_definition(name):
    x = torch.tensor([3e4, -3e4, 90.0, -90.0, 0.0])[:, None, None, None].repeat(1, 3, 4, 1)
    w, b = torch.tensor([[1.0], [1.0], [-1.0], [1.0]]), torch.zeros(4)
    torch.testing.assert_close(
        cpu_carry.forward(x, w, b, False, name), carry_sweep_reference(x, w, b)
    )


@pytest.mark.parametrize("name", SETS)
def test_strided_maps_are_read_where_they_lie(name, carry_args):
    x = carry_args(2, 9, 12, 24)[0].float()
    part = x[:, 1:8:2, ::3].transpose(1, 2)[..., 4:12]
    assert part.stride(-1) == 1
    weights = [a.float() for a in carry_args(1, 1, 1, 8)[1:]]
    cotangent = torch.randn(2, 12, 12, 8).permute(0, 2, 1, 3)[:, :4, :4]
    got = value_and_grads([part, *weights], cotangent, False, name)
    copied = [part.contiguous(), *weights]
    want = value_and_grads(copied, cotangent.contiguous(), False, name)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def test_the_gradient_lies_in_memory_as_the_map(carry_args):
    x, *weights = carry_args(2, 5, 7, 4)
    for order in ((0, 1, 2, 3), (0, 2, 1, 3), (1, 0, 2, 3)):
        back = [order.index(axis) for axis in range(4)]
        turned = x.permute(order).contiguous().permute(back).requires_grad_()
        y = carry_sweep(turned, *weights)
        assert y.is_contiguous()
        (grad,) = torch.autograd.grad(y.sum(), turned)
        assert grad.stride() == turned.stride()


def test_python_and_c_agree_on_the_size_of_a_call():
    library = ctypes.CDLL(str(cpu_library.LIBRARY))
    assert library.sdn_carry_size() == ctypes.sizeof(cpu_carry._Carry)
