"""Laws of both sweeps, of every backend: against definitions, finite differences and float64."""

import pytest
import torch

from sdunet.ops import backends, carry_sweep, missing_backends, sdn_sweep

IMAGES = [(1, 1, 1, 1), (1, 2, 1, 3), (2, 5, 7, 4), (1, 7, 2, 5), (2, 33, 17, 24), (0, 3, 4, 2)]
MANY_FEATURES_AND_CELLS = [(1, 4, 3, 70), (1, 3, 300, 2), (1, 2, 17, 16, 3)]
VOLUMES = [(1, 1, 1, 1, 1), (1, 3, 1, 1, 2), (2, 4, 3, 5, 3), (1, 17, 5, 2, 8)]
# Measured: 4e-7 at most up to 256 lines, weights at GRU initial scale. At four times that scale
# the recurrence is chaotic and no two implementations agree.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}

every_backend = pytest.mark.parametrize("backend", backends())
every_fast_backend = pytest.mark.parametrize("backend", backends()[:-1])


def value_and_grads(sweep, args):
    args = [a.detach().requires_grad_() for a in args]
    y = sweep(*args)
    cotangent = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).reshape(y.shape).to(y)
    return y, *torch.autograd.grad(y, args, cotangent, materialize_grads=True, allow_unused=True)


def relative_error(got, want):
    return ((got.double() - want).norm() / want.norm().clamp_min(1e-12)).item()


@every_backend
@pytest.mark.parametrize("shape", [(2, 5, 4, 3), (1, 4, 1, 2), (2, 4, 2, 3, 2)], ids=str)
def test_sweep_is_a_gru_fed_by_the_finished_cells_above(
    shape, backend, sweep_args, gru_cell_by_cell
):
    args = sweep_args(*shape)
    torch.testing.assert_close(sdn_sweep(*args, backend=backend), gru_cell_by_cell(*args))


@every_backend
@pytest.mark.parametrize("shape", [(2, 5, 4, 6), (1, 4, 1, 2), (2, 4, 2, 3, 4)], ids=str)
def test_carrying_sweep_is_what_its_cells_say(shape, backend, carry_args, carry_cell_by_cell):
    args = carry_args(*shape, groups=2)
    torch.testing.assert_close(carry_sweep(*args, backend=backend), carry_cell_by_cell(*args))


@every_backend
@pytest.mark.usefixtures("nan_in_fresh_memory")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", IMAGES + VOLUMES + MANY_FEATURES_AND_CELLS, ids=str)
def test_value_and_gradients_match_the_float64_reference(shape, dtype, backend, operator):
    args = [a.to(dtype) for a in operator.args(*shape)]
    got = value_and_grads(lambda *a: operator.sweep(*a, backend=backend), args)
    want = value_and_grads(operator.reference, [a.double() for a in args])
    errors = {n: relative_error(g, w) for n, g, w in zip(operator.names, got, want, strict=True)}
    assert max(errors.values()) < TOLERANCE[dtype], errors


# Autograd adds the reference's bias gradients line by line in float32 and loses a digit (6e-6
# measured); the backends sum them at once.
@pytest.mark.long
@every_fast_backend
def test_float32_holds_over_many_lines(backend, operator):
    args = [a.float() for a in operator.args(1, 200, 6, 16)]
    got = value_and_grads(lambda *a: operator.sweep(*a, backend=backend), args)
    want = value_and_grads(operator.reference, [a.double() for a in args])
    errors = {n: relative_error(g, w) for n, g, w in zip(operator.names, got, want, strict=True)}
    assert max(errors.values()) < TOLERANCE[torch.float32], errors


@every_backend
@pytest.mark.parametrize("shape", [(1, 3, 4, 2), (2, 3, 1, 1), (1, 3, 2, 3, 1)], ids=str)
def test_gradients_match_finite_differences(shape, backend, operator):
    args = [a.requires_grad_() for a in operator.args(*shape)]
    assert torch.autograd.gradcheck(lambda *a: operator.sweep(*a, backend=backend), args)


