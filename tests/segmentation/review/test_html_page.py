"""The page about errors, in a real browser: what it lists, what it draws, what it escapes."""

import json
import re
import shutil

import numpy as np
import pytest
from review_page import CONFIG, HOSTILE, in_browser, opaque, pixels_like, shown

from data_prep.prepared.rendering import outlines
from sdunet.segmentation.review.error_map import COLOURS
from sdunet.segmentation.review.overlay import overlay


def records_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text())[1])["cases"]


def names_in(tab):
    return tab.locator("#cases .name").all_text_contents()


@in_browser
def test_cases_are_sorted_by_any_score_and_filtered(opened):
    tab = opened()
    assert names_in(tab) == ["far", HOSTILE, "near"]
    assert shown(tab)[1] == "far"
    assert tab.locator("#cases .score").first.text_content() == "0.1000"
    tab.locator("#first").select_option("best")
    assert names_in(tab) == ["near", HOSTILE, "far"]
    tab.locator("#metric").select_option(label="HD95")
    assert names_in(tab) == ["near", HOSTILE, "far"]  # best of a distance: the smallest
    tab.locator("#filter").fill("EAR")
    assert names_in(tab) == ["near"]
    assert tab.locator("#shown").text_content() == "1 of 3 cases, mean of 1: 1.0000"


@in_browser
def test_slider_and_keys_step_through_slices_and_cases(opened):
    tab = opened()
    tab.locator("#slice").fill("7")
    assert shown(tab)[0] == 7
    tab.locator("#slice").evaluate("element => element.blur()")
    tab.keyboard.press("ArrowLeft")
    assert shown(tab)[0] == 6
    for _ in range(5):
        tab.keyboard.press("ArrowRight")
    assert shown(tab)[0] == 8  # the last
    tab.keyboard.press("ArrowDown")
    assert shown(tab)[1] == HOSTILE


@in_browser
def test_toggles_show_and_hide_each_kind(opened):
    tab = opened()
    opaque(tab)
    assert shown(tab)[0] in (3, 4, 5)
    for code in ("1", "2", "3"):
        colour = COLOURS["usual"][int(code)]
        before = pixels_like(tab, colour)
        assert before > 500, code
        tab.locator(f"[data-layer='{code}']").uncheck()
        assert pixels_like(tab, colour) == 0, code
        tab.keyboard.press(code)  # its key
        assert pixels_like(tab, colour) == before
    assert pixels_like(tab, "#ffd92f") == 0
    tab.locator("[data-layer='8']").check()
    assert pixels_like(tab, "#ffd92f") > 200
    tab.keyboard.down(" ")
    assert pixels_like(tab, COLOURS["usual"][2]) == 0
    tab.keyboard.up(" ")
    assert pixels_like(tab, COLOURS["usual"][2]) > 500
    tab.locator("#palette").select_option("colour_blind")
    assert pixels_like(tab, COLOURS["colour_blind"][2]) > 500


@in_browser
def test_areas_on_the_screen_are_the_counts(opened):
    tab = opened()
    opaque(tab)
    tab.locator("#slice").fill("4")
    # Slice 4 of `far`: 5 x 5 voxels of the organ, four of five columns apart.
    areas = [pixels_like(tab, COLOURS["usual"][code]) for code in (1, 2, 3)]
    cell = areas[0] / 5
    assert areas[1] / cell == pytest.approx(20, rel=0.03)
    assert areas[2] / cell == pytest.approx(20, rel=0.03)
    # A voxel is 1 mm wide and 2 mm high, drawn as large as the view allows.
    box = tab.locator("canvas").bounding_box()
    width = min(box["width"] / 16, box["height"] / (14 * 2))
    assert cell == pytest.approx(2 * width**2, rel=0.05)
    caption = tab.locator("figcaption").text_content()
    assert "correct 15 · false positive 64 · false negative 64" in caption


