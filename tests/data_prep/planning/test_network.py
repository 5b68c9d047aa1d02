"""The U-Net that is planned for a patch, against what the rule says by hand."""

import pytest

from data_prep.planning.network import fit_network


def planned(patch, spacing, patches=99.0):
    return fit_network(patch, spacing, patches, {})


@pytest.mark.parametrize(
    ("patch", "spacing", "strides", "first_windows"),
    [
        ((128, 128), None, [(2, 2)] * 5, (3, 3)),
        ((32, 48, 32), (1, 1, 1), [(2, 2, 2)] * 3, (3, 3, 3)),
        # Slices of 5 mm: halved across them once the others have come near.
        ((96, 96, 32), (0.7, 0.7, 5), [(2, 2, 1)] * 2 + [(2, 2, 2)] * 2 + [(1, 1, 2)], (3, 3, 1)),
        ((16, 96, 96), (6, 1, 1), [(1, 2, 2)] * 2 + [(2, 2, 2)] * 2, (1, 3, 3)),
        # An axis that has no voxels left does not keep the others from being halved.
        ((64, 64, 8), (1, 1, 1), [(2, 2, 2), (2, 2, 1), (2, 2, 1), (2, 2, 1)], (3, 3, 3)),
        ((4, 4), None, [(2, 2)], (3, 3)),
        ((1, 7), None, [(1, 2)], (3, 3)),
    ],
)
def test_axes_are_halved_as_far_as_spacing_and_size_allow(patch, spacing, strides, first_windows):
    network = planned(patch, spacing)
    assert list(network.strides) == strides
    assert network.kernel_sizes[0] == first_windows
    assert set(network.kernel_sizes[-1]) == {3}
    assert len(network.features) == len(network.kernel_sizes) == len(strides) + 1


def test_spacing_at_the_bottleneck_is_even_and_four_voxels_are_left():
    patch, spacing = (320, 320, 48), (0.5, 0.5, 3.0)
    strides = planned(patch, spacing).strides
    cells, mm = list(patch), list(spacing)
    for step in strides:
        cells = [n // by for n, by in zip(cells, step, strict=True)]
        mm = [a * by for a, by in zip(mm, step, strict=True)]
    assert min(cells) >= 4
    assert max(mm) / min(mm) < 2


@pytest.mark.parametrize(("fit", "batch"), [(0.3, 2), (3.9, 3), (1000, 4)])
def test_a_batch_is_what_memory_holds_within_its_bounds(fit, batch):
    assert planned((64, 64), None, fit).batch_size == batch


def test_the_order_of_axes_does_not_matter():
    one, other = planned((96, 64, 16), (1, 1, 4)), planned((16, 96, 64), (4, 1, 1))
    turned = [(c, a, b) for a, b, c in one.strides]
    assert turned == list(other.strides)


def test_the_reason_is_told():
    why = {}
    fit_network((96, 96, 32), (0.7, 0.7, 5), 9.0, why)
    assert "in all by 16, 16, 8" in why["network"]
    assert "thick along axis 2" in why["network"]
