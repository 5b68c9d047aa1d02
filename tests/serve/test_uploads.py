"""All of a form is taken, or refused: nothing of what was sent is left out without a word."""

import pytest
from served import of_two_channels, second_channel

from data_prep.core.errors import DataError
from sdunet.serve import uploads
from sdunet.serve.uploads import _FormEnd

PART = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n'
FORM = {"content-type": "multipart/form-data; boundary=x"}


def code_of(answer):
    return (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("field", ["CT ", "T1", "", "label"])
def test_a_field_that_names_no_channel_is_refused(client, volume, field):
    answer = client().post("/predict", files=[(field, ("a.nii.gz", volume.read_bytes()))])
    assert code_of(answer) == (400, "SERVE_REQUEST")


def test_a_field_without_a_file_is_refused(client, volume):
    file = [("scan", ("a.nii.gz", volume.read_bytes()))]
    answer = client().post("/predict", files=file, data={"answer": "label"})
    assert code_of(answer) == (400, "SERVE_REQUEST")
    assert "answer" in answer.json()["found"]


@pytest.mark.parametrize(
    "query", ["answers=label", "answer=label&max_ram=3", "answer=label&answer=zip", "x"]
)
def test_other_queries_are_refused(client, volume, query):
    answer = client().post(f"/predict?{query}", files={"scan": ("a.nii.gz", volume.read_bytes())})
    assert code_of(answer) == (400, "SERVE_REQUEST")


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (("a_0000.nii.gz", "a_0001.nii.gz"), 200),
        (("a_0001.nii.gz", "a_0000.nii.gz"), 400),
        (("a_0000.nii.gz", "b.nii.gz"), 400),
        (("a_t1.nii.gz", "a_t2.nii.gz"), 200),
        (("a_t2.nii.gz", "a_t1.nii.gz"), 400),
        (("b.nii.gz", "a.nii.gz"), 200),
    ],
)
@pytest.mark.parametrize("fields", [("scan", "scan"), ("T1", "T2"), ("T2", "T1")])
def test_channels_that_names_of_files_tell_are_those_they_are_sent_as(
    client, volume, names, status, fields, tmp_path, write_nifti
):
    other = write_nifti(tmp_path / "b.nii.gz", *second_channel(volume))
    names = names[::-1] if fields == ("T2", "T1") else names
    both = zip(fields, names, (volume, other), strict=True)
    files = [(field, (name, path.read_bytes())) for field, name, path in both]
    assert client(ensemble=of_two_channels()).post("/predict", files=files).status_code == status


@pytest.mark.parametrize(
    "rest", [PART % (b"scan", b"b.nii.gz", b"more") + b"--x--\r\n", b"\0" * 99, b"--x--"]
)
def test_what_follows_the_end_is_no_part_of_a_form(client, volume, rest):
    whole = PART % (b"scan", b"a.nii.gz", volume.read_bytes()) + b"--x--\r\n"
    made = client()
    assert made.post("/predict", content=whole, headers=FORM).status_code == 200
    answer = made.post("/predict", content=whole + rest, headers=FORM)
    assert code_of(answer) == (400, "SERVE_REQUEST")


def test_the_end_inside_a_file_that_was_cut_is_none(client, volume):
    whole = PART % (b"scan", b"a.nii.gz", volume.read_bytes())
    cut = PART % (b"scan", b"b.nii.gz", b"data --x-- data")
    answer = client().post("/predict", content=whole + cut[:-2], headers=FORM)
    assert code_of(answer) == (400, "SERVE_REQUEST")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_the_end_is_seen_in_pieces_of_any_size(size):
    body = b"--x\r\n\r\n--x-\r\n--xx\r\n--x--\r\n"
    end = _FormEnd(b"x")
    for start in range(0, len(body), size):
        end.look(body[start : start + size])
        assert end.seen == (b"\r\n--x--" in body[: start + size])
    assert end.seen
    with pytest.raises(DataError, match="SERVE_REQUEST"):
        end.look(b"\r\n.")


def test_an_upload_that_drips_is_given_up():
    uploads._check_pace(1, 29)
    uploads._check_pace(400_000, 40)
    with pytest.raises(DataError, match="SERVE_SLOW"):
        uploads._check_pace(399_999, 40)
