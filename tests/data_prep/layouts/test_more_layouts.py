"""Layouts of other tools: found by themselves, and written back for them."""

import json

import nibabel as nib
import numpy as np
import pytest
from bad_sets import SIZE, Pictures, Series, Volumes, blob, gz, nifti, noise, picture, png

from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.core.findings import Findings
from data_prep.core.scan import Scan
from data_prep.files.file_tree import open_tree
from data_prep.formats.encode import encode
from data_prep.formats.nifti import read_nifti
from data_prep.layouts import find_layout
from data_prep.prepared.dataset import load_dataset
from data_prep.prepared.prepare import prepare
from data_prep.reading.image import read_case_image
from sdunet.cli.main import main

PAIR = gz(nifti(noise())), gz(nifti(blob()))


@pytest.fixture
def tree_of(tmp_path):
    """Writer of files by name; opens them as a tree."""

    def write(files):
        for name, data in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        return open_tree(tmp_path)

    return write


def found(tree):
    layout = find_layout(tree)
    return layout.name, {case.id: (case.scans, case.labels) for case in layout.cases}


@pytest.mark.parametrize("channel_key", ["channel_names", "modality"])
def test_nnunet_raw_joins_its_channels(tree_of, channel_key):
    second = gz(nifti(noise(3)))
    tree = tree_of(
        {
            "dataset.json": {
                channel_key: {"0": "T1", "1": "FLAIR"},
                "labels": {"background": 0, "lesion": 1},
                "numTraining": 2,
                "file_ending": ".nii.gz",
            },
            "imagesTr/a_0000.nii.gz": PAIR[0],
            "imagesTr/a_0001.nii.gz": second,
            "imagesTr/b_0000.nii.gz": PAIR[0],
            "labelsTr/a.nii.gz": PAIR[1],
            "labelsTr/b.nii.gz": PAIR[1],
        }
    )
    layout = find_layout(tree)
    assert (layout.name, layout.channels) == ("nnunet", ("T1", "FLAIR"))
    assert layout.labels == {"background": 0, "lesion": 1}
    (case,) = layout.cases
    image = read_case_image(tree, case).array
    np.testing.assert_array_equal(image, [noise(), noise(3)])
    assert [str(p) for p in layout.problems] == [
        "PAIR_NO_IMAGE case b: no channel 1, looked for b_0001 (imagesTr/b_0000.nii.gz); "
        "add it, or remove the others"
    ]


def test_channels_on_several_grids_are_refused(tree_of):
    tree = tree_of(
        {
            "dataset.json": {"channel_names": {"0": "a", "1": "b"}, "labels": {"x": 0, "y": 1}},
            "imagesTr/a_0000.nii.gz": PAIR[0],
            "imagesTr/a_0001.nii.gz": gz(nifti(noise(size=(9, 11, 12)))),
            "labelsTr/a.nii.gz": PAIR[1],
        }
    )
    with pytest.raises(DataError, match=r"GEO_SHAPE: first channel 10x11x12, channel 9x11x12.*001"):
        read_case_image(tree, find_layout(tree).cases[0])


def test_monai_datalist_has_folds_and_a_test_set(tree_of):
    tree = tree_of(
        {
            "task.json": {
                "labels": {"0": "background", "1": "lesion"},
                "training": [
                    {"image": "x/a.nii.gz", "label": "y/a.nii.gz", "fold": 2},
                    {"image": ["x/b0.nii.gz", "x/b1.nii.gz"], "label": "y/b.nii.gz"},
                ],
                "test": [{"image": "x/c.nii.gz", "label": "y/c.nii.gz"}, "x/d.nii.gz"],
            },
            **{f"x/{n}.nii.gz": PAIR[0] for n in ("a", "b0", "b1", "c", "d")},
            **{f"y/{n}.nii.gz": PAIR[1] for n in "abc"},
        }
    )
    layout = find_layout(tree)
    assert layout.name == "monai datalist"
    assert {case.id: case.split for case in layout.cases} == {"a": 2, "b0": None, "c": "test"}
    assert layout.cases[1].scans == (("x/b0.nii.gz",), ("x/b1.nii.gz",))


