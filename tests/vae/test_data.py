"""Raw image sets and their packed form: exact round trips, and a named error for what is broken."""

import gzip
import io
import struct
import tarfile
import warnings
import zipfile

import h5py
import numpy as np
import pytest
import torch
from image_sets import assert_splits, raw_of, save_pictures, some, whole
from PIL import Image

from data_prep.core.errors import DataError
from sdunet.vae.data.packed import PackedImages, load_packed, pack
from sdunet.vae.data.raw import Images, RawImages
from sdunet.vae.data.sources import read_source


def idx_bytes(images, magic=0x803):
    return struct.pack(">4I", magic, *images.shape) + images.tobytes()


@pytest.fixture
def idx_folder(tmp_path):
    train, test = some(30, 5, 7), some(4, 5, 7)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(train)))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(test))
    return tmp_path, train, test


def test_idx_files_are_read_zipped_or_not(idx_folder):
    root, train, test = idx_folder
    assert_splits(read_source(root), train[:, None], test[:, None])


def cifar_records(images, labels):
    return b"".join(bytes([k]) + image.tobytes() for k, image in zip(labels, images, strict=True))


@pytest.mark.parametrize("archived", [False, True])
def test_cifar_is_read_from_folder_and_archive(tmp_path, archived):
    images = some(12, 3, 32, 32)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(cifar_records(images[2 * i : 2 * i + 2], [9, 0]))
    source = tmp_path
    if archived:
        source = tmp_path / "cifar-10-binary.tar.gz"
        with tarfile.open(source, "w:gz") as archive:
            for name in names:
                archive.add(tmp_path / name, f"cifar-10-batches-bin/{name}")
    raw = read_source(source)
    assert raw.name == "cifar10"
    assert_splits(raw, images[:10], images[10:])


def test_imagenet32_is_read_as_pictures_and_as_batches(tmp_path):
    train, test = some(6, 32, 32, 3), some(3, 32, 32, 3)
    save_pictures(tmp_path / "old/train_32x32", train)
    save_pictures(tmp_path / "old/valid_32x32", test)
    train, test = train.transpose(0, 3, 1, 2), test.transpose(0, 3, 1, 2)
    assert_splits(read_source(tmp_path / "old"), train, test)
    new = tmp_path / "new"
    new.mkdir()
    for i in (1, 2):
        np.savez(new / f"train_data_batch_{i}.npz", data=train[3 * i - 3 : 3 * i].reshape(3, -1))
    np.savez(new / "val_data.npz", data=test.reshape(3, -1))
    raw = read_source(new)
    assert raw.name != read_source(tmp_path / "old").name  # their bits cannot be compared
    assert_splits(raw, train, test)


def test_folder_holds_out_every_tenth_picture_or_follows_its_subfolders(tmp_path):
    images = some(20, 4, 6, 3)
    save_pictures(tmp_path / "flat", images)
    kept = np.arange(20) % 10 != 9
    first = images.transpose(0, 3, 1, 2)
    assert_splits(read_source(tmp_path / "flat"), first[kept], first[~kept])
    save_pictures(tmp_path / "split/train", images[:15, :, :, 0])
    save_pictures(tmp_path / "split/valid", images[15:, :, :, 0])
    raw = read_source(tmp_path / "split")
    assert_splits(raw, images[:15, None, :, :, 0], images[15:, None, :, :, 0])


@pytest.mark.parametrize("layout", ["grey", "channels first", "channels last"])
def test_npz_is_read_in_each_layout(tmp_path, layout):
    images = some(5, 3, 6, 7, high=32)
    if layout == "grey":
        images = images[:, :1]
    stored = {
        "grey": images[:, 0],
        "channels first": images,
        "channels last": images.transpose(0, 2, 3, 1),
    }
    np.savez(tmp_path / "a.npz", train=stored[layout], test=stored[layout][:2], levels=32)
    raw = read_source(tmp_path / "a.npz")
    assert raw.levels == 32
    assert_splits(raw, images, images[:2])


