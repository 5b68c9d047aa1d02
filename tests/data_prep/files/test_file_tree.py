"""What was checked is what is written, of every file that a case is made of."""

import json
import shutil

import numpy as np
import pytest
from bad_sets import Pictures, Series, Volumes, mask, nifti, noise, picture, png

from data_prep import convert as converting
from data_prep.checks.run import check
from data_prep.convert import convert
from data_prep.core.config import DataConfig
from data_prep.core.errors import DataError
from data_prep.files.file_tree import open_tree
from data_prep.prepared import prepare as preparing
from data_prep.prepared.prepare import prepare


def changing(change):
    """A stand-in for `check` after which a file is changed."""

    def checked(*args, **options):
        found = check(*args, **options)
        change()
        return found

    return checked


CHANGES = [
    ("image", lambda root: (root / "images/bad.png").write_bytes(png(picture(77)))),
    ("label", lambda root: (root / "labels/bad.png").write_bytes(png(np.roll(mask(), 1)))),
    ("damaged", lambda root: (root / "images/bad.png").write_bytes(b"\x89PNG")),
    ("emptied", lambda root: (root / "labels/bad.png").write_bytes(b"")),
    ("removed", lambda root: (root / "images/bad.png").unlink()),
]


@pytest.mark.parametrize("work", ["prepare", "convert"])
@pytest.mark.parametrize("change", [row[1] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_case_that_changed_since_it_was_checked_is_named(tmp_path, monkeypatch, change, work):
    Pictures(root := tmp_path / "raw")
    module = preparing if work == "prepare" else converting
    monkeypatch.setattr(module, "check", changing(lambda: change(root)))
    if work == "prepare":
        dataset, problems = prepare(root, tmp_path / "out", DataConfig())
        written = list(dataset.cases)
    else:
        written, _, problems = convert(root, tmp_path / "out", DataConfig())
    assert [(p.code, p.case) for p in problems] == [("IO_CHANGED", "bad")]
    assert written == ["good_0", "good_1", "good_2"]


@pytest.mark.parametrize("header", [".mhd", ".nhdr"])
def test_voxels_beside_a_header_are_among_what_may_not_change(tmp_path, monkeypatch, header):
    root = with_voxels_beside(tmp_path, header)
    voxels = root / "images/voxels.raw"
    change = changing(lambda: voxels.write_bytes(noise(5).tobytes("F")))
    monkeypatch.setattr(preparing, "check", change)
    _, problems = prepare(root, tmp_path / "out", DataConfig(accept=("GEO_NONE",)))
    assert [(p.code, p.case) for p in problems] == [("IO_CHANGED", "bad")]


def with_voxels_beside(tmp_path, header):
    planted = Volumes(tmp_path / "raw")
    (tmp_path / "raw/images/bad.nii.gz").unlink()
    size = " ".join(map(str, noise().shape))
    texts = {
        ".mhd": f"NDims = 3\nDimSize = {size}\nElementType = MET_SHORT\nBinaryData = True\n"
        "ElementSpacing = 1.5 2 3\nTransformMatrix = -1 0 0 0 -1 0 0 0 1\nOffset = -5 7 11\n"
        "ElementDataFile = voxels.raw\n",
        ".nhdr": f"NRRD0004\ntype: short\ndimension: 3\nsizes: {size}\nencoding: raw\n"
        "endian: little\nspace: RAS\n"
        "space directions: (1.5,0,0) (0,2,0) (0,0,3)\nspace origin: (5,-7,11)\n"
        "data file: voxels.raw\n",
        ".hdr": nifti(noise())[:348].replace(b"n+1", b"ni1"),
    }
    content = texts[header]
    planted.write(
        f"images/bad{header}", content if isinstance(content, bytes) else content.encode()
    )
    voxels = noise().tobytes("F")
    name = "bad.img" if header == ".hdr" else "voxels.raw"
    planted.write(f"images/{name}", (bytes(352) if header == ".hdr" else b"") + voxels)
    return tmp_path / "raw"


@pytest.mark.parametrize("header", [".mhd", ".nhdr", ".hdr"])
def test_voxels_that_a_link_leads_to_are_examined_where_they_are_opened(tmp_path, header):
    root = with_voxels_beside(tmp_path, header)
    assert "bad" in check(root, DataConfig()).facts
    voxels = root / "images" / ("bad.img" if header == ".hdr" else "voxels.raw")
    assert_link_is_examined(tmp_path, root, voxels)


@pytest.mark.parametrize("name", ["bad/03.dcm", "bad/00.dcm", "bad/rt.dcm"])
def test_links_of_dicom_are_examined_where_they_are_opened(tmp_path, name):
    Series(root := tmp_path / "raw")
    assert_link_is_examined(tmp_path, root, root / name, Series.config)


@pytest.mark.parametrize("name", ["images/bad.png", "labels/bad.png"])
def test_links_of_pictures_are_examined_where_they_are_opened(tmp_path, name):
    Pictures(root := tmp_path / "raw")
    assert_link_is_examined(tmp_path, root, root / name)


def assert_link_is_examined(tmp_path, root, path, config=None):
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    checked = check(root, DataConfig(**config or {}))
    assert [(e.code, e.case) for e in checked.errors] == [("IO_LINK", "bad")]
    assert checked.errors[0].file == path.relative_to(root).as_posix()
    accepted = check(root, DataConfig(**config or {}, accept=("IO_LINK",)))
    assert "bad" in accepted.facts
    assert [f.level for f in accepted.findings if f.code == "IO_LINK"] == ["note"]


def test_links_that_stay_inside_are_followed(tmp_path):
    Pictures(root := tmp_path / "raw")
    (root / "images/bad.png").rename(root / "store.bin")
    (root / "images/bad.png").symlink_to("../store.bin")
    assert "bad" in check(root, DataConfig()).facts


@pytest.mark.parametrize("spoil", ["at check", "after it"])
def test_arrays_of_a_case_that_fails_now_do_not_stay(tmp_path, monkeypatch, spoil):
    Pictures(root := tmp_path / "raw")
    out = tmp_path / "out"
    prepare(root, out, DataConfig())
    keep = out / "images/notes.txt"
    keep.write_text("of the user")

    def change():
        (root / "images/bad.png").write_bytes(b"damaged")

    if spoil == "at check":
        change()
    else:
        (root / "images/bad.png").write_bytes(png(picture(50)))
        monkeypatch.setattr(preparing, "check", changing(change))
    dataset, problems = prepare(root, out, DataConfig())
    assert [p.case for p in problems] == ["bad"]
    assert "bad" not in dataset.cases
    assert not list(out.rglob("bad.*"))
    described = json.loads((out / "dataset.json").read_text())
    assert "bad" not in {record["id"] for record in described["cases"]}
    assert keep.exists()
    assert sorted(p.stem for p in (out / "labels").glob("*.npy")) == ["good_0", "good_1", "good_2"]


def test_what_takes_too_much_memory_has_not_changed(tmp_path, monkeypatch):
    Volumes(root := tmp_path / "raw")

    def full(*_):
        raise DataError("IO_MEMORY", "full", "crop it")

    monkeypatch.setattr("data_prep.checks.case_fingerprint.read_case", full)
    with pytest.raises(DataError, match=r"SET_EMPTY.*IO_MEMORY"):
        prepare(root, tmp_path / "out", DataConfig())


def test_a_link_that_leads_to_itself_is_an_error_of_its_case(tmp_path):
    Pictures(root := tmp_path / "raw")
    (root / "images/bad.png").unlink()
    (root / "images/bad.png").symlink_to("bad.png")
    (error,) = check(root, DataConfig()).errors
    assert (error.code, error.case) == ("IO_UNREADABLE", "bad")


@pytest.mark.parametrize("pack", [False, True])
def test_a_tree_holds_what_it_names_and_nothing_else(tmp_path, pack):
    names = ["B.txt", "a.txt", "a/b.txt", "a0", "ä.txt"]
    for name in names:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(name)
    root = tmp_path / "set"
    tree = open_tree(shutil.make_archive(str(root), "zip", root) if pack else root)
    assert {*filter(tree.holds, tree.names)} == {*names}
    assert not any(map(tree.holds, ("", "a", "a/", "a/b", "A.txt", "b.txt", "ö", "~")))
