"""The study of curves: that images are what they claim, and that a short run ends in a table."""

import json
from itertools import chain

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from sdunet.layers import SDNLayer
from sdunet.nets.registry import count_parameters

SIZES = [(64, 64), (32, 48, 48)]


@pytest.fixture(scope="module")
def curves(script):
    return script("curves")


@pytest.fixture(scope="module")
def networks(script):
    return script("curve_networks")


@pytest.fixture
def study(script, monkeypatch):
    """The study, of fewer and smaller images and volumes."""
    module = script("study_curves")
    images = module.Task((40, 40), {"40": (40, 40), "56": (56, 56)}, 6, 3, 2)
    volumes = module.Task((24, 32, 32), {"32": (24, 32, 32)}, 4, 2, 2)
    monkeypatch.setattr(module, "TASKS", {"images": images, "volumes": volumes})
    return module


@pytest.fixture(
    scope="module", params=[SIZES[0], pytest.param(SIZES[1], marks=pytest.mark.long)], ids=str
)
def images(request, curves):
    """Images of one size, and the cells of all of their curves."""
    size, seed = request.param, 7
    made = curves.make_curves(8, size, seed=seed)
    return made, curves.grow_curves(8, size, curves.CURVES[len(size)], np.random.default_rng(seed))


def between(a, b):
    """Chebyshev distances of all cells of one curve to all of another."""
    return np.abs(a[:, None] - b[None]).max(-1)


def test_curves_never_touch(curves, images):
    made, grown = images
    size = made.masks.shape[1:]
    for found in grown:
        drawn = np.zeros(size, bool)
        for curve in found:
            drawn[tuple(curve.T)] = True
        # One side grown over the gap: joined are just those with fewer empty cells between.
        wider = ndimage.binary_dilation(drawn, np.ones([curves.GAP] * len(size)))
        assert ndimage.label(wider, np.ones([3] * len(size)))[1] == len(found)


def test_a_curve_is_one_thin_course_that_keeps_off_itself(curves, images):
    for curve in chain(*images[1]):
        apart = between(curve, curve)
        along = np.abs(np.subtract.outer(range(len(curve)), range(len(curve))))
        assert (apart[along == 1] == 1).all()
        assert (apart[along > 1] > 1).all()
        assert (apart[along > curves.OWN] > curves.GAP).all()


@pytest.mark.long
def test_lengths_are_spread_over_their_range(curves):
    lengths = curves.make_curves(40, (64, 64)).lengths
    assert min(lengths) >= 64 * curves.SHORTEST
    assert max(lengths) <= 64 * curves.LONGEST[2]
    assert np.quantile(lengths, 0.9) > 3 * np.quantile(lengths, 0.1)


def test_the_mask_is_the_curve_that_begins_at_the_dot_and_the_dot(curves, images):
    made, grown = images
    for image, mask, dot, length, several in zip(
        made.images, made.masks, made.dots, made.lengths, grown, strict=True
    ):
        (curve,) = [c for c in several if (c[0] == dot).all()]
        wanted = np.zeros(mask.shape, bool)
        wanted[tuple(slice(i - 1, i + 2) for i in dot)] = True
        assert wanted.sum() == 3**mask.ndim
        others = np.concatenate([c for c in several if c is not curve])
        assert between(np.argwhere(wanted), others).min() > curves.GAP
        wanted[tuple(curve.T)] = True
        np.testing.assert_array_equal(mask, wanted)
        assert length == len(curve)
        everything = wanted.copy()
        everything[tuple(others.T)] = True
        np.testing.assert_array_equal(image > 0.5, everything)


