"""Faults planted into the source of each backend: the oracles of the sweep must catch them.

A fault in the value must be caught by PyTorch's GRU cell, one in a gradient by finite
differences; what catches nothing proves nothing.
"""

import importlib
import importlib.util
import subprocess
from pathlib import Path

import pytest
import torch
from torch.autograd.gradcheck import GradcheckError

from sdunet.ops import cpu_backend, sdn_sweep, sweep

CSRC = cpu_backend.LIBRARY.parent / "csrc"
VALUE_FAULTS = {
    "neighbours swapped": ("reference", "in offsets(plane_dims)]", "in offsets(plane_dims)[::-1]]"),
    "edge padded with a value": (
        "reference",
        "(1, 1) * plane_dims))",
        "(1, 1) * plane_dims), value=0.5)",
    ),
    "gate reversed in the reference": (
        "reference",
        "(1 - update) * new + update * hidden",
        "update * new + (1 - update) * hidden",
    ),
    "gate reversed": (
        "torch_backend",
        "torch.lerp(new, x[:, t], update",
        "torch.lerp(x[:, t], new, update",
    ),
    "unswept parent in the reference": (
        "reference",
        "neighbours(lines[-1]",
        "neighbours(others[len(lines) - 1]",
    ),
    "unswept parent": ("torch_backend", "neighbours(y[:, t - 1]", "neighbours(x[:, t - 1]"),
    "input bias dropped in the reference": ("reference", "w_ih, b_ih)", "w_ih)"),
    "cell bias dropped in the reference": ("reference", "w_hh, b_hh)", "w_hh)"),
    "input bias dropped": ("torch_backend", "x.dim() - 3), w_ih, b_ih)", "x.dim() - 3), w_ih)"),
    "cell bias dropped": ("torch_backend", "x[:, 1:], w_hh, b_hh)", "x[:, 1:], w_hh)"),
    "neighbours swapped in Triton": (
        "triton_backend",
        "sign * (tap % 3 - 1)",
        "sign * (1 - tap % 3)",
    ),
    "unswept parent in Triton": ("triton_backend", "tl.load(y + at,", "tl.load(x + at,"),
    "edge padded with a value in Triton": (
        "triton_backend",
        "tl.load(y + at, inside[:, None] & real[None, :], 0)",
        "tl.load(y + at, inside[:, None] & real[None, :], 0.5)",
    ),
    "neighbours swapped in C++": ("forward.h", "tap % 3 * s.padded;", "(2 - tap % 3) * s.padded;"),
    "unswept parent in C++": (
        "forward.h",
        "const T* seen = above.at(",
        "const T* seen = hidden.at(",
    ),
    "bias dropped in C++": ("forward.h", "row * F + f] + b_hh[row * F + f]", "row * F + f]"),
}
GRADIENT_FAULTS = {
    "reset gate forgotten": ("torch_backend", "2 * channels :] * reset]", "2 * channels :]]"),
    "line above not fed": ("torch_backend", "grad_lines[:, t - 1] +=", "grad_above ="),
    "taps scattered backwards": (
        "reference",
        "zip(offsets(plane_dims), taps",
        "zip(offsets(plane_dims)[::-1], taps",
    ),
    "taps scattered backwards in Triton": (
        "triton_backend",
        "columns, tap, -1,",
        "columns, tap, 1,",
    ),
    "a gate left out in Triton": (
        "triton_backend",
        "for i in tl.static_range(3)",
        "for i in tl.static_range(2)",
    ),
    "taps scattered backwards in C++": (
        "backward.h",
        "if (c > 0) sums[c - 1]",
        "if (c > 9) sums[c - 1]",
    ),
    "reset gate forgotten in C++": (
        "backward.h",
        "store(to + 3 * s.padded, to_candidate * g.reset)",
        "store(to + 3 * s.padded, to_candidate)",
    ),
    "line above not fed in C++": (
        "backward.h",
        "store(to + c * s.padded, sums[c]);\n\n",
        "store(to + c * s.padded, Vector<T>{});\n\n",
    ),
}


@pytest.fixture
def plant(monkeypatch, tmp_path):
    """Edit one file of the sweep and let it run from there; return the backend that uses it."""

    def edit(name, old, new):
        if name.endswith(".h"):
            monkeypatch.setattr(cpu_backend, "LIBRARY", build(tmp_path, name, old, new))
            cpu_backend._load.cache_clear()
            return "cpu"
        edited = {
            module: load(tmp_path, module, *((old, new) if module == name else ("", "")))
            for module in ("reference", "torch_backend", "triton_backend")
        }
        for function in ("neighbours", "scatter_neighbours"):
            setattr(edited["torch_backend"], function, getattr(edited["reference"], function))
        for backend in ("torch", "triton"):
            monkeypatch.setitem(sweep._BACKENDS, backend, edited[f"{backend}_backend"])
        monkeypatch.setattr(sweep, "sdn_sweep_reference", edited["reference"].sdn_sweep_reference)
        return name.removesuffix("_backend")

    yield edit
    cpu_backend._load.cache_clear()


def load(folder, module, old, new):
    source = Path(importlib.import_module(f"sdunet.ops.{module}").__file__).read_text()
    path = folder / f"{module}.py"
    path.write_text(replaced(source, old, new))
    spec = importlib.util.spec_from_file_location(f"edited_{module}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def build(folder, name, old, new):
    for path in CSRC.iterdir():
        source = path.read_text()
        (folder / path.name).write_text(replaced(source, old, new) if path.name == name else source)
    sources = [str(folder / f"{stem}.cpp") for stem in ("sweep", "team", "portable")]
    library = folder / "edited.so"
    options = ["-std=c++17", "-O0", "-w", "-fPIC", "-shared", "-DSDN_PORTABLE_ONLY", "-pthread"]
    subprocess.run(["c++", *options, *sources, "-o", str(library), "-ldl"], check=True)
    return library


def replaced(source, old, new):
    assert not old or source.count(old) == 1, f"{old!r} must stand once"
    return source.replace(old, new) if old else source


@pytest.mark.parametrize("fault", VALUE_FAULTS.values(), ids=VALUE_FAULTS)
def test_oracle_catches_a_planted_fault(fault, plant, sweep_args, gru_cell_by_cell):
    backend = plant(*fault)
    args = sweep_args(2, 5, 4, 3)
    got = sdn_sweep(*args, backend=backend)
    assert not torch.allclose(got, gru_cell_by_cell(*args), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("fault", GRADIENT_FAULTS.values(), ids=GRADIENT_FAULTS)
def test_finite_differences_catch_a_planted_fault(fault, plant, sweep_args):
    backend = "torch" if (named := plant(*fault)) == "reference" else named
    args = [a.requires_grad_() for a in sweep_args(1, 4, 3, 2)]
    with pytest.raises(GradcheckError):
        torch.autograd.gradcheck(lambda *a: sdn_sweep(*a, backend=backend), args)


def test_without_a_fault_the_edited_copies_pass(plant, sweep_args, gru_cell_by_cell):
    args = sweep_args(2, 5, 4, 3)
    for name, text in (("triton_backend", "_FEW = 64"), ("forward.h", "#pragma once")):
        backend = plant(name, text, text)
        torch.testing.assert_close(sdn_sweep(*args, backend=backend), gru_cell_by_cell(*args))