def test_csv_names_files_groups_and_splits(tree_of):
    table = (
        "id;image;label;patient;split\n"
        "one;i/a.nii.gz;l/a.nii.gz;p1;0\n"
        "two;i/b.nii.gz | i/c.nii.gz;l/b.nii.gz;p2;test\n"
        "three;i/x.nii.gz;l/b.nii.gz;p2;\n"
    )
    files = {f"i/{n}.nii.gz": PAIR[0] for n in "abc"} | {f"l/{n}.nii.gz": PAIR[1] for n in "ab"}
    layout = find_layout(tree_of({"cases.csv": table.encode(), **files}))
    assert layout.name == "csv"
    assert [(c.id, c.group, c.split) for c in layout.cases] == [
        ("one", "p1", 0),
        ("two", "p2", "test"),
    ]
    assert [p.case for p in layout.problems] == ["three"]


@pytest.mark.parametrize("name", ["../secret.nii.gz", "/etc/secret.nii.gz"])
def test_lists_cannot_name_files_outside(tree_of, name):
    text = f"image,label\n{name},l/a.nii.gz\n"
    with pytest.raises(DataError, match=r"LAY_PATH: cases.csv names"):
        find_layout(tree_of({"cases.csv": text.encode(), "l/a.nii.gz": PAIR[1]}))


@pytest.mark.parametrize("name", ["..\\secret.nii.gz", "i\\..\\..\\secret.nii.gz"])
def test_back_slashes_do_not_lead_outside(tree_of, name):
    text = f"image,label\n{name},l/a.nii.gz\n"
    with pytest.raises(DataError, match=r"LAY_PATH: cases.csv names"):
        find_layout(tree_of({"cases.csv": text.encode(), "l/a.nii.gz": PAIR[1]}))


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("path", ["i\\{}.nii.gz", ".\\i\\{}.nii.gz", "{root}/i/{}.nii.gz"])
def test_lists_name_files_as_windows_does_and_by_absolute_paths(tmp_path, tree_of, kind, path):
    files = {f"i/{n}.nii.gz": PAIR[0] for n in "ab"} | {f"l/{n}.nii.gz": PAIR[1] for n in "ab"}
    root = tree_of(files).root.resolve()
    pairs = [(path.format(n, root=root), f"l/{n}.nii.gz") for n in "ab"]
    if kind == "csv":
        listed = {"cases.csv": "\n".join(["image,label", *map(",".join, pairs)]).encode()}
    else:
        records = [{"image": image, "label": label} for image, label in pairs]
        listed = {"list.json": json.dumps({"training": records}).encode()}
    layout = find_layout(tree_of(files | listed))
    assert [(case.id, case.image) for case in layout.cases] == [
        ("a", "i/a.nii.gz"),
        ("b", "i/b.nii.gz"),
    ]


def test_bids_pairs_scans_with_derivatives_by_their_entities(tree_of):
    tree = tree_of(
        {
            "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz": PAIR[0],
            "sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz": PAIR[0],
            "sub-02/anat/sub-02_T1w.nii.gz": PAIR[0],
            "sub-03/anat/sub-03_T1w.nii.gz": PAIR[0],
            "derivatives/manual/sub-01/anat/sub-01_ses-1_T1w_label-lesion_mask.nii.gz": PAIR[1],
            "derivatives/manual/sub-02/anat/sub-02_space-orig_dseg.nii.gz": PAIR[1],
            "derivatives/manual/sub-04/anat/sub-04_dseg.nii.gz": PAIR[1],
        }
    )
    layout = find_layout(tree)
    assert layout.name == "bids"
    assert [(c.id, c.group) for c in layout.cases] == [
        ("sub-01_ses-1_T1w", "sub-01"),
        ("sub-02_T1w", "sub-02"),
    ]
    assert sorted((p.code, p.case) for p in layout.problems) == [
        ("PAIR_NO_IMAGE", "sub-04"),
        ("PAIR_NO_LABEL", "sub-01_ses-1_FLAIR"),
        ("PAIR_NO_LABEL", "sub-03_T1w"),
    ]