def test_reference_is_twice_differentiable(operator):
    args = [a.requires_grad_() for a in operator.args(1, 3, 2, 1)]
    assert torch.autograd.gradgradcheck(operator.reference, args)


@every_backend
def test_slices_of_a_larger_buffer_give_what_their_copies_give(backend, operator):
    x, *weights = operator.args(4, 9, 10, 6)
    w_ih = weights[0].T.contiguous().T
    part = x[::2, 1:8, ::3, :].transpose(1, 2)
    args = [part, w_ih, *weights[1:]]
    got = value_and_grads(lambda *a: operator.sweep(*a, backend=backend), args)
    copies = [a.clone(memory_format=torch.contiguous_format) for a in args]
    want = value_and_grads(lambda *a: operator.sweep(*a, backend=backend), copies)
    for name, g, w in zip(operator.names, got, want, strict=True):
        torch.testing.assert_close(g, w, msg=lambda text, name=name: f"{name}: {text}")


# Strides of maps whose cells share memory, or whose gradient PyTorch lays out in another order.
@every_backend
@pytest.mark.parametrize(
    "strides",
    [(60, 12, 1, 1), (40, 1, 2, 1), (0, 20, 5, 1), (40, 0, 5, 1), (40, 20, 0, 1), (0, 0, 0, 0)],
)
def test_views_that_overlap_give_what_their_copies_give(strides, backend, operator):
    weights = operator.args(1, 1, 1, 5)[1:]
    memory = torch.randn(400, dtype=torch.float64)
    x = torch.as_strided(memory, (2, 3, 4, 5), strides).requires_grad_()
    copy = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    cotangent = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    got, want = (operator.sweep(m, *weights, backend=backend) for m in (x, copy))
    torch.testing.assert_close(got, want)
    (got,) = torch.autograd.grad(got, x, cotangent)
    (want,) = torch.autograd.grad(want, copy, cotangent)
    torch.testing.assert_close(got, want)


@every_backend
@pytest.mark.parametrize(
    "shape", [(2, 5, 4, 3), (1, 1, 3, 2), (1, 4, 3, 70), (2, 3, 4, 3, 2)], ids=str
)
def test_reverse_is_flipping_before_and_after(shape, backend, operator):
    args = operator.args(*shape)
    got = value_and_grads(lambda *a: operator.sweep(*a, reverse=True, backend=backend), args)
    want = value_and_grads(
        lambda x, *weights: operator.sweep(x.flip(1), *weights, backend=backend).flip(1), args
    )
    for name, g, w in zip(operator.names, got, want, strict=True):
        torch.testing.assert_close(g, w, msg=lambda text, name=name: f"{name}: {text}")


@every_backend
def test_inputs_and_cotangent_are_never_written_to(backend, operator):
    args = [a.requires_grad_() for a in operator.args(2, 4, 3, 2)]
    cotangent = torch.ones(2, 4, 3, 2, dtype=torch.float64)
    before = [a.detach().clone() for a in args]
    operator.sweep(*args, backend=backend).backward(cotangent)
    assert all(torch.equal(a, b) for a, b in zip(args, before, strict=True))
    assert torch.equal(cotangent, torch.ones_like(cotangent))


@every_backend
def test_result_is_not_a_view_of_the_input(backend, operator):
    x, *weights = operator.args(1, 1, 3, 2)
    operator.sweep(x, *weights, backend=backend).zero_()
    assert x.abs().sum() > 0


@every_backend
def test_first_line_passes_through_and_later_lines_do_not_reach_back(backend, sweep_args):
    x, *weights = sweep_args(1, 6, 4, 3)
    changed = x.clone()
    changed[:, 4:] += 1
    y, z = sdn_sweep(x, *weights, backend=backend), sdn_sweep(changed, *weights, backend=backend)
    torch.testing.assert_close(y[:, 0], x[:, 0])
    torch.testing.assert_close(y[:, :4], z[:, :4])
    assert not torch.allclose(y[:, 4:], z[:, 4:])


