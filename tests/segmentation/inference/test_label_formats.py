"""Labels in forms that viewers show in colours hold what plain ones hold, and are scored alike."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from bad_sets import palette, png
from PIL import Image

from data_prep.core.config import Plan
from data_prep.core.errors import DataError
from data_prep.core.scan import Scan
from data_prep.files.file_tree import open_tree
from data_prep.formats.registry import read_label
from data_prep.prepared.rendering import bytes_of_colour
from sdunet.segmentation.evaluation.evaluate import evaluate
from sdunet.segmentation.inference import predict_folder
from sdunet.segmentation.inference.ensemble import Ensemble
from sdunet.segmentation.inference.files.class_names import wrong_in_name
from sdunet.segmentation.inference.files.seg_nrrd import seg_nrrd
from sdunet.segmentation.inference.predict_folder import PredictOptions, predict
from sdunet.segmentation.models.trained_model import Model

CLASSES = {"background": 0, "organ": 1, "small tumour": 2}
FLAT = Plan(2, ("grey",), CLASSES, {}, "window", None, (8, 8), window=(0, 255))
DEEP = Plan(3, ("grey",), CLASSES, {}, "window", (1.0, 1.2, 2.0), (8, 8, 8), window=(0, 255))
TURNED = np.array([[0.8, -0.72, 0, 5], [0.6, 0.96, 0, -3], [0, 0, -2.0, 40], [0, 0, 0, 1]])
PLAIN, COLOURED, SLICER = (
    PredictOptions(device="cpu", format=name) for name in ("plain", "palette", "seg.nrrd")
)
LABELS = [np.roll(np.repeat([0, 1, 2, 0], 3), n)[:, None] * np.ones((1, 9), int) for n in (0, 2)]
VOLUMES = [np.stack([label] * 2 + [np.zeros_like(label)] * 3, -1) for label in LABELS]


@pytest.fixture
def model(monkeypatch):
    """A network that finds class 2 in bright voxels, 1 in those between, 0 in dark ones."""

    def of(plan):
        network = (torch.nn.Conv2d if plan.spatial_dims == 2 else torch.nn.Conv3d)(1, 3, 1)
        with torch.no_grad():
            network.weight.copy_(torch.tensor([0.0, 20, 40]).reshape(network.weight.shape))
            network.bias.copy_(torch.tensor([0.0, -6, -20]))
        ensemble = Ensemble((Model(network.eval(), plan, 0.5, (), "ab", None),), {})
        monkeypatch.setattr(predict_folder, "load_ensemble", lambda *_, **__: ensemble)

    of(FLAT)
    return of


@pytest.fixture
def pictures(written):
    """Images, and references whose palette shows class 2 as predictions show class 1."""
    shown = (0, 0, 0, 1, 2, 3, *bytes_of_colour(1))
    files = {f"images/{n}.png": png((120 * a).astype(np.uint8)) for n, a in enumerate(LABELS)}
    return written(
        files
        | {f"labels/{n}.png": palette(a.astype(np.uint8), shown) for n, a in enumerate(LABELS)}
    )


@pytest.fixture
def volumes(tmp_path, model):
    model(DEEP)
    for n, array in enumerate(VOLUMES):
        for folder, values in (("images", 120 * array), ("labels", array)):
            path = tmp_path / "raw" / folder / f"{n}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = nib.Nifti1Image(values.astype(np.uint8), TURNED)
            image.header.set_xyzt_units("mm")
            nib.save(image, path)
    return tmp_path / "raw"


def dice_of(out, raw):
    summary, problems = evaluate(out, raw, out.parent / f"scores of {out.name}")
    assert not problems
    return [summary["mean"][name]["Dice"] for name in "12"]


def test_a_palette_shows_the_numbers_of_the_plain_label(model, pictures, tmp_path):
    predict("m", pictures / "images", tmp_path / "a", options=PLAIN)
    predict("m", pictures / "images", tmp_path / "b", options=COLOURED)
    for number, label in enumerate(LABELS):
        plain, shown = (Image.open(tmp_path / f"{at}/{number}.png") for at in "ab")
        assert (plain.mode, shown.mode) == ("L", "P")
        np.testing.assert_array_equal(np.asarray(plain), label)
        np.testing.assert_array_equal(np.asarray(shown), label)
        colours = np.array([(0, 0, 0), bytes_of_colour(1), bytes_of_colour(2)])
        np.testing.assert_array_equal(np.asarray(shown.convert("RGB")), colours[label])
    assert dice_of(tmp_path / "a", pictures) == dice_of(tmp_path / "b", pictures) == [1, 1]


def test_a_folder_may_change_its_format_when_it_is_resumed(model, pictures, tmp_path):
    out = tmp_path / "out"
    predict("m", pictures / "images", out, options=PLAIN)
    predict("m", pictures / "images", out, {"0"}, replace(COLOURED, resume=True))
    for number, mode in enumerate("PL"):
        with Image.open(out / f"{number}.png") as image:
            assert image.mode == mode
    assert dice_of(out, pictures) == [1, 1]
    before = (out / "0.png").stat().st_mtime_ns
    predict("m", pictures / "images", out, {"0"}, replace(COLOURED, resume=True))
    assert (out / "0.png").stat().st_mtime_ns == before


def test_segments_of_slicer_are_the_classes_of_the_plain_label(volumes, tmp_path):
    out = tmp_path / "out"
    predict("m", volumes / "images", out, options=PLAIN)
    predict("m", volumes / "images", out, options=SLICER)
    assert sorted(path.name for path in out.glob("*.n*")) == ["0.seg.nrrd", "1.seg.nrrd"]
    for number, label in enumerate(VOLUMES):
        scan = read_label(open_tree(out), f"{number}.seg.nrrd")
        np.testing.assert_array_equal(scan.array[0], label)
        np.testing.assert_allclose(scan.affine, TURNED, atol=1e-6)
        assert [(one.name, one.value) for one in scan.segments] == [
            ("organ", 1),
            ("small tumour", 2),
        ]
        read = sitk.ReadImage(str(out / f"{number}.seg.nrrd"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(read).T, label)
        scanned = sitk.ReadImage(str(volumes / f"images/{number}.nii.gz"))
        np.testing.assert_allclose(read.GetDirection(), scanned.GetDirection(), atol=1e-6)
        np.testing.assert_allclose(read.GetOrigin(), scanned.GetOrigin(), atol=1e-6)
        extent = np.array(read.GetMetaData("Segment1_Extent").split(), int).reshape(3, 2)
        around = tuple(slice(low, high + 1) for low, high in extent)
        assert (label[around] == 2).sum() == (label == 2).sum()
        assert (label[around] == 2).any((1, 2)).all()
        colour = np.array(read.GetMetaData("Segment1_Color").split(), float)
        np.testing.assert_allclose(255 * colour, bytes_of_colour(2), atol=1e-3)
    assert dice_of(out, volumes) == [1, 1]


def test_segments_without_a_record_are_paired_with_their_cases(volumes, tmp_path):
    other = tmp_path / "of another tool"
    other.mkdir()
    for number, label in enumerate(VOLUMES):
        scan = Scan(label[None].astype(np.uint8), TURNED)
        (other / f"{number}.seg.nrrd").write_bytes(seg_nrrd(scan, CLASSES))
    (other / "dataset.json").write_text(json.dumps({"labels": CLASSES}))
    assert dice_of(other, volumes) == [1, 1]


@pytest.mark.parametrize(
    ("plan", "options", "found"),
    [
        (DEEP, COLOURED, "a palette is for 2D images"),
        (FLAT, SLICER, "2D images"),
        (replace(FLAT, labels={f"class {n}": n for n in range(257)}), COLOURED, "257 classes"),
        (replace(DEEP, labels=CLASSES | {"a\nb": 1}), SLICER, "no class name 'a"),
        (
            replace(FLAT, labels={"background": 0, "in": 1, "edge": 2}, instances="cell"),
            replace(COLOURED, instances=True),
            "ids of objects",
        ),
    ],
)
def test_formats_that_cannot_hold_it_are_refused_before_anything_is_written(
    plan, options, found, model, pictures, tmp_path
):
    model(plan)
    with pytest.raises(DataError, match=rf"PRED_FORMAT: .*{found}"):
        predict("m", pictures / "images", tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "longest", "wrong"),
    [
        ("left lung", 64, ""),
        ("Leber, größer", 64, ""),
        ("a" * 64, 64, ""),
        ("a" * 65, None, ""),
        ("a" * 65, 64, "65 letters, of which it may have 64"),
        ("a\u202eb", None, "the character U+202E, which does not print"),
        ("a\tb", 64, "the character U+0009, which does not print"),
        ("a\\b", None, "a backslash, which parts names"),
        (" ", 64, "no letter"),
    ],
)
def test_what_a_file_cannot_hold_of_a_name_is_named(name, longest, wrong):
    assert wrong_in_name(name, longest) == wrong