def test_a_label_of_bids_that_may_be_of_several_scans_says_so_and_how_to_call_it(tree_of):
    scans = {f"sub-1/ses-1/dwi/sub-1_ses-1_{kind}.nii.gz": PAIR[0] for kind in ("dwi", "adc")}
    label = "derivatives/sub-1/ses-1/sub-1_ses-1_{}.nii.gz"  # as ISLES 2022 has it
    layout = find_layout(tree_of(scans | {label.format("msk"): PAIR[1]}))
    assert not layout.cases
    (problem,) = [error for error in layout.problems if error.code == "PAIR_NO_IMAGE"]
    assert "called as each of 2 scans: sub-1/ses-1/dwi/sub-1_ses-1_adc.nii.gz" in problem.found
    (tree_of({}).root / label.format("msk")).unlink()
    layout = find_layout(tree_of({label.format("dwi_msk"): PAIR[1]}))
    assert [case.id for case in layout.cases] == ["sub-1_ses-1_dwi"]


@pytest.mark.parametrize(
    ("name", "image", "label"),
    [
        ("lits", "batch 1/volume-0.nii", "batch 1/segmentation-0.nii"),
        ("lits", "a/volume-12.nii", "b/segmentation-12.nii"),
        ("folder pairs", "CVC/Original/1.tif", "CVC/Ground Truth/1.tif"),
        ("folder pairs", "Kvasir/images/cju0.png", "Kvasir/masks/cju0.png"),
        ("folder pairs", "set/imgs/img_007.png", "set/gt/mask_007.png"),
        ("folder pairs", "images/case-3-image.png", "labels/case-3-seg.png"),
        ("folder pairs", "imagesTr/x.nii", "labelsTr/x.nii"),
        ("file pairs", "nuclei/x.tif", "nuclei/x_masks.tif"),
        ("file pairs", "p1/scan.nii.gz", "p1/scan_seg.nii.gz"),
    ],
)
def test_pairs_are_found_by_their_names(tree_of, name, image, label):
    layout, cases = found(tree_of({image: PAIR[0], label: PAIR[1]}))
    assert layout == name
    assert list(cases.values()) == [(((image,),), (label,))]


def test_missing_half_of_a_lits_pair_is_named(tree_of):
    names = ("volume-0.nii", "segmentation-0.nii", "volume-1.nii", "segmentation-2.nii")
    layout = find_layout(tree_of(dict.fromkeys(names, PAIR[0])))
    assert sorted(p.code for p in layout.problems) == ["PAIR_NO_IMAGE", "PAIR_NO_LABEL"]


def test_names_in_another_unicode_form_are_one_case(tree_of):
    composed, apart = "n\u00e4vus", "na\u0308vus"
    files = {f"images/{composed}.png": png(picture()), f"images/{apart}.png": png(picture(1))}
    problems = find_layout(
        tree_of({**files, **{n.replace("images", "masks"): d for n, d in files.items()}})
    ).problems
    assert [p.code for p in problems] == ["PAIR_DUPLICATE"]


@pytest.mark.parametrize("to", ["folders", "nnunet", "monai"])
@pytest.mark.parametrize("kind", [Volumes, Pictures, Series])
def test_written_in_another_layout_the_cases_are_the_same(tmp_path, kind, to):
    kind(tmp_path / "raw")
    config = DataConfig(**kind.config)
    before = check(tmp_path / "raw", config)
    written, _, problems = convert(tmp_path / "raw", tmp_path / "out", config, to)
    assert (written, problems) == (["bad", "good_0", "good_1", "good_2"], [])
    after = check(tmp_path / "out", config)
    folders = "csv" if kind is Series else "folder pairs"  # which tells of patients
    assert after.layout.name == {"folders": folders, "monai": "monai datalist"}.get(to, to)
    assert to == "nnunet" or after.groups == before.groups
    assert list(after.facts) == written
    for id_, facts in after.facts.items():
        assert facts.pixels_sha256 == before.facts[id_].pixels_sha256
        assert facts.voxels == before.facts[id_].voxels
        np.testing.assert_allclose(facts.spacing or 1, before.facts[id_].spacing or 1, rtol=1e-5)


