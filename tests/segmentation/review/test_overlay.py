"""Error maps and pictures: the right colour at the right place, counts that are the metrics'."""

import io

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.scan import Scan
from data_prep.formats.encode import encode
from data_prep.prepared.rendering import (
    class_colour,
    plane_of,
    thumbnail,
    to_colours,
    turned,
    window_of,
)
from sdunet.segmentation.metrics.overlap import overlaps
from sdunet.segmentation.review.case_figure import draw_case
from sdunet.segmentation.review.case_view import View, coloured
from sdunet.segmentation.review.contact_sheet import ContactSheet
from sdunet.segmentation.review.error_map import (
    COLOURS,
    KINDS,
    error_map,
    itksnap_labels,
    slicer_colours,
    wrong_pieces,
)
from sdunet.segmentation.review.overlay import overlay

LABELS = arrays(np.uint8, (4, 6, 5), elements=st.integers(0, 2))
NAMES = ["background", "one", "two"]


def view(image, reference, prediction, affine=None, name="case", missing=False):
    wrong = wrong_pieces(prediction, reference, 200)
    return View(name, image, reference, prediction, affine, missing=missing, wrong=wrong)


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_error_map_tells_the_four_kinds_apart():
    prediction = np.array([0, 1, 1, 0, 2, 2])
    reference = np.array([0, 1, 0, 2, 2, 1])
    assert error_map(prediction, reference).tolist() == [0, 1, 2, 3, 1, 4]


@settings(max_examples=100, deadline=None)
@given(LABELS, LABELS)
def test_error_counts_are_the_metric_counts(prediction, reference):
    counted = overlaps(prediction, reference, 3)
    shown = view(np.zeros((1, 4, 6, 5)), reference, prediction, np.eye(4)).counts
    # A voxel of the wrong class is a false positive of one class and a false negative of another.
    assert shown[1] == sum(o.tp for o in counted)
    assert shown[2] + shown[4] == sum(o.fp for o in counted)
    assert shown[3] + shown[4] == sum(o.fn for o in counted)


@settings(max_examples=100, deadline=None)
@given(LABELS, LABELS)
def test_wrong_pieces_hold_every_wrong_cell_once(prediction, reference):
    pieces, count = wrong_pieces(prediction, reference, 1000)
    errors = error_map(prediction, reference)
    assert count == len(pieces)
    for kind in (2, 3, 4):
        assert sum(p.cells for p in pieces if p.kind == kind) == (errors == kind).sum()
    assert [p.cells for p in pieces] == sorted((p.cells for p in pieces), reverse=True)
    for piece in pieces:
        assert errors[piece.middle] == piece.kind
        assert (prediction[piece.middle], reference[piece.middle]) == (
            piece.predicted,
            piece.reference,
        )


def test_wrong_pieces_tell_how_sure_the_model_was():
    prediction, reference = np.array([[1, 1, 0, 0, 2]]), np.array([[0, 0, 0, 1, 1]])
    sure = {1: np.array([[0.6, 0.8, 0, 0.3, 0]]), 2: np.array([[0, 0, 0, 0, 0.9]])}
    pieces, _ = wrong_pieces(prediction, reference, 9, sure.__getitem__)
    assert {p.kind: p.chance for p in pieces} == pytest.approx({2: 0.7, 3: 0.3, 4: 0.9})
    assert len(wrong_pieces(prediction, reference, 1)[0]) == 1


@pytest.mark.parametrize("palette", COLOURS)
def test_colours_stand_where_the_errors_are(palette):
    image = np.zeros((1, 5, 3))
    picture = coloured(image, np.array([[0, 1, 2, 3, 4]], np.uint8), palette)[0]
    assert not picture[0].any()
    for code, colour in COLOURS[palette].items():
        wanted = np.array(list(bytes.fromhex(colour[1:])))
        np.testing.assert_allclose(picture[code] / picture[code].max(), wanted / wanted.max())
    assert not image.any()


def test_pieces_and_planes_are_seen_as_radiologists_look():
    errors = np.zeros((4, 5, 6), np.uint8)
    errors[0, 4, 2] = 1  # the patient's left, anterior
    planes = [plane_of(errors, 2, 2), plane_of(errors, 1, 4), plane_of(errors, 0, 0)]
    assert [p.shape for p in planes] == [(5, 4), (6, 4), (6, 5)]
    assert planes[0][0, 3] == 1  # axial: top anterior, right the patient's left
    assert planes[1][3, 3] == 1  # coronal: top superior
    assert planes[2][3, 0] == 1  # sagittal: left anterior
    shown = view(np.zeros((1, 4, 5, 6)), errors, np.zeros_like(errors), np.diag([2.0, 3, 5, 1]))
    z, row, column = shown.row_and_column(shown.wrong[0][0].middle)
    assert (z, row, column) == (2, 0, 3)
    assert [shown.aspect(axis) for axis in (2, 1, 0)] == [1.5, 2.5, 5 / 3]
    assert shown.worst == (0, 4, 2)
    assert shown.worst_slices(3) == [2]


