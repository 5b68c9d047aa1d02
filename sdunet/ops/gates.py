"""What a forward sweep may keep for its backward."""

from torch import Tensor


def empty_gates(x: Tensor, keep: bool) -> Tensor:
    """Return memory for the gates of every line but the first, `(N, T-1, ..., 4, C)`.

    They are reset, update, the new state, and the product with the cell that reset scales in
    it; the lines stand in the order of the sweep. Without `keep` the tensor is empty, and the
    backward pass computes them again.
    """
    images, lines, *rest = x.shape
    return x.new_empty((images, lines - 1, *rest[:-1], 4, rest[-1]) if keep else (0,))