@every_backend
def test_one_cell_reaches_a_cone_one_wider_each_line(backend, operator):
    x, *weights = operator.args(1, 5, 11, 2)
    changed = x.clone()
    changed[:, 0, 5] += 1
    difference = operator.sweep(x, *weights, backend=backend) - operator.sweep(
        changed, *weights, backend=backend
    )
    reached = difference.abs().sum(-1)[0] > 0  # (T, W)
    for t in range(5):
        assert reached[t].nonzero().flatten().tolist() == list(range(5 - t, 6 + t))


@every_backend
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_swept_in_float32(dtype, backend, operator):
    args = [a.to(dtype) for a in operator.args(1, 20, 5, 4)]
    y = operator.sweep(*args, backend=backend)
    assert y.dtype == dtype
    torch.testing.assert_close(
        y, operator.sweep(*(a.float() for a in args), backend=backend).to(dtype)
    )


@every_fast_backend
def test_autocast_reaches_neither_sweep_nor_its_backward(backend, operator):
    args = [a.float() for a in operator.args(1, 20, 5, 4)]
    want = value_and_grads(lambda *a: operator.sweep(*a, backend=backend), args)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = value_and_grads(lambda *a: operator.sweep(*a, backend=backend), args)
        value = operator.sweep(*args, backend="reference")
    for g, w in zip(got, want, strict=True):
        assert torch.equal(g, w)
    torch.testing.assert_close(value, want[0])


def test_auto_is_the_fastest_backend_that_can_run(operator):
    args = operator.args(1, 3, 4, 2)
    assert torch.equal(operator.sweep(*args), operator.sweep(*args, backend=backends()[0]))
    assert backends()[-1] == "reference"
    assert not set(missing_backends()) & set(backends())


def with_wrong(position, change):
    def make(args):
        args[position] = change(args[position])
        return args

    return make


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (with_wrong(0, lambda x: x[0]), r"x must be \(N, T, W, C\) or \(N, T, H, W, C\), got \(2,"),
        (with_wrong(0, lambda x: x.long()), r"x must be a floating-point .* got torch.int64"),
        (with_wrong(0, lambda x: x.to(torch.float8_e5m2)), r"x must be .* of 16 bits or more, got"),
        (
            with_wrong(0, lambda x: x[:, :0]),
            r"x must have at least one line, cell and channel, got",
        ),
        (
            with_wrong(1, lambda w: w[:, :-1]),
            r"w_ih must be \(12, 12\) for x with C=4, got \(12, 11\)",
        ),
        (with_wrong(2, lambda w: w.T), r"w_hh must be \(12, 4\) for x with C=4, got \(4, 12\)"),
        (with_wrong(3, lambda b: b[1:]), r"b_ih must be \(12,\) for x with C=4, got \(11,\)"),
        (with_wrong(4, lambda b: b[None]), r"b_hh must be \(12,\) for x with C=4, got \(1, 12\)"),
        (with_wrong(4, lambda b: b.float()), r"b_hh must have the dtype of x, torch.float64, got"),
        (with_wrong(2, lambda w: w.to("meta")), r"w_hh must be on cpu like x, got meta"),
    ],
)
def test_errors_name_the_argument_the_rule_and_the_value(spoil, message, sweep_args):
    with pytest.raises(ValueError, match=message):
        sdn_sweep(*spoil(sweep_args(1, 2, 3, 4)))


def test_unknown_backend_is_named_with_the_known_ones(operator):
    with pytest.raises(ValueError, match=r"backend must be one of \('auto', .*\), got 'cuda'"):
        operator.sweep(*operator.args(1, 2, 3, 4), backend="cuda")


def test_a_backend_that_cannot_run_says_why_and_does_not_fall_back(operator, monkeypatch):
    monkeypatch.setattr("sdunet.ops.torch_backend.why_not", lambda *_: "planted reason")
    assert missing_backends() == {"torch": "planted reason"}
    with pytest.raises(ValueError, match=r"backend 'torch' cannot run on cpu: planted reason"):
        operator.sweep(*operator.args(1, 2, 3, 4), backend="torch")
