"""Cases that may be of one patient are told of, where folds may part them; others are not."""

import re

import numpy as np
import pytest
from bad_sets import png

from data_prep.checks.same_patient import tell_of_patients
from data_prep.core.config import DataConfig
from data_prep.files.file_tree import open_tree
from data_prep.layouts import Case, find_layout
from data_prep.planning.splits import group_of

NOISE = np.random.default_rng(0).integers(0, 255, (16, 16), np.uint8)
MASK = np.eye(16, dtype=np.uint8)


def cases(*ids, folder="images", **more):
    return [Case(id_, ((f"{folder}/{id_}.png",),), (f"masks/{id_}.png",), **more) for id_ in ids]


def told(found):
    return [f"{finding.level} {finding.code}" for finding in found]


ALIKE = {
    "frames": ("patient001_frame01", "patient001_frame12", "patient002_frame01"),
    "slices": ("TCGA_CS_4941_19960909_1", "TCGA_CS_4941_19960909_2", "TCGA_DU_5849_19950405_1"),
    "times": ("BraTS-GLI-00002-000", "BraTS-GLI-00002-001", "BraTS-GLI-00003-000"),
    "blanks": ("p1 left", "p1 right", "p2 left"),
    "no marks": ("p1s1", "p1s2", "p2s1"),
    "no marks, the patient last": ("slice1p1", "slice2p1", "slice1p2"),
    "no marks and no word": ("A1T0", "A1T1", "A2T0", "A3T0", "A4T0"),
    "a word for patients last": ("slice1_patient1", "slice2_patient1", "slice1_patient2"),
}
APART = {
    "numbers": ("hippocampus_001", "hippocampus_002", "hippocampus_003"),
    "scanners": ("IXI002-Guys-0828", "IXI012-HH-1211", "IXI013-HH-1212"),
    "kinds": ("benign (1)", "benign (2)", "malignant (1)"),
    "hashes": ("00ae65c1", "0121d675", "01d44a26"),
    "one patient": ("p1_a", "p1_b", "p1_c"),
    "years": ("BraTS20_Training_001", "BraTS20_Training_002", "BraTS20_Training_003"),
    "words": ("a", "b", "c"),
    "one": ("p1_a",),
    "numbers in names": ("T1w3", "T1w4", "T2w3"),
    "of classes": ("class1img1", "class1img2", "class2img1"),
    "no marks, one each": ("p1s1", "p2s1", "p3s1"),
    "words and numbers": ("a1b1", "a1b2", "c"),
    "folds": ("fold1img0", "fold1img1", "fold2img0"),
    "folds and marks": ("fold1_img0", "fold1_img1", "fold2_img0"),
    "years of two figures": ("BraTS20T0", "BraTS20T1", "BraTS21T0"),
    "tiles": ("tile1x0", "tile1x1", "tile2x0"),
}


@pytest.mark.parametrize("ids", ALIKE.values(), ids=ALIKE)
def test_ids_that_begin_alike_are_told_of_and_the_advice_groups_them(ids):
    (finding,) = tell_of_patients(cases(*ids), DataConfig())
    assert told([finding]) == ["warning SPLIT_PATIENTS"]
    pattern = re.search(r"dataset\.group_pattern: '(.*)'", finding.fix)[1]
    groups = [group_of(id_, pattern) for id_ in ids]
    assert groups[0] == groups[1] != groups[2]
    assert not tell_of_patients(cases(*ids), DataConfig(group_pattern=pattern))


@pytest.mark.parametrize("ids", APART.values(), ids=APART)
def test_ids_that_only_count_are_not(ids):
    assert not tell_of_patients(cases(*ids), DataConfig())


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (
            [f"patient{k:04}_{view}_{time}" for k in (1, 2, 3) for view in ("2CH", "4CH")
             for time in ("ED", "ES")],
            1,
        ),
        ([f"s{site}_p{k}_f{f}" for site in (1, 2) for k in range(9) for f in (1, 2)], 2),
        ([f"s{site}_p{k}_f{f}" for site in (1, 2, 3) for k in range(4) for f in (1, 2)], 2),
        ([f"{year}_pat{k:03}_f{f}" for year in (2019, 2020) for k in range(3) for f in "01"], 2),
    ],
)  # fmt: skip
def test_the_shortest_beginning_of_a_patient_is_advised_and_not_that_of_a_site(ids, words):
    (finding,) = tell_of_patients(cases(*ids), DataConfig())
    pattern = re.search(r"dataset\.group_pattern: '(.*)'", finding.fix)[1]
    patients = {id_: "_".join(id_.split("_")[:words]) for id_ in ids}
    assert {id_: group_of(id_, pattern) for id_ in ids} == patients


@pytest.mark.parametrize("more", [{"group": "g"}, {"patient": "p"}])
def test_where_groups_are_known_nothing_is_told(more):
    assert not tell_of_patients(cases(*ALIKE["frames"], **more), DataConfig())


@pytest.mark.parametrize(
    ("splits", "parted"),
    [((0, 0, 1), False), ((0, 1, 1), True), (("test", 0, 1), True), ((0, None, 1), True)],
)
def test_stated_folds_are_told_of_where_they_part_them(splits, parted):
    found = [
        case for id_, split in zip(ALIKE["frames"], splits, strict=True)
        for case in cases(id_, split=split)
    ]  # fmt: skip
    assert bool(tell_of_patients(found, DataConfig())) == parted


@pytest.mark.parametrize(
    ("folders", "alike"),
    [
        (("p1", "p1", "p2"), True),
        (("p1", "p2", "p3"), False),
        (("benign", "benign", "malignant"), False),
        (("s1", "s1", "s1"), False),
        (("p1/images", "p1/images", "p2/images"), True),
        (("train/p1/img", "test/p1/img", "train/p2/img"), True),
        (("site1/p1", "site1/p1", "site2/p2"), True),
        (("p1/visit1", "p1/visit1", "p2/visit1"), True),
        (("2001", "2001", "2002"), False),
        (("train/images", "train/images", "test/images"), False),
        (("train/1", "test/1", "test/2"), False),
        (("site1/images", "site1/images", "site2/images"), False),
        (("center_1/T1", "center_1/T1", "center_2/T2"), False),
        (("batch 1", "batch 1", "batch 2"), False),
        (("40X", "40X", "100X"), False),
        (("2CH", "2CH", "4CH"), False),
        (("ISIC2016", "ISIC2016", "ISIC2017"), False),
        (("visit1", "visit1", "visit2"), False),
        (("0", "0", "1"), False),
        (("0", "0", "1", "2", "3"), True),
        (("patient2016", "patient2016", "patient2017"), True),
        (("case2016/40x", "case2016/40x", "case2017/40x"), True),
    ],
)
def test_folders_of_several_cases_are_told_of(folders, alike):
    found = [
        case for id_, folder in zip("abcde", folders, strict=False)
        for case in cases(id_, folder=f"data/{folder}")
    ]  # fmt: skip
    assert bool(tell_of_patients(found, DataConfig())) == alike


def test_pairs_in_the_folders_of_patients_are_told_of(written):
    files = {
        f"p{p}/p{p}_{time}{end}.png": png(pixels)
        for p in range(3)
        for time in ("early", "late")
        for end, pixels in (("", NOISE), ("_mask", MASK))
    }
    layout = find_layout(open_tree(written(files)))
    assert len(layout.cases) == 6
    assert told(tell_of_patients(layout.cases, DataConfig())) == ["warning SPLIT_PATIENTS"]
