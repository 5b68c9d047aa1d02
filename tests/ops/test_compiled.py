"""The compiled kernels: every instruction set, thread count and way to keep or not keep gates."""

import ctypes
import itertools
import subprocess
import sysconfig

import pytest
import torch

from sdunet.ops import cpu_backend, cpu_library, missing_backends, sdn_sweep, sdn_sweep_reference

SETS = cpu_library.instruction_sets()
# One past a block of each kind of register blocking, features past a vector, batches that do and
# do not divide among threads, lines split among them, and features that sweep all images at once.
SHAPES = [
    (1, 2, 1, 1),
    (2, 4, 7, 8),
    (3, 5, 13, 17),
    (5, 4, 25, 33),
    (1, 3, 600, 16),
    (3, 4, 9, 150),
    (2, 3, 4, 5, 9),
    (1, 3, 24, 25, 16),
]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}  # as in test_sweep.py


@pytest.fixture
def threads():
    """Setter of the number of threads, undone afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def value_and_grads(args, cotangent, keep_gates, instructions="best"):
    y, gates = cpu_backend.forward(*args, False, keep_gates, instructions)
    return y, *cpu_backend.backward(cotangent, args[0], y, gates, *args[1:], False, instructions)


def cotangent_of(x):
    return torch.linspace(-1, 1, x.numel(), dtype=torch.float64).reshape(x.shape)


@pytest.fixture
def case(sweep_args):
    """Maker of arguments, cotangent, and the value and gradients that the definition gives."""

    def make(shape):
        args = sweep_args(*shape)
        cotangent = cotangent_of(args[0])
        leaves = [a.clone().requires_grad_() for a in args]
        y = sdn_sweep_reference(*leaves)
        return args, cotangent, (y.detach(), *torch.autograd.grad(y, leaves, cotangent))

    return make


def test_the_library_was_built():
    assert "cpu" not in missing_backends(), missing_backends()


@pytest.mark.usefixtures("nan_in_fresh_memory")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_instruction_set_and_thread_count_gives_the_definition(shape, case, threads):
    args, cotangent, want = case(shape)
    for count, keep, dtype, name in itertools.product((1, 2, 3), (False, True), TOLERANCE, SETS):
        threads(count)
        got = value_and_grads([a.to(dtype) for a in args], cotangent.to(dtype), keep, name)
        errors = [
            ((g.double() - w).norm() / w.norm().clamp_min(1e-12)).item()
            for g, w in zip(got, want, strict=True)
        ]
        assert max(errors) < TOLERANCE[dtype], (count, keep, dtype, name, errors)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_repeated_runs_are_bit_identical(shape, count, sweep_args, threads):
    threads(count)
    args = [a.float() for a in sweep_args(*shape)]
    cotangent = cotangent_of(args[0]).float()
    first, second = (value_and_grads(args, cotangent, False) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_threads_change_neither_the_map_nor_its_gradient(shape, sweep_args, threads):
    args = [a.float() for a in sweep_args(*shape)]
    cotangent = cotangent_of(args[0]).float()
    found = []
    for count in (1, 2, 3):
        threads(count)
        found.append(value_and_grads(args, cotangent, False)[:2])
    assert all(torch.equal(a, b) for other in found for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_sigmoid_and_tanh_are_accurate_to_the_last_digits(dtype, name):
    # One feature, no weights but these: both sigmoids are of the cell, tanh of the cell above.
    values = torch.cat([torch.linspace(-80, 80, 200_001), torch.logspace(-30, 0, 1001)]).double()
    values = torch.cat([values, -values]).to(dtype)
    x = values.repeat(2, 1)[None, :, :, None]
    w_ih = torch.zeros(3, 3, dtype=dtype)
    w_ih[2, 1] = 1
    w_hh = torch.tensor([[1.0], [1.0], [0.0]], dtype=dtype)
    none = torch.zeros(3, dtype=dtype)
    _, gates = cpu_backend.forward(x, w_ih, w_hh, none, none, False, True, name)
    reset, update, new, _ = gates[0, 0, :, :, 0].unbind(-1)
    assert torch.equal(reset, update)
    limit = 2e-7 if dtype == torch.float32 else 5e-16
    for got, exact in ((reset, torch.sigmoid), (new, torch.tanh)):
        want = exact(values.double())
        worst = ((got.double() - want) / want).abs().max().item()
        assert worst < limit, f"{exact.__name__}: {worst}"


@pytest.mark.parametrize("name", SETS)
def test_saturated_gates_keep_to_their_ranges(name):
    x = torch.tensor([3e38, -3e38, 1e4, -1e4, 90.0, -90.0])[:, None, None, None].repeat(1, 2, 1, 1)
    w_ih, w_hh, none = torch.zeros(3, 3), torch.zeros(3, 1), torch.zeros(3)
    w_ih[2, 1] = w_hh[0] = 1
    _, gates = cpu_backend.forward(x, w_ih, w_hh, none, none, False, True, name)
    reset, update, new, _ = gates[:, 0, 0, :, 0].unbind(-1)
    torch.testing.assert_close(reset, torch.tensor([1.0, 0, 1, 0, 1, 0]))
    torch.testing.assert_close(update, torch.full((6,), 0.5))
    torch.testing.assert_close(new, torch.tensor([1.0, -1, 1, -1, 1, -1]))


@pytest.mark.parametrize("name", SETS)
def test_nan_spreads_as_in_the_definition(name, sweep_args):
    args = [a.float() for a in sweep_args(1, 5, 9, 4)]
    args[0][0, 1, 4, 2] = float("nan")
    y, gates = cpu_backend.forward(*args, False, False, name)
    want = sdn_sweep_reference(*args)
    assert torch.equal(y.isnan(), want.isnan())
    assert y.isnan().any()
    grad_x = cpu_backend.backward(torch.ones_like(y), args[0], y, gates, *args[1:], False, name)[0]
    assert grad_x[0, 4].isnan().any()
    assert grad_x[0, 0].isnan().any()


@pytest.mark.parametrize("name", SETS)
def test_strided_maps_are_read_where_they_lie(name, sweep_args):
    x, *weights = (a.float() for a in sweep_args(2, 9, 12, 24))
    part = x[:, 1:8:2, ::3].transpose(1, 2)[..., 4:12]
    assert part.stride(-1) == 1
    weights = [a.float() for a in sweep_args(1, 1, 1, 8)[1:]]
    cotangent = torch.randn(2, 12, 12, 8).permute(0, 2, 1, 3)[:, :4, :4]
    got = value_and_grads([part, *weights], cotangent, False, name)
    copied = [a.contiguous() for a in (part, *weights)]
    want = value_and_grads(copied, cotangent.contiguous(), False, name)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def test_a_missing_library_is_named_and_auto_goes_on(sweep_args, monkeypatch, tmp_path):
    args = sweep_args(1, 3, 4, 2)
    want = sdn_sweep(*args)
    cpu_library.load.cache_clear()
    monkeypatch.setattr(cpu_library, "LIBRARY", tmp_path / "none.so")
    try:
        assert "was not compiled at installation" in missing_backends()["cpu"]
        with pytest.raises(ValueError, match=r"backend 'cpu' cannot run on cpu: it was not comp"):
            sdn_sweep(*args, backend="cpu")
        torch.testing.assert_close(sdn_sweep(*args), want)
        cpu_library.load.cache_clear()
        (tmp_path / "none.so").write_bytes(b"not a library")
        assert "does not load" in missing_backends()["cpu"]
    finally:
        cpu_library.load.cache_clear()


@pytest.mark.parametrize(
    "text", ["int sdn_version(void) { return 1; }", "int sdn_forward(void) { return 0; }"]
)
def test_a_library_of_other_sources_is_not_used(text, monkeypatch, tmp_path):
    library = tmp_path / "old.so"
    compiler = sysconfig.get_config_var("CC").split()[0]
    (tmp_path / "old.c").write_text(text)
    subprocess.run([compiler, "-shared", "-o", library, tmp_path / "old.c"], check=True)
    cpu_library.load.cache_clear()
    monkeypatch.setattr(cpu_library, "LIBRARY", library)
    try:
        assert "of another version: install sdunet again" in missing_backends()["cpu"]
    finally:
        cpu_library.load.cache_clear()


def test_other_devices_are_refused():
    assert missing_backends("cuda")["cpu"] == "it runs on the CPU only"


def test_python_and_c_agree_on_the_size_of_a_call():
    library = ctypes.CDLL(str(cpu_library.LIBRARY))
    assert library.sdn_call_size() == ctypes.sizeof(cpu_backend._Sweep)


def test_the_best_instructions_can_be_others(sweep_args, monkeypatch):
    monkeypatch.setattr(cpu_library, "_chosen", {})
    args = [a.float() for a in sweep_args(1, 9, 40, 16)]
    want = cpu_backend.forward(*args, False, False, "portable")[0]
    cpu_library.use_instructions("portable")
    assert torch.equal(cpu_backend.forward(*args, False, False)[0], want)
    cpu_library.use_instructions("best")
    with pytest.raises(ValueError, match=r"instructions must be one of \('best', .*, got 'sse'"):
        cpu_library.use_instructions("sse")
