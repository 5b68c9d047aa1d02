"""What a DICOM series is an image of names its channel; kinds of values are never mixed."""

import pytest
from dicom_files import encode, series

from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout


def files(folder, uid, **tags):
    return {
        f"{folder}/{z}.dcm": encode(slice_with(one, tags))
        for z, one in enumerate(series(series=uid))
    }


def slice_with(one, tags):
    for name, value in tags.items():
        setattr(one, name, value)
    return one


def found(root):
    return find_layout(open_tree(root), need_labels=False)


@pytest.mark.parametrize(
    ("tags", "channel"),
    [
        ({}, "CT"),
        ({"RescaleType": "HU"}, "CT"),
        ({"RescaleType": "MGML"}, "CT MGML"),
        ({"Modality": "MR"}, "MR"),
        ({"Modality": "PT", "Units": "BQML"}, "PT BQML"),
        ({"Modality": "PT", "Units": "GML"}, "PT GML"),
    ],
)
def test_modality_and_unit_name_the_channel(written, tags, channel):
    layout = found(written(files("a", "1.2", **tags)))
    assert layout.channels == (channel,)
    assert [case.channels for case in layout.cases] == [(channel,)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"Modality": "MR"}),
        ({}, {"RescaleType": "MGML"}),
        ({"Modality": "PT", "Units": "BQML"}, {"Modality": "PT", "Units": "GML"}),
    ],
)
def test_series_of_several_kinds_are_told_and_keep_their_own(written, one, other):
    layout = found(written({**files("a", "1.2", **one), **files("b", "1.3", **other)}))
    assert layout.channels is None
    assert "DCM_MODALITIES" in {finding.code for finding in layout.findings}
    assert len({case.channels for case in layout.cases}) == 2


@pytest.mark.parametrize("tag", [{"RescaleType": "MGML"}, {"Modality": "MR"}])
def test_slices_of_several_kinds_are_no_series(written, tag):
    mixed = series(series="1.2")
    slices = {
        f"a/{z}.dcm": encode(slice_with(s, tag if z > 4 else {})) for z, s in enumerate(mixed)
    }
    layout = found(written(slices))
    assert [error.code for error in layout.problems] == ["DCM_MIXED"]
    assert not layout.cases


def test_slices_of_several_units_of_pet_are_no_series(written):
    mixed = series(series="1.2")
    slices = {
        f"a/{z}.dcm": encode(slice_with(s, {"Modality": "PT", "Units": "GML" if z > 4 else "BQML"}))
        for z, s in enumerate(mixed)
    }
    assert [error.code for error in found(written(slices)).problems] == ["DCM_MIXED"]