@pytest.mark.parametrize("shape", [(6, 3, 8, 3), (6, 1, 8, 3), (6, 3, 3, 1)])
def test_an_npz_whose_axes_may_be_either_way_round_is_refused(tmp_path, shape):
    np.savez(tmp_path / "a.npz", train=some(*shape))
    with pytest.raises(DataError, match=r"IMG_SIZE.*may be channels"):
        read_source(tmp_path / "a.npz")


def _zip_of(members: list[tuple[str, np.ndarray]]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        warnings.simplefilter("ignore")  # names told twice
        for name, array in members:
            stored = io.BytesIO()
            np.save(stored, array)
            packed.writestr(name, stored.getvalue())
    return buffer.getvalue()


_ONE = _zip_of([("train.npy", some(3, 8, 8))])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (_zip_of([("train.npy", some(3, 8, 8)), ("train.npy", some(2, 8, 8))]), "SOURCE_TWICE"),
        (_zip_of([("train.npy", some(3, 8, 8)), ("train", some(2, 8, 8))]), "SOURCE_TWICE"),
        (_zip_of([("x.npy", some(3, 8, 8))]) + _ONE, "IO_ARCHIVE"),
        (_ONE + b"more", "IO_ARCHIVE"),
        (_zip_of([("train.npy", np.zeros((40_000, 32, 32), np.uint8))]), "IO_MEMORY"),
        (_zip_of([("train", np.zeros((40_000, 32, 32), np.uint8))]), "IO_MEMORY"),
    ],
    ids=["twice", "twice by two names", "two zips", "bytes behind", "bomb", "bomb without suffix"],
)
def test_an_npz_is_one_whole_zip_of_arrays_told_once(tmp_path, data, code):
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(DataError) as error:
        read_source(tmp_path / "a.npz", max_ram=0.03)
    assert error.value.code == code
    assert error.value.file == str(tmp_path / "a.npz")


@pytest.mark.parametrize("names", [["train"], ["train", "test", "validation"]])
def test_an_npz_needs_memory_for_about_three_times_its_arrays(tmp_path, names):
    images = np.zeros((40, 32, 32), np.uint8)
    (tmp_path / "a.npz").write_bytes(_zip_of([(f"{name}.npy", images) for name in names]))
    size = len(names) * images.nbytes / 1e9
    assert read_source(tmp_path / "a.npz", max_ram=3.1 * size).splits.keys() == {*names}
    with pytest.raises(DataError, match=r"IO_MEMORY.*store fewer images, .* by --max-ram"):
        read_source(tmp_path / "a.npz", max_ram=1.5 * size)