@pytest.mark.long
def test_images_hang_on_the_seed_alone(curves):
    first, again, other = (curves.make_curves(4, (48, 48), seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not np.array_equal(first.masks, other.masks)


@pytest.mark.long
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_networks_are_of_one_size_and_take_any_map(networks, spatial_dims):
    wanted = networks.PARAMETERS[spatial_dims]
    swept = [f"sdunet_carry+{change}" for change in networks.LAYERS]
    for name in (*networks.NETWORKS, *swept, "unet4+batch_norm", "dilated+batch_norm"):
        network = networks.build(name, spatial_dims)
        assert abs(count_parameters(network) / wanted - 1) <= 0.05, name
        x = torch.zeros(1, 1, *(17, 24, 20)[:spatial_dims])
        assert network(x).shape == x.shape, name


def test_unknown_networks_are_refused(networks):
    with pytest.raises(ValueError, match=r"network must be one of .*, got 'other'"):
        networks.build("other", 2)
    with pytest.raises(ValueError, match=r"changes of unet4 must be of .*, got '1_group'"):
        networks.build("unet4+1_group", 2)


@pytest.mark.long
@pytest.mark.parametrize("order", ["1_group+side_by_side", "side_by_side+1_group"])
def test_changes_of_a_network_add_up(networks, order):
    network = networks.build(f"sdunet_carry+{order}+batch_norm", 2)
    layers = [part for part in network.modules() if isinstance(part, SDNLayer)]
    for layer in layers:
        assert isinstance(layer.sweeps, networks.SideBySide)
        assert len(layer.sweeps) == 4
        for sweep in layer.sweeps:
            assert len(sweep.cell.bias) == 2 * sweep.channels + 2  # one group of three taps
    assert len(layers) == 6
    assert not any(isinstance(part, nn.InstanceNorm2d) for part in network.modules())


def test_a_cell_that_carries_features_starts_from_them(networks):
    cell = networks.CarriesFeatures(4, 3, "reach")
    lines = torch.randn(1, 5, 6, 4)
    swept = cell.sweep(lines, reverse=False, backend="auto")
    torch.testing.assert_close(swept[:, 0], lines[:, 0])
    assert (swept.abs() <= lines.abs().amax((1, 2), keepdim=True)).all()


def test_a_network_of_another_size_is_refused(networks, monkeypatch):
    monkeypatch.setitem(networks.PARAMETERS, 2, 100)
    with pytest.raises(ValueError, match="unet4 must have 100 parameters within 5 %, got"):
        networks.build("unet4", 2)


def test_every_cell_has_a_place_of_its_own(networks):
    for shape in [(20, 12, 9), (20, 5, 6, 7)]:
        places = networks.places(shape).flatten(1).T
        assert places.shape == (np.prod(shape[1:]), 20)
        assert len(places.unique(dim=0)) == len(places)


def test_turning_keeps_image_and_mask_together(study):
    cells = torch.arange(3 * 2 * 5 * 5.0).reshape(3, 2, 5, 5)
    cells[:, 1] = cells[:, 0] + 1
    for seed in range(4):
        turned = study.turned(cells, np.random.default_rng(seed))
        assert not torch.equal(turned, cells)
        torch.testing.assert_close(turned[:, 1], turned[:, 0] + 1)
        torch.testing.assert_close(turned.flatten(2).sort()[0], cells.flatten(2).sort()[0])


def test_dice_of_masks(study):
    marked, wanted = torch.zeros(2, 1, 4, 4, dtype=bool), torch.zeros(2, 1, 4, 4, dtype=bool)
    marked[0, 0, 0], wanted[0, 0, :, 0], wanted[1, 0, 0] = True, True, True
    assert study.dice(marked, wanted) == [0.25, 0.0]


def test_what_needs_no_tracing(study, curves):
    made = curves.make_curves(3, (40, 40))
    cells = np.stack([made.images, made.masks], 1).astype(np.float32)
    wanted = study.Set(torch.from_numpy(cells), [], torch.from_numpy(made.dots))
    drawn, size = (made.images > 0.5).sum((1, 2)), made.masks.sum((1, 2))
    assert study.near(wanted, 2) == pytest.approx(2 * size / (size + drawn), abs=1e-5)
    # So near the dot there is nothing else.
    assert study.near(wanted, 1.5 / 40) == pytest.approx(2 * 9 / (size + 9), abs=1e-5)


def arguments(out, *more):
    return [str(out), "--steps", "2", "--rates", "1e-3", "--seeds", "0", *more]


def test_a_run_is_written_and_passed_over_when_there(
    study, networks, monkeypatch, tmp_path, capsys
):
    asked = arguments(tmp_path, "--networks", "unet4", "sdunet_carry")
    study.main(asked)
    paths = sorted(tmp_path.glob("*.json"))
    assert [path.name for path in paths] == [
        "images_sdunet_carry_rate_0.001_seed_0.json",
        "images_unet4_rate_0.001_seed_0.json",
    ]
    found = json.loads(paths[1].read_text())
    assert found["steps"] == len(found["losses"]) == 2
    assert {name: len(part["dice"]) for name, part in found["scores"].items()} == {
        "validation": 2,
        "40": 2,
        "56": 2,
    }
    before = [path.stat().st_mtime_ns for path in paths]
    study.main(asked)
    assert [path.stat().st_mtime_ns for path in paths] == before
    study.main(["--table", str(tmp_path)])
    table = capsys.readouterr().out
    assert "images: 6 for training, 2 steps" in table
    for row in ("unet4", "sdunet_carry", "mark every curve", "mark curves near the dot"):
        assert table.count(f"| {row} |") == 3  # what was reached, and two tables by length
    with pytest.raises(SystemExit, match=r"was run with {'steps': 2}: name another folder"):
        study.main([*asked, "--steps", "3"])
    monkeypatch.setitem(networks.SWEEPING[2], "num_features", 5)
    with pytest.raises(SystemExit, match=r"carry.*was run with {'arguments': {.*'cell': 'carry'"):
        study.main(asked)


def test_volumes_run_too(study, tmp_path, capsys):
    study.main(arguments(tmp_path, "--volumes", "--networks", "attention"))
    study.main(["--table", str(tmp_path)])
    assert "volumes: 4 for training, 2 steps" in capsys.readouterr().out


def test_a_run_repeats_itself_to_the_bit(study, tmp_path):
    runs = []
    for out in (tmp_path / "a", tmp_path / "b"):
        study.main(arguments(out, "--networks", "attention"))
        (path,) = out.glob("*.json")
        runs.append(json.loads(path.read_text()))
    assert runs[0]["losses"] == runs[1]["losses"]
    assert runs[0]["scores"] == runs[1]["scores"]


def test_the_table_takes_the_rate_that_is_best_in_validation(script, tmp_path):
    for rate, seed, reached in [(0.1, 0, 0.5), (0.1, 1, 0.9), (0.2, 0, 0.6), (0.2, 1, 0.7)]:
        part = {"dice": [reached], "every": [0.4], "near": [0.4], "lengths": [20]}
        found = {"task": "images", "network": "a", "rate": rate, "seed": seed, "steps": 9}
        found |= {"count": 1, "parameters": 7, "seconds": 1, "ms_per_step": 1}
        found |= {"losses": [2.0, 1.0], "scores": {"validation": part, "64": part}}
        (tmp_path / f"a_{rate}_seed_{seed}.json").write_text(json.dumps(found))
    table = script("curve_tables").tables(tmp_path)
    assert "| a | 7 | 0.1 | 2 | 0.700 (0.500..0.900) | 0.000 (0.000..0.000) |" in table
    assert "| -50.0 % | no | 1 | 1 | 0.1: 0.700, 0.2: 0.650 |" in table


def test_a_folder_without_runs_has_no_table(script, tmp_path):
    with pytest.raises(SystemExit, match="no runs in"):
        script("curve_tables").tables(tmp_path)
