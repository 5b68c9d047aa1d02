"""Files that are called as channels stand in the order of the channels, or are refused."""

import pytest
from bad_sets import picture, png

from data_prep.core.config import Plan
from data_prep.core.findings import Findings
from data_prep.core.values.channel_names import crossed
from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout
from sdunet.segmentation.models.input_cases import cases_in


@pytest.mark.parametrize(
    ("files", "channels"),
    [
        (("c03_T1", "c03_T2"), ("T1", "T2")),
        (("c03T1reg", "c03T2reg"), ("T1", "T2")),
        (("T1/c03", "T2/c03"), ("T1", "T2")),
        (("p_T1_t1", "p_T1_t2"), ("T1", "T2")),
        (("c_t1", "c_t1ce"), ("T1", "T1ce")),
        (("c_t1", "c_t1_ce"), ("T1", "T1 CE")),
        (("c-FLAIR", "c-T1w", "c-T1"), ("flair", "T1w", "T1")),
        (("c_mdixon", "c_T2"), ("mDixon", "T2")),
        (("c_0000", "c_0001"), ("T1", "T2")),
        (("c_0000", "c_0001", "c_0002"), None),
    ],
)
def test_names_that_tell_each_channel_once_contradict_any_other_order(files, channels):
    assert crossed(files, channels) is None
    for k in range(1, len(files)):
        turned = (*files[k:], *files[:k])
        assert crossed(turned, channels).startswith("files ")


@pytest.mark.parametrize(
    ("files", "channels"),
    [
        (("T1_image_b", "T1_image_a"), ("image", "T1")),
        (("b", "a"), ("T1", "T2")),
        (("T2_to_T1", "T1"), ("T1", "T2")),
        (("c_T2", "c_x"), ("T1", "T2")),
        (("c_T2_T1",), ("T1", "T2")),
        (("T2", "T1"), None),
        (("T2", "T1"), ("T1", "T1")),
        (("T2", "T1"), ("", "T2")),
        (("s_0012", "s_0007"), ("T1", "T2")),
        (("pt1_b", "pt1_a"), ("T1", "A1")),
    ],
)
def test_names_that_tell_less_contradict_no_order(files, channels):
    assert crossed(files, channels) is None


def of_lists(written, records, kind, channels, labels=True):
    """The layout and the folder of cases by their files, each with a label."""
    files = sorted({f for several in records.values() for f in several})
    raw = {f"{name}.png": png(picture(30 * k)) for k, name in enumerate(files)}
    raw |= {f"{id_}_seg.png": png(picture(999 + k)) for k, id_ in enumerate(records)}
    images = {id_: [f"{name}.png" for name in several] for id_, several in records.items()}
    described = {"modality": dict(enumerate(channels))} if channels else {}
    if kind == "csv":
        rows = [f"{id_},{'|'.join(i)},{id_}_seg.png" for id_, i in images.items()]
        raw["list.csv"] = "\n".join(["id,image,label", *rows]).encode()
        raw |= {"dataset.json": described} if described else {}
    else:
        listed = [{"id": i, "image": f, "label": f"{i}_seg.png"} for i, f in images.items()]
        listed = {"training": listed} if labels else {"training": [], "test": listed}
        raw["list.json"] = described | listed
    return written(raw)


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize(
    ("ends", "channels", "told"),
    [
        (("T1", "T2"), ("T1", "T2"), "c3_T2, c3_T1 are T2, T1 by their names"),
        (("0000", "0001"), ("A", "B"), "c3_0001, c3_0000 are numbered 1, 0"),
        (("a", "b"), (), "c3_b, c3_a are given in another order than c1_a, c1_b of case c1"),
        (("T1", "T2"), (), "c3_T2, c3_T1 are given in another order than c1_T1, c1_T2"),
    ],
)
def test_a_case_of_a_list_whose_files_are_crossed_is_refused(written, kind, ends, channels, told):
    records = {f"c{k}": [f"c{k}_{end}" for end in ends] for k in (1, 2, 3)}
    whole = find_layout(open_tree(of_lists(written, records, kind, channels)))
    assert [case.id for case in whole.cases] == ["c1", "c2", "c3"]
    assert not whole.problems
    records["c3"].reverse()
    layout = find_layout(open_tree(of_lists(written, records, kind, channels)))
    assert [case.id for case in layout.cases] == ["c1", "c2"]
    (error,) = layout.problems
    assert (error.code, error.case) == ("CH_SWAPPED", "c3")
    assert told in error.found


def test_of_two_cases_in_two_orders_both_are_refused(written):
    layout = find_layout(
        open_tree(of_lists(written, {"c1": ["1a", "1b"], "c2": ["2b", "2a"]}, "json", ()))
    )
    assert not layout.problems  # which no word of both tells
    two = {"c1": ["1_a", "1_b"], "c2": ["2_b", "2_a"]}
    layout = find_layout(open_tree(of_lists(written, two, "json", ())))
    assert [error.code for error in layout.problems] == ["CH_SWAPPED"] * 2


@pytest.mark.parametrize("declared", [(), ("T2", "T1"), ("T1", "T2")])
def test_files_of_a_list_to_predict_stand_in_the_order_of_the_model_or_say_theirs(
    written, declared
):
    plan = Plan(2, ("T1", "T2"), {"a": 1}, {}, "zscore", None, (32, 32))
    raw = of_lists(written, {"c": ["c_T2", "c_T1"]}, "json", declared, labels=False)
    layout, _ = cases_in(open_tree(raw), plan, Findings(), tell=lambda text: None)
    assert [e.code for e in layout.problems] == ["CH_SWAPPED"] * (declared != ("T2", "T1"))
    assert len(layout.cases) == (declared == ("T2", "T1"))