def test_shapes3d_is_read_with_the_index_of_each_factor(tmp_path):
    images, sizes = some(12, 64, 64, 3), (2, 3, 2, 1, 1, 1)
    factors = np.stack(np.unravel_index(np.arange(12), sizes), 1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = images
        file["labels"] = factors * 0.1 - 0.5
    raw = read_source(tmp_path / "a.h5")
    np.testing.assert_array_equal(whole(raw.splits["train"]), images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(raw.factors["train"], factors)


def test_digits_are_all_there():
    raw = read_source("digits", "digits")
    assert raw.levels == 17
    assert sum(images.shape[0] for images in raw.splits.values()) == 1797
    assert whole(raw.splits["train"]).max() == 16


def broken(tmp_path, what):
    """Write a broken source and return it with its kind."""
    root = tmp_path / "broken"
    root.mkdir()
    good = some(3, 8, 8)
    if what.startswith("idx"):
        data = idx_bytes(good, 0x801 if what == "idx type" else 0x803)
        data = {"idx cut": data[:-1], "idx longer": data + b"0", "idx header": data[:9]}.get(
            what, data
        )
        (root / "train-images-idx3-ubyte").write_bytes(data)
        if what != "idx alone":
            (root / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(good))
        return root, "idx"
    if what.startswith("cifar"):
        data = cifar_records(some(2, 3, 32, 32), [10 if what == "cifar label" else 1, 1])
        for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
            (root / name).write_bytes(data[: -1 if what == "cifar cut" else None])
        return root, "cifar10"
    if what.startswith("npz"):
        arrays = {
            "npz objects": {"train": np.array([{}, {}])},
            "npz floats": {"train": some(3, 8, 8) / 255},
            "npz names": {"x": good},
            "npz shape": {"train": some(3, 8)},
            "npz levels": {"train": good, "levels": np.int64(300)},
            "npz list of levels": {"train": good, "levels": np.array([256, 2])},
            "npz half levels": {"train": good, "levels": np.float64(256.5)},
            "npz layouts": {"train": some(3, 3, 8, 8), "test": some(2, 8, 8, 3)},
            "npz cut": {"train": good},
        }[what]
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        (root / "a.npz").write_bytes(buffer.getvalue()[: -30 if what == "npz cut" else None])
        return root / "a.npz", "npz"
    if what == "folder empty":
        return root, "folder"
    if what == "nothing known":
        (root / "notes.txt").write_text("x")
        return root, "auto"
    if what == "missing":
        return root / "not there", "auto"
    save_pictures(root, good)
    if what == "folder cut":
        data = (root / "001.png").read_bytes()
        (root / "001.png").write_bytes(data[:-20])
    else:
        other = {
            "folder sizes": some(8, 9),
            "folder modes": some(8, 8, 3),
            "folder alpha": some(8, 8, 4),
            "folder 16 bit": some(8, 8).astype(np.uint16),
        }[what]
        Image.fromarray(other).save(root / "001.png")
    return root, "folder"


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("idx cut", "FILE_DAMAGED"),
        ("idx longer", "FILE_DAMAGED"),
        ("idx header", "FILE_DAMAGED"),
        ("idx type", "FILE_DAMAGED"),
        ("idx alone", "SOURCE_EMPTY"),
        ("cifar cut", "FILE_DAMAGED"),
        ("cifar label", "FILE_DAMAGED"),
        ("npz objects", "HDR_DTYPE"),
        ("npz list of levels", "IMG_LEVELS"),
        ("npz half levels", "IMG_LEVELS"),
        ("npz layouts", "IMG_SIZE"),
        ("npz floats", "IMG_MODE"),
        ("npz names", "SOURCE_EMPTY"),
        ("npz shape", "IMG_SIZE"),
        ("npz levels", "IMG_LEVELS"),
        ("npz cut", "FILE_DAMAGED"),
        ("folder empty", "SOURCE_EMPTY"),
        ("nothing known", "SOURCE_KIND"),
        ("missing", "SOURCE_MISSING"),
        ("folder cut", "FILE_DAMAGED"),
        ("folder sizes", "IMG_SIZE"),
        ("folder modes", "IMG_MODE"),
        ("folder alpha", "IMG_MODE"),
        ("folder 16 bit", "IMG_MODE"),
    ],
)
def test_broken_sources_are_refused_and_leave_nothing(tmp_path, what, code):
    source, kind = broken(tmp_path, what)
    with pytest.raises(DataError) as error:
        pack(read_source(source, kind), tmp_path / "packed")
    assert error.value.code == code
    assert not list((tmp_path / "packed").glob("[!.]*"))


