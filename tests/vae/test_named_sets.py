"""Sets of fixed names: no file of them is lost, read twice or passed over without a word."""

import gzip
import shutil
import struct
import tarfile

import h5py
import numpy as np
import pytest
from image_sets import save_pictures, some, whole

from data_prep.core.errors import DataError
from sdunet.cli.main import main
from sdunet.vae.data.named_files import other_than_published
from sdunet.vae.data.raw import Images
from sdunet.vae.data.sources import read_source

CIFAR = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


def batches(root, numbers=range(1, 11)):
    """Write ImageNet32 as batches of two images, each of its number."""
    for name, value in ({f"train_data_batch_{i}": i for i in numbers} | {"val_data": 99}).items():
        np.savez(root / f"{name}.npz", data=np.full((2, 3072), value, np.uint8), labels=[1, 2])


def pictures(root):
    for part in ("train", "valid"):
        save_pictures(root / f"{part}_32x32", some(2, 32, 32, 3))


def cifar(root):
    for i, name in enumerate(CIFAR):
        (root / name).write_bytes(bytes([0, *[i] * 3072]))


def idx(root, labels=2):
    for part in ("train", "t10k"):
        images = struct.pack(">4I", 0x803, 2, 3, 3) + bytes(18)
        (root / f"{part}-images-idx3-ubyte").write_bytes(images)
        told = struct.pack(">2I", 0x801, labels) + bytes(labels)
        (root / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(told))


SETS = {"batches": batches, "pictures": pictures, "cifar": cifar, "idx": idx}
OF_EACH = {  # one file or folder that is read of each
    "batches": "train_data_batch_1.npz",
    "pictures": "valid_32x32",
    "cifar": "data_batch_1.bin",
    "idx": "train-images-idx3-ubyte",
}


def left(raw):
    return [finding.found for finding in raw.findings if finding.code == "SOURCE_LEFT"]


@pytest.mark.parametrize("kind", SETS)
def test_what_usually_lies_beside_a_set_is_not_told(tmp_path, kind):
    SETS[kind](tmp_path)
    for name in ("README.md", "LICENSE", "readme.html", "md5.txt", "all.zip", "all.tar.gz"):
        (tmp_path / name).write_text("x")
    for name in (".DS_Store", "batches.meta.txt", f"{OF_EACH[kind]}.tar"):
        (tmp_path / name).write_text("x")
    assert not left(read_source(tmp_path))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("batches", "train_data_batch_11.npz.part"),
        ("batches", "Train_data_batch_11.npz"),
        ("batches", "train_data_batch_11 (1).npz"),
        ("batches", "train_data_batch_11.npz.zip"),
        ("batches", "test_data.npz"),
        ("batches", "loose.png"),
        ("pictures", "test_32x32/"),
        ("pictures", "test_32x32.tar"),
        ("pictures", "loose.png"),
        ("pictures", "train_data_batch_1.npz"),
        ("cifar", "data_batch_6.bin"),
        ("cifar", "data_batch_5"),
        ("cifar", "Data_batch_6.bin.txt"),
        ("idx", "validation-images-idx3-ubyte.gz"),
        ("idx", "validation-images-idx3-ubyte.zip"),
        ("idx", "data_batch_1.bin"),
    ],
)
def test_what_is_of_a_set_by_its_name_and_not_read_is_told(tmp_path, kind, name):
    SETS[kind](tmp_path)
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(b"0")
    (told,) = left(read_source(tmp_path))
    assert told == f"1 left out, which have no name that is read: {name}"


@pytest.mark.parametrize("form", ["{} (1){}", "{}(1){}", "{} - Copy{}", "{} copy 2{}", "{}{}.1"])
@pytest.mark.parametrize("kind", SETS)
def test_copies_are_refused(tmp_path, kind, form):
    SETS[kind](tmp_path)
    stem, dot, suffix = OF_EACH[kind].partition(".")
    copy = form.format(stem, dot + suffix)
    original = tmp_path / OF_EACH[kind]
    (shutil.copytree if original.is_dir() else shutil.copy)(original, tmp_path / copy)
    with pytest.raises(DataError) as error:
        read_source(tmp_path)
    assert error.value.code == "SOURCE_TWICE"
    assert copy in error.value.found


@pytest.mark.parametrize("number", [1, 7])
def test_a_gap_in_the_numbers_is_refused(tmp_path, number):
    batches(tmp_path, {*range(1, 11)} - {number})
    with pytest.raises(DataError, match=rf"SOURCE_EMPTY: there is no train_data_batch_{number}\."):
        read_source(tmp_path)
    name = f"train_data_batch_{number} (1).npz"
    (tmp_path / name).write_bytes((tmp_path / "val_data.npz").read_bytes())
    with pytest.raises(DataError) as error:
        read_source(tmp_path)
    assert f"only {name}; rename it" in str(error.value)


