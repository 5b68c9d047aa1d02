"""Faults planted into the source of each backend: the oracles of both sweeps must catch them.

A fault in the value must be caught by PyTorch's GRU cell or by the cells spelt out one by one, one
in a gradient by finite differences; what catches nothing proves nothing.
"""

import importlib
import importlib.util
import subprocess
from pathlib import Path

import pytest
import torch
from torch.autograd.gradcheck import GradcheckError

from sdunet.ops import carry, carry_sweep, cpu_library, sdn_sweep, sweep

MODULES = ("reference", "torch_backend", "triton_backend", "torch_carry", "triton_carry")
# What the others take from the reference, which may be the one edited.
GATHERED = {
    "torch_backend": ("neighbours", "scatter_neighbours"),
    "torch_carry": ("neighbours_inside", "scatter_inside"),
}
CSRC = cpu_library.LIBRARY.parent / "csrc"
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
CARRY_VALUE_FAULTS = {
    "edge empty in the reference": (
        "reference",
        "[first, lines, last]",
        "[0 * first, lines, last]",
    ),
    "gate reversed in the reference": (
        "reference",
        "carries[:, t] * mixed + (1 - carries[:, t]) * values[:, t]",
        "(1 - carries[:, t]) * mixed + carries[:, t] * values[:, t]",
    ),
    "shares that do not sum to 1 in the reference": ("reference", ".softmax(-2)", ".sigmoid()"),
    "unswept parent": (
        "torch_carry",
        "neighbours_inside(y[:, t - 1]",
        "neighbours_inside(values[:, t - 1]",
    ),
    "gate reversed": ("torch_carry", "(values[:, t], mixed,", "(mixed, values[:, t],"),
    "features in place of values": ("torch_carry", "values[:, 0]", "lines[:, 0]"),
    "features in place of values in C++": (
        "carry.h",
        "below.at(tile, f), own.value(s, f)",
        "below.at(tile, f), own.numbers + f * tile_step<T>",
    ),
    "taps swapped in C++": ("tiles.h", "tap % 3 - 1;", "1 - tap % 3;"),
    "edge not repeated in C++": (
        "carry.h",
        "if (last) at[tile.count] =",
        "if (false) at[tile.count] =",
    ),
    "row past the edge not repeated in C++": ("carry.h", "if (tile.row == 0)", "if (false)"),
    "a group's shares for all in C++": (
        "carry.h",
        "load(own.share(s, k, g) + c)",
        "load(own.share(s, k, 0) + c)",
    ),
    "bias dropped in C++": ("tiles.h", "broadcast<T>(bias[i])", "broadcast<T>(0 * bias[i])"),
}
CARRY_GRADIENT_FAULTS = {
    "line above not fed": ("torch_carry", "grad_lines[:, t - 1] +=", "to_mix ="),
    "softmax taken for a sum": ("torch_carry", "(to_shares - (shares", "(to_shares - 0 * (shares"),
    "edge not folded": ("reference", "(dim, 1, 1).add_(", "(dim, 1, 1).mul("),
    "taps scattered backwards in C++": (
        "carry_backward.h",
        "s.border() - tap_row);",
        "tap_row - s.border());",
    ),
    "edge not folded in C++": (
        "carry_backward.h",
        "if (tile.start == 0) to[0] +=",
        "if (tile.start == 9) to[0] +=",
    ),
    "row past the edge not folded in C++": ("carry_backward.h", "add_row(-1);", ";"),
    "softmax taken for a sum in C++": ("carry_backward.h", "(to_shares[k] - mean)", "to_shares[k]"),
    "values of line 0 forgotten": ("torch_carry", "= grad_lines\n", "= 0 * grad_lines\n"),
    "gates of line 0 in C++": ("carry_backward.h", "t == 0 ? s.gates() : 0;", "0;"),
    "value forgotten in C++": ("carry_backward.h", "* (mixed - value));", "* mixed);"),
}


@pytest.fixture
def plant(monkeypatch, tmp_path):
    """Edit one file of the sweep and let it run from there; return the backend that uses it."""

    def edit(name, old, new):
        if name.endswith(".h"):
            monkeypatch.setattr(cpu_library, "LIBRARY", build(tmp_path, name, old, new))
            cpu_library.load.cache_clear()
            return "cpu"
        edited = {
            module: load(tmp_path, module, *((old, new) if module == name else ("", "")))
            for module in MODULES
        }
        reference = edited["reference"]
        for module, functions in GATHERED.items():
            for function in functions:
                setattr(edited[module], function, getattr(reference, function))
        for backend in ("torch", "triton"):
            monkeypatch.setitem(sweep._BACKENDS, backend, edited[f"{backend}_backend"])
            monkeypatch.setitem(carry._BACKENDS, backend, edited[f"{backend}_carry"])
        monkeypatch.setattr(sweep, "sdn_sweep_reference", reference.sdn_sweep_reference)
        monkeypatch.setattr(carry, "carry_sweep_reference", reference.carry_sweep_reference)
        return name.removesuffix("_backend").removesuffix("_carry")

    yield edit
    cpu_library.load.cache_clear()


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
    sources = [str(folder / f"{stem}.cpp") for stem in ("sweep", "threads", "portable")]
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


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.parametrize("fault", CARRY_VALUE_FAULTS.values(), ids=CARRY_VALUE_FAULTS)
def test_cells_spelt_out_catch_a_planted_fault(fault, plant, carry_args, carry_cell_by_cell):
    backend = plant(*fault)
    args = carry_args(1, 4, 3, 4, 4, groups=2)
    got = carry_sweep(*args, backend=backend)
    assert not torch.allclose(got, carry_cell_by_cell(*args), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("fault", CARRY_GRADIENT_FAULTS.values(), ids=CARRY_GRADIENT_FAULTS)
def test_finite_differences_catch_a_fault_in_what_carries(fault, plant, carry_args):
    backend = "torch" if (named := plant(*fault)) == "reference" else named
    args = [a.requires_grad_() for a in carry_args(1, 3, 3, 2, 2)]
    with pytest.raises(GradcheckError):
        torch.autograd.gradcheck(lambda *a: carry_sweep(*a, backend=backend), args)


def test_without_a_fault_the_edited_copies_carry(plant, carry_args, carry_cell_by_cell):
    args = carry_args(1, 4, 3, 4, 4, groups=2)
    for name, text in (("torch_carry", "import torch\n"), ("carry.h", "#pragma once")):
        got = carry_sweep(*args, backend=plant(name, text, text))
        torch.testing.assert_close(got, carry_cell_by_cell(*args))