def test_several_channels_go_to_nnunet_and_come_back(tmp_path, tree_of):
    table = "image,label\ni/a.nii.gz|i/b.nii.gz,l/a.nii.gz\n"
    files = {"i/a.nii.gz": PAIR[0], "i/b.nii.gz": gz(nifti(noise(2))), "l/a.nii.gz": PAIR[1]}
    raw = tree_of({f"raw/{n}": d for n, d in {"t.csv": table.encode(), **files}.items()}).root
    config = DataConfig(channels=("T1", "T2"))
    convert(raw / "raw", tmp_path / "out", config, "nnunet")
    described = json.loads((tmp_path / "out/dataset.json").read_text())
    assert described["channel_names"] == {"0": "T1", "1": "T2"}
    tree = open_tree(tmp_path / "out")
    image = read_case_image(tree, find_layout(tree).cases[0])
    np.testing.assert_array_equal(image.array, [noise(), noise(2)])


def test_repaired_copy_has_nothing_left_to_note(tmp_path, capsys):
    planted = Volumes(tmp_path / "raw")
    planted.label(gz(nifti(blob() * np.float32(1.0000002))))
    planted.image(nifti(noise()))
    assert main(["check", str(tmp_path / "raw"), "--fix", str(tmp_path / "fixed")]) == 0
    out = capsys.readouterr().out
    assert "note IO_SUFFIX case bad (images/bad.nii.gz): not gzip though named .nii.gz" in out
    assert "note     LBL_ROUNDED" in out
    assert not check(tmp_path / "fixed", DataConfig()).findings
    repairs = json.loads((tmp_path / "fixed/repairs.json").read_text())
    assert {(r["case"], r["code"]) for r in repairs} == {
        ("bad", "IO_SUFFIX"),
        ("bad", "LBL_ROUNDED"),
    }
    convert(tmp_path / "raw", tmp_path / "fixed", DataConfig())  # again, over its own
    assert not check(tmp_path / "fixed", DataConfig()).findings