@settings(max_examples=50, deadline=None)
@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_turning_moves_cells_and_keeps_where_they_are(order, signs):
    array = np.arange(24.0).reshape(1, 2, 3, 4)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(np.array(signs) * [1.0, 2, 3])[list(order)]
    affine[:3, 3] = (5, 6, 7)
    seen, where = turned(array, affine)
    assert nib.aff2axcodes(where) == ("R", "A", "S")
    for cell in np.ndindex(array.shape[1:]):
        place = affine @ [*cell, 1]
        there = np.rint(np.linalg.solve(where, place)[:3]).astype(int)
        assert seen[(0, *there)] == array[(0, *cell)]


def test_colours_are_stretched_and_constant_images_stay_dark():
    grey = np.linspace(0, 60000, 100).reshape(1, 10, 10).astype(np.uint16)
    shown = to_colours(grey)
    assert shown.shape == (10, 10, 3)
    assert (shown.min(), shown.max()) == (0, 1)
    assert not to_colours(np.full((1, 3, 3), 7)).any()
    half = to_colours(grey, (0, 30000))
    assert (half == 1).mean() == pytest.approx(0.5, abs=0.02)
    shown = to_colours(np.where(grey > 50000, np.nan, grey))
    assert shown[0, 0].tolist() == [0, 0, 0]
    assert shown.max() == 1
    assert shown[-1, -1].tolist() == [0, 0, 0]  # NaN
    deep = np.full((1, 400, 300, 20), 7.0)
    deep[..., 0] = 0
    assert window_of(deep) == (0, 7)
    assert window_of(600 * np.arange(101)[None]) == pytest.approx((300, 59700))


def test_case_picture_is_drawn_whatever_the_name_and_without_a_prediction():
    reference = np.zeros((20, 12), np.uint8)
    reference[5:9, 3:7] = 1
    image = np.random.default_rng(0).integers(0, 99, (1, 20, 12)).astype(np.uint8)
    shown = view(image, reference, np.zeros_like(reference), missing=True)
    picture = decoded(draw_case(shown, "50$ & <b>_^{x}$", NAMES[:2], "usual"))
    blue = (picture[..., 2] > 150) & (picture[..., 0] < 90)
    assert blue.sum() > 1000  # all of the reference is missed