@in_browser
@pytest.mark.parametrize(
    ("key", "number", "areas", "last"),
    # Of `far`, whose prediction lies 4 voxels to the right: the organ spans x 4 to 8, y 4 to 8 and
    # z 3 to 5. So many voxels of a cut at y or x are right, false positive, false negative.
    [("c", 6, (3, 12, 12), 13), ("s", 8, (15, 0, 0), 15), ("s", 5, (0, 0, 15), 15)],
)
def test_each_plane_shows_what_a_cut_of_the_volume_holds(opened, key, number, areas, last):
    tab = opened()
    opaque(tab)
    tab.keyboard.press(key)
    tab.locator("#slice").fill(str(number))
    assert shown(tab) == [number, "far"]
    assert tab.locator("#number").text_content() == f"{number} of 0 to {last}"
    seen = np.array([pixels_like(tab, COLOURS["usual"][code]) for code in (1, 2, 3)])
    box = tab.locator("canvas").bounding_box()
    wide, each = (16, 1) if key == "c" else (14, 2)  # voxels across, mm of each
    cell = min(box["width"] / (wide * each), box["height"] / (9 * 3)) ** 2 * each * 3
    assert seen / cell == pytest.approx(np.array(areas), rel=0.05, abs=0.1)
    assert pixels_like(tab, "#ffd92f") == 0
    tab.locator("[data-layer='8']").check()
    assert (pixels_like(tab, "#ffd92f") > 200) == bool(areas[0] or areas[2])
    tab.keyboard.press("a")
    tab.locator("#slice").fill("8")
    assert shown(tab)[0] == 8


@in_browser
def test_planes_meet_in_the_voxel_of_a_wrong_component(opened):
    tab = opened()
    spot = tab.locator("#wrong tbody tr").filter(has_text="<b>spot</b>").first
    x, y, z = (float(part) for part in spot.locator("td").nth(4).text_content().split(","))
    for key, at in (("a", z / 3), ("c", y / 2), ("s", x)):
        tab.keyboard.press(key)
        tab.locator("#slice").fill("0")
        tab.locator("#slice").evaluate("element => element.blur()")
        spot.click()
        assert shown(tab)[0] == round(at)
        assert pixels_like(tab, "#ffffff") > 100  # a ring around it


@in_browser
def test_window_and_level_change_the_greys_and_nothing_else(opened):
    tab = opened()
    opaque(tab)
    tab.locator("#slice").fill("8")  # nothing is labelled there
    middle = "#7f7f7f"
    greys = pixels_like(tab, middle)
    assert tab.locator("#window-value").text_content() == "49"  # of 0 to 50
    tab.locator("#window").fill("10")
    assert 0 < pixels_like(tab, middle) < greys / 4
    dark, bright = pixels_like(tab, "#000000"), pixels_like(tab, "#ffffff")
    tab.locator("#level").fill("90")
    assert pixels_like(tab, "#000000") > dark + 1000
    assert pixels_like(tab, "#ffffff") < bright / 1.5
    tab.locator("#slice").fill("4")
    before = pixels_like(tab, COLOURS["usual"][2])
    tab.locator("#reset").click()
    assert pixels_like(tab, COLOURS["usual"][2]) == before
    tab.locator("#slice").fill("8")
    assert pixels_like(tab, middle) == greys


@in_browser
def test_a_click_on_a_wrong_piece_jumps_to_it(opened):
    tab = opened()
    rows = tab.locator("#wrong tbody tr")
    assert tab.locator("#wrong caption").text_content() == "4 wrong components"
    spot = rows.filter(has_text="<b>spot</b>").first
    cells = spot.locator("td").all_text_contents()
    assert cells[3] == "2"
    assert float(cells[2]) == pytest.approx(4 * 6 / 1000)
    tab.locator("#slice").fill("8")
    spot.click()
    assert shown(tab)[0] == 2
    assert "chosen" in spot.get_attribute("class")
    assert pixels_like(tab, "#ffffff") > 100  # a ring around it
    tab.keyboard.press("p")
    assert shown(tab)[0] in (3, 4, 5)  # the component before is one of the organ


@in_browser
def test_zoom_enlarges_and_fits_again(opened):
    tab = opened()
    opaque(tab)
    colour = COLOURS["usual"][3]
    before = pixels_like(tab, colour)
    tab.locator("#closer").click()
    assert pixels_like(tab, colour) > 1.2 * before
    tab.locator("#fit").click()
    assert pixels_like(tab, colour) == before