def test_zipped_idx_cut_or_flipped_anywhere_is_never_read_wrong(idx_folder):
    root, train, _ = idx_folder
    file = root / "train-images-idx3-ubyte.gz"
    data = file.read_bytes()
    refused = 0
    for place in range(0, len(data), len(data) // 40):
        flipped = bytearray(data)
        flipped[place] ^= 0x10
        for bad in (data[:place], bytes(flipped)):
            file.write_bytes(bad)
            try:
                raw = read_source(root)
            except DataError as error:
                refused += error.code == "FILE_DAMAGED"
            else:  # bits of a gzip file that mean nothing, such as its time of writing
                np.testing.assert_array_equal(whole(raw.splits["train"]), train[:, None])
    assert refused > 70


def test_packed_set_is_the_raw_one(tmp_path):
    train, test = some(10, 3, 4, 6), some(4, 3, 4, 6)
    packed = pack(raw_of(train, test=test), tmp_path / "p")
    assert packed == load_packed(tmp_path / "p")
    assert (packed.channels, packed.size, packed.levels) == (3, (4, 6), 256)
    np.testing.assert_array_equal(packed.images("train"), train)
    np.testing.assert_array_equal(packed.images("test"), test)
    packed.verify()
    with pytest.raises(DataError, match="PACK_EXISTS"):
        pack(raw_of(train), tmp_path / "p")
    with pytest.raises(DataError, match="SPLIT_MISSING"):
        packed.images("valid")
    with pytest.raises(DataError, match="FACTORS_MISSING"):
        packed.factors("train")


def test_fewer_or_more_images_than_declared_are_refused(tmp_path):
    train = some(10, 1, 4, 6)
    for count in (9, 11):
        wrong = RawImages("made", 256, {"train": Images((count, 1, 4, 6), lambda: iter([train]))})
        with pytest.raises(DataError, match="SOURCE_COUNT"):
            pack(wrong, tmp_path / str(count))


def test_failure_halfway_leaves_no_set(tmp_path):
    def blocks():
        yield some(5, 1, 4, 4)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        pack(RawImages("made", 256, {"train": Images((10, 1, 4, 4), blocks)}), tmp_path / "p")
    assert not list((tmp_path / "p").glob("[!.]*"))
    with pytest.raises(DataError, match="PACK_MISSING"):
        load_packed(tmp_path / "p")


def test_values_above_the_levels_are_refused(tmp_path):
    train = some(10, 1, 4, 4, high=17)
    train[7, 0, 1, 1] = 17
    with pytest.raises(DataError, match="IMG_LEVELS: a value is 17 in split train"):
        pack(raw_of(train, levels=17), tmp_path / "p")


def test_damage_is_found(tmp_path):
    packed = pack(raw_of(some(10, 1, 4, 4)), tmp_path / "p")
    file = tmp_path / "p/train.npy"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"PACK_DAMAGED.*hash.*train\.npy"):
        packed.verify()
    file.write_bytes(data[:-5])
    with pytest.raises(DataError, match="PACK_DAMAGED"):
        load_packed(tmp_path / "p")
    description = tmp_path / "p/dataset.json"
    for text in ("", "[]", description.read_text().replace("train.npy", "../train.npy")):
        description.write_text(text)
        with pytest.raises(DataError, match="PACK_JSON"):
            load_packed(tmp_path / "p")


def test_five_bits_are_made_by_merging_levels():
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    got = PackedImages(every, 256, 32)[0]
    want = torch.floor(torch.arange(256) / 255 * 255 / 2**3).reshape(1, 16, 16)
    assert got.dtype == torch.uint8
    assert torch.equal(got.float(), want)
    assert torch.equal(PackedImages(every, 256, 256)[0], torch.from_numpy(every[0]))
    with pytest.raises(DataError, match="IMG_LEVELS: 17 levels are asked for, the set has 256"):
        PackedImages(every, 256, 17)


def test_a_split_that_is_there_twice_is_not_guessed(idx_folder):
    root, _, _ = idx_folder
    packed = (root / "train-images-idx3-ubyte.gz").read_bytes()
    (root / "train-images-idx3-ubyte").write_bytes(gzip.decompress(packed)[:-1] + b"1")
    with pytest.raises(DataError, match="SOURCE_TWICE: both train-images-idx3-ubyte and"):
        read_source(root)


def test_other_idx_files_are_told_and_labels_are_not(idx_folder):
    root, train, _ = idx_folder
    labels = {n: struct.pack(">2I", 0x801, n) + bytes(n) for n in (30, 4)}
    (root / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels[30]))
    (root / "t10k-labels-idx1-ubyte").write_bytes(labels[4])
    assert not read_source(root).findings
    (root / "validation-images-idx3-ubyte").write_bytes(idx_bytes(train))
    (told,) = read_source(root).findings
    assert told.code == "SOURCE_LEFT"
    assert told.found.endswith("no name that is read: validation-images-idx3-ubyte")


@pytest.mark.parametrize("split", ["train", "t10k"])
def test_a_split_of_no_images_is_an_error(idx_folder, split):
    root, _, test = idx_folder
    for path in root.glob(f"{split}-*"):
        path.unlink()
    (root / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(test[:0]))
    with pytest.raises(DataError, match="SOURCE_EMPTY: 0 t"):
        read_source(root)