@pytest.mark.parametrize("kind", SETS)
def test_a_missing_file_is_refused(tmp_path, kind):
    SETS[kind](tmp_path)
    last = {"batches": "val_data.npz", "cifar": "test_batch.bin"}.get(kind, OF_EACH[kind])
    (tmp_path / last).rename(tmp_path / f".{last}")
    with pytest.raises(DataError, match=f"SOURCE_EMPTY: there is no {last}"):
        read_source(tmp_path)


def test_a_number_that_is_there_twice_is_refused(tmp_path):
    batches(tmp_path)
    (tmp_path / "train_data_batch_01.npz").write_bytes((tmp_path / "val_data.npz").read_bytes())
    with pytest.raises(DataError, match=r"SOURCE_TWICE: both train_data_batch_01\.npz and"):
        read_source(tmp_path)


@pytest.mark.parametrize("form", ["train_data_batch_{}.npz", "train_data_batch_{:02}.npz"])
@pytest.mark.parametrize("first", [0, 1])
def test_numbers_without_a_gap_are_all_read(tmp_path, form, first):
    batches(tmp_path)
    held = [tmp_path / f"train_data_batch_{i}.npz" for i in range(1, 11)]
    moved = [path.rename(tmp_path / f"held_{path.stem}") for path in held]
    for number, path in enumerate(moved, first):
        path.rename(tmp_path / form.format(number))
    raw = read_source(tmp_path)
    assert sorted(whole(raw.splits["train"])[:, 0, 0, 0]) == [i for i in range(1, 11) for _ in "ab"]
    assert not left(raw)


def test_members_of_an_archive_are_told_as_files_are(tmp_path):
    cifar(tmp_path)
    (tmp_path / "data_batch_6.bin").write_bytes(b"0")
    (tmp_path / "readme.html").write_bytes(b"0")
    source = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        for name in (*CIFAR, "data_batch_6.bin", "readme.html"):
            archive.add(tmp_path / name, f"cifar-10-batches-bin/{name}")
    raw = read_source(source)
    assert left(raw) == ["1 left out, which have no name that is read: data_batch_6.bin"]
    assert whole(raw.splits["train"])[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("labels", [1, 3])
def test_labels_of_other_numbers_than_images_are_refused(tmp_path, labels):
    idx(tmp_path, labels)
    with pytest.raises(DataError, match=f"SOURCE_COUNT: {labels} labels are of 2 images"):
        read_source(tmp_path)


@pytest.mark.parametrize("name", ["train_data_batch_2", "val_data"])
def test_labels_in_a_batch_are_compared_and_other_arrays_told(tmp_path, name):
    batches(tmp_path, (1, 2))
    data = some(20, 3072)
    np.savez(tmp_path / f"{name}.npz", data=data, labels=np.zeros(20), mean=data[0], extra=data)
    told = "1 left out, which are not called data, labels or mean: extra"
    assert left(read_source(tmp_path)) == [told]
    np.savez(tmp_path / f"{name}.npz", data=data, labels=np.zeros(50_000))
    with pytest.raises(DataError, match=f"SOURCE_COUNT: 50000 labels are of 20 images .*{name}"):
        read_source(tmp_path)


def test_labels_of_shapes_are_compared_and_other_arrays_told(tmp_path):
    file = tmp_path / "a.h5"
    for labels in (4, 3):
        with h5py.File(file, "w") as archive:
            archive["images"], archive["test"] = some(4, 8, 8, 3), some(4, 8, 8, 3)
            archive["labels"] = np.zeros((labels, 6))
        if labels == 4:
            told = ["1 left out, which are not called images or labels: test"]
            assert left(read_source(file)) == told
    with pytest.raises(DataError, match="SOURCE_COUNT: 3 labels are of 4 images"):
        read_source(file)


@pytest.mark.parametrize("kind", SETS)
def test_fewer_images_than_were_published_are_told(tmp_path, capsys, kind):
    (tmp_path / "set").mkdir()
    SETS[kind](tmp_path / "set")
    given = ["vae", "prepare", str(tmp_path / "set"), "-o", str(tmp_path / "out"), "--name", "mine"]
    assert main(given) == 0
    told = "as published, " in capsys.readouterr().err
    assert told == (kind != "idx")  # whose headers tell how many there are


def test_as_many_images_as_were_published_are_not_told():
    def of(count):
        return Images((count, 3, 32, 32), lambda: iter(()))

    splits = {"train": of(50_000), "test": of(10_000)}
    assert not other_than_published("cifar10", splits)
    (told,) = other_than_published("cifar10", splits | {"test": of(9999)})
    assert (told.level, told.code) == ("warning", "SOURCE_COUNT")
    assert "train 50000, test 9999 images; as published" in told.found
