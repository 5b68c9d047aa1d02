"""What is sent comes back as `sdunet predict` would write it, or as an error that can be read."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
from bombs import VOLUMES
from dicom_files import STORED, encode, new_slice
from PIL import Image
from predicted_series import PLAN
from served import ct, of_two_channels, second_channel, zipped

from data_prep.core.codes import explain


def send(client, *files, **query):
    """Files are bytes with a name, and perhaps a field before."""
    sent = [(file[0] if len(file) > 2 else "scan", file[-2:]) for file in files]
    return client.post("/predict", files=sent, params=query)


@pytest.mark.parametrize("form", ["nifti", "series", "a slice"])
def test_the_label_is_the_file_that_predict_writes(
    form, client, volume, tmp_path, written_by_predict
):
    files = {
        "nifti": ("Anna B.nii.gz", volume.read_bytes()),
        "series": ("series.zip", zipped(ct())),
        "a slice": ("IM0001", encode(new_slice(0, STORED[0]))),
    }
    name, data = files[form]
    path = tmp_path / name
    path.write_bytes(data)
    made = client()
    answer = send(made, (name, data))
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["label.nii.gz", "overlay.png", "findings.json"]
        label = archive.read("label.nii.gz")
        told = json.loads(archive.read("findings.json"))
        picture = np.asarray(Image.open(io.BytesIO(archive.read("overlay.png"))))
    assert label == written_by_predict(path)
    assert told["labels"] == PLAN.labels
    assert told["sha256"] == ["ab" * 32]
    assert len({*map(tuple, picture.reshape(-1, 3))}) > 2
    alone = send(made, (name, data), answer="label")
    assert alone.content == label
    assert alone.headers.get("x-findings", "") == ",".join(f["code"] for f in told["findings"])


def test_channels_are_told_by_their_fields_or_by_their_order(
    client, volume, tmp_path, write_nifti, written_by_predict
):
    made = client(ensemble=of_two_channels())
    other = write_nifti(tmp_path / "b.nii.gz", *second_channel(volume))
    folder = tmp_path / "both"
    folder.mkdir()
    (folder / "a_0000.nii.gz").write_bytes(volume.read_bytes())
    (folder / "a_0001.nii.gz").write_bytes(other.read_bytes())
    wanted = written_by_predict(folder)
    one, two = (("x.nii.gz", path.read_bytes()) for path in (volume, other))
    for files in ([one, two], [("T1", *one), ("T2", *two)], [("T2", *two), ("T1", *one)]):
        assert send(made, *files, answer="label").content == wanted
    assert send(made, two, one, answer="label").content != wanted
    for files in ([one], [one, two, two], [("T1", *one), ("PD", *two)], [("T1", *one)] * 2):
        refusal = send(made, *files)
        assert refusal.status_code == (422 if len(files) == 1 else 400)
        assert refusal.json()["code"] == ("CH_COUNT" if len(files) == 1 else "SERVE_REQUEST")


NIFTI_SUFFIX = "a.nii.gz"
REFUSED = {
    "text": (("notes.txt", b"hello"), 422, "IO_NOT_IMAGE"),
    "cut": ((NIFTI_SUFFIX, b"\x1f\x8b\x08\0"), 422, "IO_TRUNCATED"),
    "empty": ((NIFTI_SUFFIX, b""), 422, "IO_EMPTY"),
    "other kind": (("a.png", b"\x89PNG\r\n\x1a\n"), 422, "IO_DAMAGED"),
    "two series": (
        ("a.zip", zipped(ct() | {f"b/{n}": d for n, d in ct(series="9.9").items()})),
        422,
        "IO_SEVERAL",
    ),
    "a missing slice": (
        ("a.zip", zipped({n: d for n, d in ct().items() if "4" not in n})),
        422,
        "DCM_GAP",
    ),
    "unread beside": (("a.zip", zipped(ct() | {"b/x.nii.gz": b"\x1f\x8b"})), 422, "LAY_UNUSED"),
    "names that act": (
        ("a.zip", zipped({"\x1b[2J/tmp/a.txt": b"\x1b]0;x\7"})),
        422,
        "IO_NOT_IMAGE",
    ),
    "no zip": (("a.zip", b"PK\3\4 cut"), 422, "IO_ARCHIVE"),
    "header alone": (("a.mhd", b"ObjectType = Image\nNDims = 3\n"), 422, "HDR_DAMAGED"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_predicted_is_refused_in_words_that_tell_nothing_of_here(
    name, client, tmp_path, capfd
):
    file, status, code = REFUSED[name]
    answer = send(client(), file)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (status, code), told
    assert {"code", "found", "fix"} <= {*told} <= {"code", "found", "fix", "file"}
    assert explain(told["code"])
    assert all(text.isprintable() and text for text in told.values())
    assert str(tmp_path) not in answer.text
    assert "Traceback" not in answer.text
    said = capfd.readouterr().err
    assert said == f"refused: {told['code']}\n"


def test_a_fault_of_the_server_itself_shows_no_traceback(service, client, volume, capfd):
    made = service()
    made.model.predict = lambda path: [][0] if path.exists() else None
    answer = send(client(made), ("a.nii.gz", volume.read_bytes()))
    assert (answer.status_code, answer.json()["code"]) == (500, "CASE_FAILED")
    assert "Traceback" not in answer.text + capfd.readouterr().err


@pytest.mark.parametrize("name", ["declared.nii.gz", "surplus.nrrd"])
def test_small_files_that_unpack_to_gigabytes_are_refused(name, client, tmp_path):
    VOLUMES[name](tmp_path / name)
    answer = send(client(memory=0.5e9), (name, (tmp_path / name).read_bytes()))
    assert answer.status_code == 422
    assert re.match("IO_(MEMORY|TRAILING|TOO_LARGE|DAMAGED)", answer.json()["code"]), answer.text


@pytest.mark.parametrize("told", [True, False], ids=["told by its length", "streamed"])
def test_an_upload_is_cut_off_at_its_limit(told, client):
    made, sent = client(most=100_000), []

    def body():
        yield b'--x\r\nContent-Disposition: form-data; name="scan"; filename="a.nii"\r\n\r\n'
        for _ in range(100):
            sent.append(1)
            yield bytes(20_000)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    content = b"".join(body()) if told else body()
    answer = made.post("/predict", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "SERVE_UPLOAD")
    assert "0.1 MB" in answer.json()["found"]


def test_an_upload_that_ends_within_a_file_is_none(client, volume):
    head = b'--x\r\nContent-Disposition: form-data; name="scan"; filename="a.nii.gz"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    made = client()
    whole = head + volume.read_bytes() + b"\r\n--x--\r\n"
    assert made.post("/predict", content=whole, headers=headers).status_code == 200
    for content in (whole[:-100], head, b"", b"no form at all"):
        answer = made.post("/predict", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "SERVE_REQUEST")


def test_a_zip_is_answered_whatever_the_clock(client, volume, monkeypatch):
    sent = ("a.nii.gz", volume.read_bytes())
    made = client()
    wanted = send(made, sent)
    monkeypatch.setattr("time.time", lambda: 3600.0)  # before zips can tell
    answer = send(made, sent)
    assert answer.status_code == 200, answer.text
    assert answer.content == wanted.content
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert {member.external_attr >> 16 for member in archive.infolist()} == {0o644}
