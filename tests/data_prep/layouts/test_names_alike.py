"""Names that are alike but for how they are written: accents, words with numbers, BIDS entities."""

from unicodedata import normalize

import pytest
from bad_sets import blob, gz, mask, nifti, noise, picture, png

from data_prep.files.file_tree import open_tree
from data_prep.layouts import find_layout

IMAGE, LABEL = gz(nifti(noise())), gz(nifti(blob()))
PAIR = png(picture()), png(mask())


def found(root):
    layout = find_layout(open_tree(root))
    assert not layout.problems
    return {case.id: case.files for case in layout.cases}


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/{}.png", "masks/{}.png"),
        ("{}.png", "{}_mask.png"),
        ("imagesTr/{}_0000.png", "labelsTr/{}.png"),
        ("{0}/images/{0}.png", "{0}/masks/{0}.png"),
    ],
)
@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_of_two_forms_are_one_name(written, image, label, forms):
    names = image.format(normalize(forms[0], "é1")), label.format(normalize(forms[1], "é1"))
    if image.startswith("{0}"):
        names = names[0], label.replace("{0}/m", "é1/m").format("é1")
        names = image.replace("{0}/i", "é1/i").format(normalize(forms[0], "é1")), names[1]
    cases = found(written(dict(zip(names, PAIR, strict=True))))
    assert cases == {normalize("NFC", "é1"): names}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_list_names_accents_in_either_form(written, forms):
    name = normalize(forms[1], "é1.png")
    text = f"image,label,id\n{normalize(forms[0], 'é1.png')},m.png,a\n".encode()
    assert found(written({name: PAIR[0], "m.png": PAIR[1], "l.csv": text})) == {
        "a": (name, "m.png")
    }


def test_two_names_that_are_one_are_told(written):
    files = {f"images/{normalize(form, 'é')}.png": PAIR[0] for form in ("NFC", "NFD")}
    layout = find_layout(open_tree(written(files | {"masks/é.png": PAIR[1]})))
    assert [error.code for error in layout.problems] == ["PAIR_DUPLICATE"]


def test_words_for_image_and_label_may_end_in_the_number(written):
    files = {f"Training/img/img000{n}.nii.gz": IMAGE for n in (1, 2)}
    files |= {f"Training/label/label000{n}.nii.gz": LABEL for n in (1, 2)}
    cases = found(written(files))
    assert cases["img0001"] == ("Training/img/img0001.nii.gz", "Training/label/label0001.nii.gz")
    assert len(cases) == 2


def test_labels_of_bids_may_lie_beside_their_scans(written):
    space = "sub-1_ses-1_space-MNI"
    image = f"train/sub-1/anat/{space}_T1w.nii.gz"
    label = f"train/sub-1/anat/{space}_label-L_desc-T1lesion_mask.nii.gz"
    assert found(written({image: IMAGE, label: LABEL})) == {f"{space}_T1w": (image, label)}


def test_a_label_of_another_space_is_not_that_of_a_scan(written):
    image = "sub-1/anat/sub-1_space-MNI_T1w.nii.gz"
    label = "derivatives/x/sub-1/anat/sub-1_space-other_mask.nii.gz"
    layout = find_layout(open_tree(written({image: IMAGE, label: LABEL})))
    assert [error.code for error in layout.problems] == ["PAIR_NO_LABEL"]


SEVERAL = {
    "beside": ("{0}.png", "{0}_mask.png", "{0}_mask_1.png"),
    "in folders": ("images/{0}.png", "masks/{0}_mask.png", "masks/{0}_mask_1.png"),
    "BUSI": ("benign ({0}).png", "benign ({0})_mask.png", "benign ({0})_mask_1.png"),
    "no mark": ("{0}.png", "{0}_seg.png", "{0}_seg2.png"),
    "folder a case": ("{0}/{0}_img.png", "{0}/{0}_mask.png", "{0}/{0}_mask_1.png"),
}


@pytest.mark.parametrize("names", SEVERAL.values(), ids=SEVERAL)
def test_an_image_with_a_second_mask_of_a_number_has_several(written, names):
    files = {name.format(k): png(picture(k)) for k in (1, 2, 3) for name in names[:1]}
    files |= {names[1].format(k): png(mask()) for k in (1, 2, 3)}
    assert len(find_layout(open_tree(written(files))).cases) == 3
    layout = find_layout(open_tree(written(files | {names[2].format(2): png(mask())}, "more")))
    assert len(layout.cases) == 2
    assert [error.code for error in layout.problems] == ["PAIR_DUPLICATE"]
    assert names[2].format(2) in layout.problems[0].found


def test_a_mask_of_no_image_is_not_that_of_one_called_image(written):
    files = {name: png(picture(k)) for k, name in enumerate(("image.png", "b_img.png"))}
    files |= {name: png(mask()) for name in ("mask.png", "b_mask.png", "foo_mask.png")}
    layout = find_layout(open_tree(written(files)))
    assert len(layout.cases) == 2
    assert [(error.code, error.case) for error in layout.problems] == [
        ("PAIR_NO_IMAGE", "foo_mask")
    ]


def test_numbers_of_images_are_not_those_of_masks(written):
    files = {f"img_{k}.png": png(picture(k)) for k in (1, 2)}
    files |= {f"mask_{k}.png": png(mask()) for k in (1, 2)}
    assert len(found(written(files))) == 2
