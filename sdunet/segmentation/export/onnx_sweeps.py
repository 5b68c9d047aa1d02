"""The operators of the sweeps in those of ONNX: gates of all cells at once, one Scan over lines.

Letters as in `sdunet.ops.reference`. What is under `script` is read by onnxscript and becomes a
function of the model, in two forms, as a line is a row of cells in images and a plane of cells in
volumes. The rest is called while a model is made, and adds nodes to it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir
import torch
from onnxscript import FLOAT, graph, script
from onnxscript import opset18 as op
from onnxscript.values import Opset

OPSET = 18
_SDUNET = Opset("sdunet", 1)
_END = int(np.iinfo(np.int64).max)
Node = Any  # a value of the model that is made
Map = FLOAT[...]
Ways = Sequence[
    int
]  # of Scan, for each of what it goes along: 1 is from the last line to the first


@script(_SDUNET, default_opset=op)
def neighbours(cells: Map, axis: Sequence[int], mode: str) -> Map:
    """Put the features of the cells before and after each along an axis around its own, `3C`."""
    along = op.Constant(value_ints=axis)
    padded = op.Pad(cells, op.Constant(value_ints=[1, 1]), None, along, mode=mode)
    before = op.Slice(padded, op.Constant(value_ints=[0]), op.Constant(value_ints=[-2]), along)
    end = op.Constant(value_ints=[9223372036854775807])
    after = op.Slice(padded, op.Constant(value_ints=[2]), end, along)
    return op.Concat(before, cells, after, axis=-1)


@script(_SDUNET, default_opset=op)
def carry_rows(start: Map, carry: Map, own: Map, shares: Map, ins: Ways, out: Ways) -> Map:
    """Carry each row of cells into the next, see `carry`."""

    @graph()
    def next_line(above, c, v, a):
        around = op.Mul(neighbours(above, axis=[1], mode="edge"), a)
        taps = op.Reshape(around, op.Constant(value_ints=[0, 0, 3, -1]))
        mixed = op.ReduceSum(taps, op.Constant(value_ints=[-2]), keepdims=0)
        line = op.Add(op.Mul(c, mixed), v)
        return line, op.Identity(line)

    _, lines = op.Scan(
        start,
        carry,
        own,
        shares,
        body=next_line,
        num_scan_inputs=3,
        scan_input_axes=[1, 1, 1],
        scan_output_axes=[1],
        scan_input_directions=ins,
        scan_output_directions=out,
    )
    return lines


@script(_SDUNET, default_opset=op)
def carry_planes(start: Map, carry: Map, own: Map, shares: Map, ins: Ways, out: Ways) -> Map:
    """Carry each plane of cells into the next, see `carry`."""

    @graph()
    def next_line(above, c, v, a):
        rows = neighbours(above, axis=[2], mode="edge")
        around = op.Mul(neighbours(rows, axis=[1], mode="edge"), a)
        taps = op.Reshape(around, op.Constant(value_ints=[0, 0, 0, 9, -1]))
        mixed = op.ReduceSum(taps, op.Constant(value_ints=[-2]), keepdims=0)
        line = op.Add(op.Mul(c, mixed), v)
        return line, op.Identity(line)

    _, lines = op.Scan(
        start,
        carry,
        own,
        shares,
        body=next_line,
        num_scan_inputs=3,
        scan_input_axes=[1, 1, 1],
        scan_output_axes=[1],
        scan_input_directions=ins,
        scan_output_directions=out,
    )
    return lines


@script(_SDUNET, default_opset=op)
def gated(from_above: Map, from_cell: Map, cell: Map) -> Map:
    """Return a line of the published sweep: a GRU whose hidden state is the cell itself."""
    reset_above, update_above, new_above = op.Split(from_above, axis=-1, num_outputs=3)
    reset_cell, update_cell, new_cell = op.Split(from_cell, axis=-1, num_outputs=3)
    reset = op.Sigmoid(op.Add(reset_above, reset_cell))
    update = op.Sigmoid(op.Add(update_above, update_cell))
    new = op.Tanh(op.Add(new_above, op.Mul(reset, new_cell)))
    return op.Add(new, op.Mul(update, op.Sub(cell, new)))


@script(_SDUNET, default_opset=op)
def gru_rows(
    start: Map, cells: Map, from_cells: Map, weight: Map, bias: Map, ins: Ways, out: Ways
) -> Map:
    """Sweep row by row, see `sweep`."""

    @graph()
    def next_line(above, cell, from_cell):
        around = neighbours(above, axis=[1], mode="constant")
        line = gated(op.Add(op.MatMul(around, weight), bias), from_cell, cell)
        return line, op.Identity(line)

    _, lines = op.Scan(
        start,
        cells,
        from_cells,
        body=next_line,
        num_scan_inputs=2,
        scan_input_axes=[1, 1],
        scan_output_axes=[1],
        scan_input_directions=ins,
        scan_output_directions=out,
    )
    return lines


@script(_SDUNET, default_opset=op)
def gru_planes(
    start: Map, cells: Map, from_cells: Map, weight: Map, bias: Map, ins: Ways, out: Ways
) -> Map:
    """Sweep plane by plane, see `sweep`."""

    @graph()
    def next_line(above, cell, from_cell):
        rows = neighbours(above, axis=[2], mode="constant")
        around = neighbours(rows, axis=[1], mode="constant")
        line = gated(op.Add(op.MatMul(around, weight), bias), from_cell, cell)
        return line, op.Identity(line)

    _, lines = op.Scan(
        start,
        cells,
        from_cells,
        body=next_line,
        num_scan_inputs=2,
        scan_input_axes=[1, 1],
        scan_output_axes=[1],
        scan_input_directions=ins,
        scan_output_directions=out,
    )
    return lines


def carry(x: Node, w: Node, b: Node, reverse: bool, backend: str) -> Node:
    """Return the nodes of `carry_sweep`; the line before the first is carried into it by 0."""
    channels, rows, taps = x.shape[-1], w.shape[0], 3 ** (len(x.shape) - 3)
    groups = (rows - 2 * channels) // (taps - 1)
    terms = op.Add(op.MatMul(x, _turned(w)), b)
    carries = op.Sigmoid(_cut(terms, 0, channels))
    values = _cut(terms, rows - channels, _END)
    first, others = _first_and_others(carries, reverse)
    carries = _joined(op.Mul(first, 0.0), others, reverse)
    sides = _cut(terms, channels, rows - channels)
    right_above = op.Mul(_cut(sides, 0, groups), 0.0)
    half = (taps - 1) // 2 * groups
    logits = op.Concat(_cut(sides, 0, half), right_above, _cut(sides, half, _END), axis=-1)
    cell = [0] * (len(x.shape) - 1)  # Reshape leaves such sizes as they are
    shares = op.Softmax(op.Reshape(logits, _numbers(*cell, taps, groups)), axis=-2)
    wide = _numbers(*[1] * (len(x.shape) + 1), channels // groups)
    shares = op.Expand(op.Unsqueeze(shares, _numbers(-1)), wide)
    shares = op.Reshape(shares, _numbers(*cell, taps * channels))
    start = op.Squeeze(_first_and_others(values, reverse)[0], _numbers(1))
    lines = carry_rows if taps == 3 else carry_planes
    own = op.Mul(op.Sub(1.0, carries), values)
    way = int(reverse)
    return lines(start, carries, own, shares, ins=[way] * 3, out=[way])


def sweep(
    x: Node,
    w_ih: Node,
    w_hh: Node,
    b_ih: Node,
    b_hh: Node,
    reverse: bool,
    keep_gates: bool,
    backend: str,
) -> tuple[Node, Node]:
    """Return the nodes of `sdn_sweep`, and no gates, which only its gradient needs."""
    first, others = _first_and_others(x, reverse)
    from_cells = op.Add(op.MatMul(others, _turned(w_hh)), b_hh)
    start, way = op.Squeeze(first, _numbers(1)), int(reverse)
    lines = gru_rows if len(x.shape) == 4 else gru_planes
    swept = lines(start, others, from_cells, _turned(w_ih), b_ih, ins=[way] * 2, out=[way])
    return _joined(first, swept, reverse), _constant(np.zeros(0, np.float32))


def mix(swept: Node, weight: Node, bias: Node, other: Node, planes: bool) -> Node:
    """Return the nodes of `gated_mix`."""
    value, gate = op.Split(op.Add(op.MatMul(swept, _turned(weight)), bias), axis=-1, num_outputs=2)
    y = op.Add(value, op.Mul(op.Sigmoid(gate), op.Sub(other, value)))
    last = len(swept.shape) - 1
    return op.Transpose(y, perm=[0, last, *range(1, last)]) if planes else y


TRANSLATIONS: dict[Any, Callable] = {
    torch.ops.sdunet.carry.default: carry,
    torch.ops.sdunet.sweep.default: sweep,
    torch.ops.sdunet.mix.default: mix,
}


# Functions that others call, of which the exporter of PyTorch does not learn.
INNER = (neighbours, gated)


def _numbers(*numbers: int) -> Node:
    return _constant(np.array(numbers, np.int64))


def _constant(array: np.ndarray) -> Node:
    return op.Constant(value=onnx_ir.tensor(array))


def _cut(x: Node, start: int, end: int, axis: int = -1) -> Node:
    return op.Slice(x, _numbers(start), _numbers(end), _numbers(axis))


def _turned(weight: Node) -> Node:
    return op.Transpose(weight, perm=[1, 0])


def _first_and_others(x: Node, reverse: bool) -> tuple[Node, Node]:
    """Return the line that a sweep begins with, and the others."""
    if reverse:
        return _cut(x, -1, _END, axis=1), _cut(x, 0, -1, axis=1)
    return _cut(x, 0, 1, axis=1), _cut(x, 1, _END, axis=1)


def _joined(first: Node, others: Node, reverse: bool) -> Node:
    return op.Concat(*((others, first) if reverse else (first, others)), axis=1)
