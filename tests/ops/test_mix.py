"""Mixing a swept with a convolved map: the kernel against plain PyTorch and finite differences."""

import ctypes
import itertools

import pytest
import torch

from sdunet.ops import cpu_library, gated_mix, mix

# One past a vector and past a tile, outputs past a vector, a single cell, volumes.
SHAPES = [
    ((2, 3, 5, 7), 4),
    ((1, 16, 9, 60), 33),
    ((3, 5, 1, 1), 1),
    ((2, 8, 3, 4, 9), 17),
    ((0, 3, 4, 5), 2),
]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}  # as in test_sweep.py


def maps(shape, outputs, dtype=torch.float64):
    torch.manual_seed(0)
    images, features, *sizes = shape
    swept, other = torch.randn(shape), torch.randn(images, outputs, *sizes)
    weight, bias = torch.randn(2 * outputs, features) / features**0.5, torch.randn(2 * outputs)
    return [t.to(dtype).requires_grad_() for t in (swept, weight, bias, other)]


def plain(swept, weight, bias, other):
    projected = torch.einsum("oc,nc...->no...", weight, swept)
    value, gate = (projected + bias.view(-1, *[1] * (swept.dim() - 2))).chunk(2, 1)
    gate = torch.sigmoid(gate)
    return gate * other + (1 - gate) * value


def value_and_grads(function, given):
    y = function(*given)
    cotangent = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).reshape(y.shape).to(y)
    return y, *torch.autograd.grad(y, given, cotangent)


@pytest.fixture(params=["compiled", "torch"])
def way(request, monkeypatch):
    """The kernel, or what runs without it."""
    if request.param == "torch":
        monkeypatch.setattr(mix, "why_not", lambda *_: "planted reason")


@pytest.mark.usefixtures("nan_in_fresh_memory", "way")
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels last"])
@pytest.mark.parametrize(("shape", "outputs"), SHAPES, ids=str)
def test_value_gradients_and_layout_are_those_of_the_formula(shape, outputs, last):
    want = value_and_grads(plain, maps(shape, outputs))
    for dtype, limit in TOLERANCE.items():
        given = maps(shape, outputs, dtype)
        got = value_and_grads(lambda *a: gated_mix(*a, channels_last=last), given)
        for g, w in zip(got, want, strict=True):
            assert (g.double() - w).norm() <= limit * w.norm()
        layout = {4: torch.channels_last, 5: torch.channels_last_3d}[len(shape)]
        assert got[0].is_contiguous(memory_format=layout if last else torch.contiguous_format)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels last"])
def test_gradients_match_finite_differences(last):
    given = maps((2, 2, 2, 3), 3)
    assert torch.autograd.gradcheck(lambda *a: gated_mix(*a, channels_last=last), given)


def test_every_instruction_set_and_thread_count_gives_the_same(monkeypatch):
    monkeypatch.setattr(cpu_library, "_chosen", {})
    before = torch.get_num_threads()
    given = maps((3, 16, 70, 90), 20)
    want = value_and_grads(plain, given)
    try:
        for name, count in itertools.product(cpu_library.instruction_sets(), (1, 2, 3)):
            cpu_library.use_instructions(name)
            torch.set_num_threads(count)
            first, second = (
                value_and_grads(lambda *a: gated_mix(*a, channels_last=False), given)
                for _ in range(2)
            )
            assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
            for g, w in zip(first, want, strict=True):
                assert (g - w).norm() <= 1e-12 * w.norm(), (name, count)
    finally:
        torch.set_num_threads(before)


def test_nan_stays_in_its_cell():
    swept, weight, bias, other = (t.detach() for t in maps((2, 3, 5, 7), 4))
    swept[1, 0, 2, 3] = float("nan")
    y = gated_mix(swept, weight, bias, other, channels_last=False)
    assert y[1, :, 2, 3].isnan().all()
    assert y.isnan().sum() == 4


def test_autocast_maps_are_mixed_too():
    swept, weight, bias, other = maps((1, 3, 4, 5), 2, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = gated_mix(swept, weight, bias, other.bfloat16(), channels_last=False)
    want = plain(swept, weight, bias, other)
    torch.testing.assert_close(y.float(), want, rtol=0.05, atol=0.05)


def test_python_and_c_agree_on_the_size_of_a_call():
    library = ctypes.CDLL(str(cpu_library.LIBRARY))
    assert library.sdn_mix_size() == ctypes.sizeof(mix._Mix)