def test_volume_picture_shows_the_worst_error_in_three_planes_and_the_worst_slices():
    reference, prediction = np.zeros((2, 12, 14, 10), np.uint8)
    prediction[2:5, 3:7, 6] = 1
    reference[8:10, 8:10, 2:4] = 2
    image = np.random.default_rng(0).random((1, 12, 14, 10))
    shown = view(image, reference, prediction, np.diag([1.0, 1, 4, 1]))
    picture = decoded(draw_case(shown, "case", NAMES, "colour_blind"))
    orange = np.abs(picture - [0xD5, 0x5E, 0x00]).sum(-1) < 60
    blue = np.abs(picture - [0x00, 0x72, 0xB2]).sum(-1) < 60
    last = picture.shape[1] * 3 // 4  # the column of errors
    assert (orange[:, last:].any(1)).sum() > 60  # in three planes
    assert blue[: picture.shape[0] * 9 // 10, :last].sum() > 100  # other slices stand below


def test_contact_sheet_keeps_the_worst_and_says_of_how_many(monkeypatch):
    monkeypatch.setattr("sdunet.segmentation.review.contact_sheet._SHEET_CASES", 3)
    sheet = ContactSheet("usual")
    blank = np.zeros((8, 8), np.uint8)
    for i, dice in enumerate((0.9, 0.1, None, 0.5, 0.7)):
        sheet.add(view(np.zeros((1, 8, 8)), blank, blank, name=f"{i}"), dice)
    assert [(tile[1], tile[2]) for tile in sheet.tiles] == [
        ("1", "Dice 0.1000"),
        ("3", "Dice 0.5000"),
        ("4", "Dice 0.7000"),
    ]
    assert sheet.seen == 5
    assert decoded(sheet.draw()).shape[2] == 3


def test_error_maps_lie_on_the_scan_and_viewers_know_their_colours(balls, tmp_path):
    affine = np.array([[0, -2.0, 0, 30], [1.5, 0, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]])
    raw = balls(affine=affine)
    predictions = tmp_path / "pred"
    predictions.mkdir()
    for path in (raw / "labelsTr").iterdir():
        label = nib.load(path)
        array = np.roll(np.asarray(label.dataobj), 2, axis=1)
        nib.save(nib.Nifti1Image(array, label.affine), predictions / path.name)
    page, problems = overlay(raw, raw, predictions, tmp_path / "out", palette="colour_blind")
    assert not problems
    assert page.is_file()
    folder = tmp_path / "out/error_maps"
    written = nib.load(folder / "ball_1.nii.gz")
    np.testing.assert_allclose(written.affine, affine)
    codes = np.asarray(written.dataobj)
    reference = np.asarray(nib.load(raw / "labelsTr/ball_1.nii.gz").dataobj)
    np.testing.assert_array_equal(codes, error_map(np.roll(reference, 2, axis=1), reference))
    snap = (folder / "itksnap_labels.txt").read_text()
    assert '    2   213   94    0        1  1  1    "false positive"' in snap
    assert "2 false_positive 213 94 0 255" in (folder / "slicer_colours.ctbl").read_text()


def test_label_files_have_a_row_for_every_code():
    for text in (itksnap_labels("usual"), slicer_colours("usual")):
        rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
        assert [int(row[0]) for row in rows] == [0, *KINDS]


def test_thumbnail_outlines_each_class_in_its_colour():
    label = np.zeros((1, 19, 9, 3), np.uint8)
    label[0, 2:7, 2:7, 1] = 1
    label[0, 9:12, 2:7, 1] = 2
    picture = decoded(thumbnail(np.zeros((1, 19, 9, 3)), label))
    for number, edge in ((1, 16), (2, 12)):  # of 5x5 and 3x5 voxels
        colour = list(bytes.fromhex(class_colour(number)[1:]))
        assert (picture == colour).all(-1).sum() == edge
    assert picture.any(-1).sum() == 16 + 12


def test_large_pictures_are_drawn_reduced_and_counted_whole():
    reference = np.zeros((5000, 3000), np.uint8)
    reference[::1000] = 1
    shown = view(np.zeros((1, 5000, 3000), np.uint8), reference, reference)
    assert shown.counts[1] == 5 * 3000
    picture = decoded(draw_case(shown, "large", NAMES[:2], "usual"))
    assert picture.shape[1] < 1500
    sheet = ContactSheet("usual")
    sheet.add(shown, 1.0)
    assert sheet.tiles[0][3].size < 300 * 300 * 3


def test_one_case_that_cannot_be_drawn_leaves_the_others(discs, tmp_path, monkeypatch):
    raw = discs(count=3)

    def failing(shown, *arguments):
        if shown.id == "disc_1":
            raise DataError("OUT_WRITE", "it does not read back", "report this")
        return draw_case(shown, *arguments)

    monkeypatch.setattr("sdunet.segmentation.review.overlay.draw_case", failing)
    page, problems = overlay(raw, raw, raw / "masks", tmp_path / "out")
    assert [(p.code, p.case) for p in problems] == [("OUT_WRITE", "disc_1")]
    assert {p.stem for p in (tmp_path / "out/cases").iterdir()} == {"disc_0", "disc_2"}
    assert '"disc_1"' not in page.read_text()


def test_pictures_of_an_earlier_run_do_not_pass_for_those_of_this(discs, tmp_path):
    raw = discs(count=3)
    overlay(raw, raw, raw / "masks", tmp_path / "out")
    overlay(raw, raw, raw / "masks", tmp_path / "out", {"disc_2"})
    assert [p.stem for p in (tmp_path / "out/cases").iterdir()] == ["disc_2"]


def test_volumes_whose_axes_are_rounded_get_an_error_map(tmp_path, write_nifti):
    turn = np.deg2rad(20)
    affine = np.eye(4)
    affine[:2, :2] = np.round([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], 3)
    label = np.zeros((200, 150, 4), np.uint8)
    label[50:90, 40:80, 1:3] = 1
    suffix, data = encode(Scan(label[None], affine, (1, 1)))
    assert suffix == ".nii.gz"
    (tmp_path / "a.nii.gz").write_bytes(data)
    again = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(again.affine, affine, atol=1e-6)
    assert int(again.header["qform_code"]) in (0, 1)