def test_check_prints_json_and_tells_by_its_status(tmp_path, capsys):
    planted = Volumes(tmp_path / "raw")
    assert main(["check", str(tmp_path / "raw")]) == 0
    assert "layout folder pairs: 4 cases can be used" in capsys.readouterr().out
    planted.image(b"")
    assert main(["check", str(tmp_path / "raw"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["cases"], told["usable"]) == (4, 3)
    assert told["findings"][0]["code"] == "IO_EMPTY"
    assert told["findings"][0]["file"] == "images/bad.nii.gz"


@pytest.mark.parametrize(
    ("array", "affine", "suffix"),
    [
        (noise()[None], np.diag([1.0, 2, 3, 1]), ".nii.gz"),
        (np.stack([noise(), noise(1)]), np.diag([1.0, 2, 3, 1]), ".nii.gz"),
        (noise()[None].astype(np.int64), np.diag([1.0, 2, 3, 1]), ".nii.gz"),
        (noise()[None], np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
         ".nii.gz"),
        (picture()[None], None, ".png"),
        (np.stack([picture(i) for i in range(3)]), None, ".png"),
        (picture()[None].astype(np.uint16) * 257, None, ".png"),
        (np.stack([picture(i) for i in range(3)]).astype(np.uint16) * 257, None, ".tif"),
        (picture()[None].astype(np.float32) / 7, None, ".tif"),
    ],
)  # fmt: skip
def test_encoded_scans_hold_what_they_held(array, affine, suffix):
    scan = Scan(array, affine, (1, 1))
    got_suffix, data = encode(scan)
    assert got_suffix == suffix
    if affine is not None:
        again = read_nifti(data, Findings({"GEO_SHEAR"}))
        np.testing.assert_array_equal(again.array, array)
        np.testing.assert_allclose(again.affine, affine, atol=1e-5)


def test_values_that_no_file_holds_are_refused():
    with pytest.raises(DataError, match="OUT_TYPE: values of int64 beyond 32 bits"):
        encode(Scan(np.full((1, 2, 2, 2), 1 << 40) * np.arange(2), np.eye(4), (1, 1)))


def test_label_on_another_grid_is_brought_over_where_that_is_accepted(tmp_path):
    planted = Volumes(tmp_path / "raw")
    fine = np.zeros((20, 22, 24), np.uint8)
    fine[6:14, 8:16, 8:16] = 1
    affine = np.diag([0.75, 1.0, 1.5, 1.0])
    affine[:3, 3] = 5 - 0.375, -7 - 0.5, 11 - 0.75
    planted.label(gz(nifti(fine, affine)))
    accepted = DataConfig(accept=("GEO_SHAPE",))
    dataset, problems = prepare(tmp_path / "raw", tmp_path / "out", accepted)
    assert not problems
    label = dataset.arrays("bad")[1][0]
    want = np.zeros(SIZE, np.uint8)
    want[3:7, 4:8, 4:8] = 1
    np.testing.assert_array_equal(label, want)
    assert load_dataset(tmp_path / "out").plan.accept == ("GEO_SHAPE",)


def test_a_list_of_images_alone_is_predicted_from_and_not_trained_on(tmp_path):
    planted = Pictures(tmp_path)
    planted.write("list.csv", b"image\nimages/good_0.png\nimages/bad.png\n")
    planted.write("other.csv", b"image\nimages/good_1.png\n")
    layout = find_layout(open_tree(tmp_path / "list.csv"), need_labels=False)
    assert layout.name == "csv"
    assert [case.id for case in layout.cases] == ["bad", "good_0"]
    layout = find_layout(open_tree(tmp_path / "other.csv"))
    assert not layout.cases
    assert [(p.code, p.case) for p in layout.problems] == [("PAIR_NO_LABEL", "good_1")]


def test_csv_of_another_kind_is_no_layout(tree_of):
    table = "name,age\nx,3\n"
    tree = tree_of({"about.csv": table.encode(), "images/x.png": png(picture()),
                    "masks/x.png": png(picture())})  # fmt: skip
    assert find_layout(tree).name == "folder pairs"


def test_skew_axes_are_straightened_and_brought_back(tmp_path):
    from data_prep.preprocessing.grid import from_grid, grid_of, to_grid

    affine = np.array([[1, 0.25, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    at = np.indices((24, 24, 24)) - 12
    ball = (np.linalg.norm(at, axis=0) < 7).astype(np.float32)[None]
    grid = grid_of(Scan(ball, affine), None)
    axes = grid.affine[:3, :3]
    np.testing.assert_allclose(axes.T @ axes, np.diag(np.diag(axes.T @ axes)), atol=1e-6)
    back = from_grid(to_grid(ball, grid), grid)[0] > 0.5
    assert back.shape == (24, 24, 24)
    dice = 2 * (back & (ball[0] > 0)).sum() / (back.sum() + ball.sum())
    assert dice > 0.98
    assert nib.aff2axcodes(grid.affine) == ("R", "A", "S")


def test_folds_and_test_set_of_a_list_are_kept_and_a_leak_is_named(tmp_path, tree_of):
    names = [f"c{i}" for i in range(6)]
    rows = [
        f"{n}.nii.gz,l{n}.nii.gz,p{i},{'test' if i > 3 else i % 2}\n" for i, n in enumerate(names)
    ]
    head = "image,label,patient,split\n"
    files = {f"raw/{n}.nii.gz": gz(nifti(noise(i))) for i, n in enumerate(names)}
    files |= {f"raw/l{n}.nii.gz": PAIR[1] for n in names}
    tree_of({**files, "raw/cases.csv": (head + "".join(rows)).encode()})
    dataset, problems = prepare(tmp_path / "raw", tmp_path / "out", DataConfig())
    assert not problems
    assert dataset.test == ("c4", "c5")
    assert [fold["val"] for fold in dataset.folds] == [["c0", "c2"], ["c1", "c3"]]
    leaking = (head + "".join(rows)).replace(",p4,", ",p0,")
    tree_of({"raw/cases.csv": leaking.encode()})
    dataset, problems = prepare(tmp_path / "raw", tmp_path / "out", DataConfig())
    assert [(p.code, p.case) for p in problems] == [("SPLIT_LEAK", "c0")]