@in_browser
def test_names_are_text_and_never_run(opened):
    tab = opened()
    tab.locator("#cases button", has_text=HOSTILE).click()
    assert shown(tab)[1] == HOSTILE
    assert tab.locator("#title").text_content() == HOSTILE
    assert tab.locator("img").count() == 0
    assert tab.locator("b").count() == 0


@in_browser
def test_two_models_stand_side_by_side_on_the_same_slice(opened):
    tab = opened("two")
    assert tab.locator("canvas").count() == 2
    captions = tab.locator("figcaption").all_text_contents()
    assert captions[0].startswith("A\n")
    assert captions[1].startswith("B\n")
    opaque(tab)
    wrong = [pixels_like(tab, COLOURS["usual"][2], canvas) for canvas in (0, 1)]
    assert wrong[0] > wrong[1] > 0  # B is shifted one voxel less
    tab.locator("#metric").select_option(label="Dice, B - A")
    scores = tab.locator("#cases .score").all_text_contents()
    assert scores == sorted(scores, key=float)


@in_browser
def test_nothing_of_a_case_stands_under_the_name_of_another(opened):
    tab = opened()
    script = """async (name) => {
        const [button] = [...document.querySelectorAll("#cases button")]
            .filter((b) => b.textContent.startsWith(name));
        button.click();  // and, before it is loaded, what a reader may do
        document.getElementById("slice").value = 8;
        document.getElementById("slice").dispatchEvent(new Event("input"));
        window.dispatchEvent(new Event("blur"));
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true }));
        const caption = document.querySelector("figcaption").textContent;
        return [caption, document.querySelectorAll("#wrong tr").length];
    }"""
    assert tab.evaluate(script, "near") == ["", 0]
    assert shown(tab) == [8, "near"]
    assert "organ 0.8000" in tab.locator("figcaption").text_content()


@in_browser
def test_a_damaged_case_is_told_and_the_others_open(opened, browser, folder, tmp_path):
    shutil.copytree(folder / "one", tmp_path / "one")
    record = next(r for r in records_of(tmp_path / "one/review.html") if r["id"] == "near")
    path = tmp_path / "one" / record["file"]
    path.write_text(path.read_text()[:900])
    tab = browser.new_page()
    tab.goto((tmp_path / "one/review.html").as_uri())
    tab.wait_for_selector("body[data-slice]")
    tab.locator("#cases button", has_text="near").click()
    tab.wait_for_timeout(300)
    assert "is damaged" in tab.locator("#title").text_content()
    tab.locator("#cases button", has_text="far").click()
    assert shown(tab)[1] == "far"


@in_browser
def test_cases_are_loaded_when_they_are_opened(opened, browser, folder, tmp_path):
    shutil.copytree(folder / "one", tmp_path / "one")
    for record in records_of(tmp_path / "one/review.html"):
        if record["id"] == "near":
            (tmp_path / "one" / record["file"]).unlink()
    tab = browser.new_page()
    tab.goto((tmp_path / "one/review.html").as_uri())
    tab.wait_for_selector("body[data-slice]")
    tab.locator("#cases button", has_text="near").click()
    tab.wait_for_timeout(300)
    assert "is not beside this page" in tab.locator("#title").text_content()
    tab.locator("#cases button", has_text="far").click()
    assert shown(tab)[1] == "far"


def test_page_is_one_file_that_asks_for_nothing_else(folder):
    text = (folder / "one/review.html").read_text()
    assert not re.findall(r"(?:https?:)?//[a-z]+\.", text)
    assert not re.findall(r'(?:src|href)="', text)
    assert "<img" not in text
    assert len(list((folder / "one/review").iterdir())) == 3


def test_a_smaller_page_leaves_no_case_of_a_larger_one(folder, tmp_path):
    raw = folder / "raw"
    overlay(raw, raw, folder / "a", tmp_path / "out", None, CONFIG)
    overlay(raw, raw, folder / "a", tmp_path / "out", {"near"}, CONFIG)
    assert len(list((tmp_path / "out/review").iterdir())) == 1


def test_outlines_are_the_cells_beside_another_value():
    label = np.zeros((7, 8), np.uint8)
    label[1:6, 1:5] = 1
    label[1:6, 5:7] = 2
    want = label > 0
    want[2:5, 2:4] = False
    np.testing.assert_array_equal(outlines(label), want)
    assert not outlines(np.ones((3, 3), np.uint8)).any()
