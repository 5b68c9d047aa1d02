"""Preparing: labels, grids, folds, and what happens to bad cases."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from by_hand import rewrite
from PIL import Image

from data_prep.core.config import DataConfig, Plan
from data_prep.core.errors import DataError
from data_prep.core.scan import Scan
from data_prep.files.atomic import write_array, write_json
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from data_prep.preprocessing.grid import from_grid, grid_of, to_grid
from data_prep.preprocessing.intensity import normalise, scaling_of
from data_prep.reading.label import to_classes

CLASSES = {"background": 0, "organ": 1, "lesion": 2}
ORDERS = [
    (axes, signs)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def oriented(axes, signs, spacing=(1.0, 2.0, 3.0)):
    """Affine of a scan whose axes run along the given world axes in the given sense."""
    affine = np.zeros((4, 4))
    for column, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, column] = sign * spacing[column]
    affine[:, 3] = (5, -7, 11, 1)
    return affine


@pytest.mark.parametrize(("axes", "signs"), ORDERS, ids=str)
def test_every_axis_order_goes_to_ras_and_back_exactly(axes, signs):
    array = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 5)).astype(np.uint16)
    scan = Scan(array, oriented(axes, signs))
    grid = grid_of(scan, None)
    there = to_grid(array, grid)
    assert nib.aff2axcodes(grid.affine) == ("R", "A", "S")
    assert there.dtype == array.dtype
    np.testing.assert_array_equal(from_grid(there, grid), array)
    # The same world point holds the same value before and after.
    cell = (1, 2, 3)
    world = scan.affine @ (*cell, 1)
    new = np.rint(np.linalg.solve(grid.affine, world)).astype(int)[:3]
    np.testing.assert_array_equal(there[:, *new], array[:, *cell])


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))), ids=str)
def test_resampled_probabilities_come_back_on_the_scans_grid(axes):
    affine = oriented(axes, (1, -1, 1), spacing=(1.0, 1.3, 1.7))
    size = (24, 21, 19)
    at = np.indices(size) - np.array([12, 10, 9]).reshape(3, 1, 1, 1)
    scale = np.array([1.0, 1.3, 1.7]).reshape(3, 1, 1, 1)
    ball = (np.linalg.norm(at * scale, axis=0) < 8).astype(np.float32)
    grid = grid_of(Scan(ball[None], affine), (1.5, 1.5, 1.5))
    there = to_grid(ball[None], grid)
    assert grid.resamples
    assert np.allclose(Scan(there, grid.affine).spacing, 1.5)
    back = from_grid(there, grid)[0]
    assert back.shape == size
    dice = 2 * ((back > 0.5) & (ball > 0.5)).sum() / ((back > 0.5).sum() + ball.sum())
    assert dice > 0.98


def test_labels_are_resampled_to_labels():
    label = np.zeros((1, 8, 8, 8), np.uint8)
    label[:, 2:6, 2:6, 2:6] = 2
    there = to_grid(label, grid_of(Scan(label, np.eye(4)), (0.7, 0.7, 0.7)), label=True)
    assert there.dtype == np.uint8
    assert set(np.unique(there)) == {0, 2}


def test_zscore_gives_mean_zero_and_deviation_one_and_leaves_flat_channels_at_zero():
    array = np.stack([np.arange(12.0).reshape(3, 4), np.full((3, 4), 7.0)])
    plan = Plan(2, ("a", "b"), CLASSES, {}, "zscore", None, (4, 4))
    out = normalise(array, scaling_of(array, plan))
    np.testing.assert_allclose([out[0].mean(), out[0].std()], [0, 1], atol=1e-6)
    assert (out[1] == 0).all()


def test_unit_divides_by_the_largest_number_of_the_type():
    plan = Plan(2, ("a",), CLASSES, {}, "unit", None, (4, 4))
    array = np.array([[[0, 65535]]], np.uint16)
    np.testing.assert_allclose(normalise(array, scaling_of(array, plan)), [[[0, 1]]])


def test_label_values_become_classes():
    array = np.array([[0.0, 1.0000001, 254.9999, 0]])
    got = to_classes(array, CLASSES, {255: 2})[0]
    assert got.dtype == np.uint8
    assert got.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [0, 1, 255, 255],
            r"LBL_UNKNOWN: unknown label value 255 \(2 times\), classes are .*\{255: 0\}",
        ),
        ([0, -1], r"LBL_UNKNOWN: unknown label value -1 \(1 times\)"),
        ([0, 0.5, 1], r"LBL_INTERPOLATED: 3 values such as \[0.5\]"),
        ([0, np.nan], r"LBL_NONFINITE"),
    ],
)
def test_values_that_are_no_classes_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        to_classes(np.array([values], float), CLASSES, {})


def test_prepared_pictures_are_the_raw_ones(discs, tmp_path):
    root = discs(foreground=255)
    config = DataConfig(labels={"background": 0, "disc": 1}, label_map={255: 1})
    dataset, problems = prepare(root, tmp_path / "out", config)
    assert not problems
    again = load_dataset(tmp_path / "out")
    assert again == dataset
    image, label = again.arrays("disc_2")
    from PIL import Image

    np.testing.assert_array_equal(image[0], np.asarray(Image.open(root / "images/disc_2.png")))
    mask = np.asarray(Image.open(root / "masks/disc_2.png"))
    np.testing.assert_array_equal(label[0], mask == 255)
    assert image.dtype == label.dtype == np.uint8
    assert again.cases["disc_2"].voxels == [int((mask == 0).sum()), int((mask == 255).sum())]
    assert (tmp_path / "out/qc/disc_2.png").is_file()


def test_volumes_get_the_median_spacing_and_declared_classes(balls, tmp_path):
    root = balls(affine=np.diag([-1.0, 1.0, 2.0, 1.0]))
    dataset, problems = prepare(root, tmp_path / "out", DataConfig())
    assert not problems
    assert dataset.plan.spacing == (1.0, 1.0, 2.0)
    assert dataset.plan.labels == {"background": 0, "front": 1, "back": 2}
    assert "median of 4 cases" in dataset.plan.why["spacing"]
    raw = nib.load(root / "labelsTr/ball_1.nii.gz").get_fdata()
    np.testing.assert_array_equal(dataset.arrays("ball_1")[1][0], raw[::-1])


def test_bad_cases_are_named_and_the_others_prepared(discs, tmp_path, write_picture):
    root = discs(count=8)
    (root / "masks/disc_0.png").unlink()
    write_picture(root / "masks/disc_1.png", np.zeros((40, 48), np.uint8))
    good = (root / "images/disc_2.png").read_bytes()
    (root / "images/disc_2.png").write_bytes(good[: len(good) // 2])
    write_picture(root / "masks/disc_3.png", np.full((48, 48), 3, np.uint8))
    write_picture(root / "images/disc_4.png", np.full((48, 48), 9, np.uint8))
    dataset, problems = prepare(root, tmp_path / "out", DataConfig())
    assert list(dataset.cases) == ["disc_5", "disc_6", "disc_7"]
    texts = {p.case: str(p) for p in problems}
    assert texts["disc_0"].startswith("PAIR_NO_LABEL case disc_0: no label")
    assert "image 48x48, label 40x48" in texts["disc_1"]
    assert texts["disc_2"].startswith("IO_DAMAGED case disc_2: cannot be decoded")
    assert "images/disc_2.png" in texts["disc_2"]
    assert "unknown label value 3 (2304 times)" in texts["disc_3"]
    assert "INT_CONSTANT case disc_4: every voxel is 9" in texts["disc_4"]
    left = list((tmp_path / "out/.sdunet/partial").iterdir())
    assert not left


def test_label_displaced_in_the_world_is_refused(balls, tmp_path, write_nifti):
    root = balls()
    moved = np.eye(4)
    moved[0, 3] = 0.5
    label = nib.load(root / "labelsTr/ball_0.nii.gz").get_fdata().astype(np.uint8)
    write_nifti(root / "labelsTr/ball_0.nii.gz", label, moved)
    _, problems = prepare(root, tmp_path / "out", DataConfig())
    assert [str(p) for p in problems] == [
        "GEO_AFFINE case ball_0: label lies up to 0.5 mm away from the image; "
        "export the label on the grid of the image, or accept it: dataset.accept: [GEO_AFFINE]"
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_refused(balls, tmp_path, write_nifti, bad):
    root = balls()
    image = nib.load(root / "imagesTr/ball_0.nii.gz").get_fdata().astype(np.float32)
    image[3, 3, 3] = bad
    write_nifti(root / "imagesTr/ball_0.nii.gz", image)
    _, problems = prepare(root, tmp_path / "out", DataConfig())
    assert "INT_NONFINITE case ball_0: 1 NaN or infinite voxels" in str(problems[0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DataConfig(labels={"a": 0, "b": 2}), "LBL_CLASSES: classes {'a': 0, 'b': 2}; number"),
        (
            DataConfig(labels={"a": 0, "b": 1, "c": 1}),
            "LBL_CLASSES: class 1 has several names: b, c",
        ),
        (DataConfig(label_map={5: 9}), r"LBL_CLASSES: dataset.label_map or .* lead to \[9\]"),
        (
            DataConfig(patch_size=(8, 8, 8)),
            r"PLAN_PATCH: dataset.patch_size \(8, 8, 8\) for 2 axes",
        ),
        (
            DataConfig(patch_size=(1 << 14, 1 << 15)),
            r"PLAN_PATCH: .*; give no more than 268,435,456",
        ),
        (
            DataConfig(labels={"a": 0, 1: 1}),
            r"LBL_CLASSES: the name 1 is no text; put it in quotes",
        ),
        (DataConfig(labels={"a": 0, " ": 1}), "LBL_CLASSES: the name ' ' is empty"),
        (DataConfig(channels=("a", "b")), r"SET_EMPTY: none of 5 cases can be used.*CH_COUNT"),
        (DataConfig(label_map={1: 0}), "LBL_ALL_EMPTY: no case has any foreground"),
        (DataConfig(group_pattern="(x)"), "SPLIT_PATTERN case disc_0"),
        (DataConfig(group_pattern="(x)?"), "SPLIT_PATTERN case disc_0"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_a_dataset_appears(
    discs, tmp_path, config, message
):
    with pytest.raises(DataError, match=message):
        prepare(discs(), tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


def times_written(root):
    return {p.name: p.stat().st_mtime_ns for p in sorted((root / "images").iterdir())}


def test_preparing_again_redoes_only_what_changed(discs, tmp_path, write_picture):
    root, out = discs(), tmp_path / "out"
    first, _ = prepare(root, out, DataConfig())
    before = times_written(out)
    assert prepare(root, out, DataConfig())[0] == first
    assert times_written(out) == before
    write_picture(root / "images/disc_1.png", np.eye(48, dtype=np.uint8))
    (out / "images/disc_3.npy").write_bytes(b"damaged")
    prepare(root, out, DataConfig())
    changed = {name for name, time in times_written(out).items() if time != before[name]}
    assert changed == {"disc_1.npy", "disc_3.npy"}
    np.testing.assert_array_equal(load_dataset(out).arrays("disc_1")[0][0], np.eye(48))


def test_interrupted_preparation_is_no_dataset_and_can_go_on(discs, tmp_path, monkeypatch):
    root, out = discs(foreground=2), tmp_path / "out"
    first = DataConfig(label_map={2: 1})
    prepare(root, out, first)

    def stop(items, title):
        yield from items if title == "checking" else items[:3]
        if title == "preparing":
            raise KeyboardInterrupt

    second = DataConfig(labels={"background": 0, "a": 1, "b": 2}, accept=("LBL_ABSENT",))
    with pytest.raises(KeyboardInterrupt):
        prepare(root, out, second, stop)
    with pytest.raises(DataError, match="OUT_UNFINISHED: sdunet prepare was cut short"):
        load_dataset(out)
    dataset, _ = prepare(root, out, second)
    assert all(set(np.unique(dataset.arrays(case)[1])) == {0, 2} for case in dataset.cases)


def test_output_inside_the_data_is_refused(discs):
    root = discs()
    for out in (root, root / "prepared", root / "images"):
        with pytest.raises(DataError, match="OUT_IN_DATA"):
            prepare(root, out, DataConfig())


def test_damaged_arrays_are_found_before_training(discs, tmp_path):
    dataset, _ = prepare(discs(), tmp_path / "out", DataConfig())
    dataset.verify()
    path = tmp_path / "out/labels/disc_1.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"SET_HASH case disc_1: .*labels/disc_1.npy"):
        dataset.verify()


def test_resampling_beyond_memory_is_refused(balls):
    scan = Scan(np.zeros((1, 90, 90, 90)), np.diag([900.0, 900, 900, 1]))
    with pytest.raises(DataError, match=r"GEO_RESAMPLE: 5.\d+e\+14 voxels"):
        grid_of(scan, (1.0, 1.0, 1.0))


def test_unit_takes_images_of_the_planned_type_only():
    plan = Plan(2, ("a",), CLASSES, {}, "unit", None, (4, 4), largest=255)
    assert scaling_of(np.ones((1, 2, 2), np.uint8), plan).scale == [255.0]
    with pytest.raises(DataError, match="INT_UNIT: uint16 values, up to 65535; planned for up to"):
        scaling_of(np.ones((1, 2, 2), np.uint16), plan)


def test_images_of_two_types_are_refused_for_unit(discs, tmp_path):
    root = discs()
    path = root / "images/disc_1.png"
    pixels = np.asarray(Image.open(path)).astype(np.uint16)
    Image.fromarray(pixels).save(path)
    with pytest.raises(DataError, match="INT_UNIT: types of images whose largest numbers"):
        prepare(root, tmp_path / "out", DataConfig(intensity="unit"))
    dataset, _ = prepare(root, tmp_path / "out", DataConfig())
    assert dataset.plan.largest is None


def test_unit_is_refused_for_real_numbers():
    plan = Plan(2, ("a",), CLASSES, {}, "unit", None, (4, 4))
    with pytest.raises(DataError, match="INT_UNIT"):
        scaling_of(np.zeros((1, 2, 2)), plan)


def test_large_offsets_do_not_swallow_differences():
    array = 1e9 + np.arange(100.0).reshape(1, 10, 10)
    plan = Plan(2, ("a",), CLASSES, {}, "zscore", None, (4, 4))
    assert len(np.unique(normalise(array, scaling_of(array, plan)))) == 100


def test_other_settings_prepare_every_case_anew(discs, tmp_path):
    root, out = discs(), tmp_path / "out"
    prepare(root, out, DataConfig())
    changed, _ = prepare(root, out, DataConfig(intensity="unit"))
    assert changed.cases["disc_0"].scaling.scale == [255.0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.update(schema=99), "SET_SCHEMA: schema 99, known is 3; prepare again"),
        (lambda d: d.pop("plan"), "SET_JSON: no key 'plan'"),
        (lambda d: d["cases"].pop(), "SET_JSON: splits.json names unknown cases"),
        (lambda d: d["cases"][0].update(size=[1, 2]), "SET_FILE case disc_0: an array is not of"),
        (lambda d: d["cases"][0].update(image="images/no.npy"), "SET_FILE case disc_0: cannot"),
    ],
)
def test_spoilt_dataset_is_refused(discs, tmp_path, spoil, message):
    out = tmp_path / "out"
    prepare(discs(), out, DataConfig())
    rewrite(out / "dataset.json", spoil)
    with pytest.raises(DataError, match=message):
        load_dataset(out).arrays("disc_0")


def test_numbers_of_a_case_that_are_none_are_refused(discs, tmp_path):
    out = tmp_path / "out"
    prepare(discs(), out, DataConfig())
    whole = (out / "dataset.json").read_bytes()
    for name in ("lost_objects", "ignored", "voxels", "size"):
        for value in (-1, 0.5, 1 << 70, True, None):
            several = name in ("voxels", "size")
            spoilt = {name: [value, value] if several else value}
            (out / "dataset.json").write_bytes(whole)
            rewrite(out / "dataset.json", lambda d, spoilt=spoilt: d["cases"][0].update(spoilt))
            with pytest.raises(DataError, match="SET_JSON"):
                load_dataset(out)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    write_array(path, np.zeros(3))
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_array(path, np.ones(4))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"dice": float("nan")})
    assert not list(tmp_path.iterdir())


LINKS = {
    "inside": "disc_1.png",
    "outside": "../../else.png",
    "nowhere": "none.png",
    "itself": "disc_0.png",
}


@pytest.mark.parametrize("to", LINKS)
def test_a_link_in_the_place_of_a_picture_is_named_and_stays(discs, tmp_path, to):
    raw, out = discs(), tmp_path / "out"
    (tmp_path / "else.png").write_bytes(b"mine")
    prepare(raw, out, DataConfig())
    described = (out / "dataset.json").read_bytes()
    link = out / "qc/disc_0.png"
    link.unlink()
    link.symlink_to(LINKS[to])
    with pytest.raises(DataError, match=r"OUT_TAKEN: qc/disc_0.png in .* was changed since"):
        prepare(raw, out, DataConfig())
    assert link.is_symlink()
    assert (tmp_path / "else.png").read_bytes() == b"mine"
    assert (out / "dataset.json").read_bytes() == described
