"""What clients of MONAI Label send and are answered, as its `client.py` and 3D Slicer do."""

import json
from email import message_from_bytes
from urllib.parse import urlencode

import numpy as np
import pytest
from predicted_series import CLASSES
from served import of_two_channels, second_channel, until
from starlette.testclient import TestClient

TOKEN = "a+long&token%"
ASKED = {"params": json.dumps({"result_extension": ".nrrd", "client_id": "user-xyz"})}
NAME = "volume.nii.gz"


def keep(client, *files, **options):
    """Send files of a session as the client does, with its own id beside them."""
    sent = [("files", (file.name, file.read_bytes())) for file in files]
    return client.put("/session/", files=sent, data={"client_id": "user-xyz"}, **options)


def upload(client, file, image, user="user-xyz", **options):
    """Send the volume of a scene under its name, as newer modules of Slicer do."""
    sent = {"params": (None, json.dumps({"client_id": user})), "file": (NAME, file.read_bytes())}
    return client.put("/datastore/", params={"image": image}, files=sent, **options)


def infer(client, query, **options):
    """Ask for a prediction by a form of texts, which has the type of one of files."""
    sent = options.pop("files", {})
    texts = {name: (None, text) for name, text in ASKED.items()}
    return client.post(f"/infer/{query}", files={**texts, **sent}, **options)


def code_of(answer):
    return (answer.status_code, answer.json()["code"])


def parts_of(answer):
    """The parts of a form by name, as the standard library reads mail: name of a file, bytes."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + answer.content).get_payload()
    names = [part.get_param("name", header="content-disposition") for part in parts]
    return {
        name: (part.get_filename(), part.get_payload(decode=True))
        for name, part in zip(names, parts, strict=True)
    }


def test_a_scan_that_was_sent_before_is_predicted_as_by_predict(
    service, client, volume, written_by_predict
):
    shared = service()
    made, wanted = client(shared), written_by_predict(volume)
    told = keep(made, volume).json()
    name = told["session_id"]
    assert told["session_info"] == made.get(f"/session/{name}").json()
    for _ in range(2):
        answer = infer(made, f"model?image={NAME}&session_id={name}")
        parts = parts_of(answer)
        assert parts["image"] == ("label.nii.gz", wanted)
        params = json.loads(parts["params"][1])
        assert params["label_names"] == {"organ": 1, "tumour": 2}
        assert params["sha256"] == ["ab" * 32]
    assert infer(made, f"model?session_id={name}&output=image").content == wanted
    assert infer(made, f"model?session_id={name}&output=json").json() == params
    assert infer(made, f"model?session_id={name}&output=all").status_code == 200
    assert made.delete(f"/session/{name}").json()["session_id"] == name
    assert not [*shared.folder.iterdir()]


def test_a_scan_in_the_form_is_predicted_and_not_kept(service, client, volume, written_by_predict):
    shared = service()
    file = ("/tmp/any place/x.nii.gz", volume.read_bytes())
    answer = infer(client(shared), f"model?image={NAME}", files={"file": file})
    assert parts_of(answer)["image"][1] == written_by_predict(volume)
    assert not shared.kept.names


def test_a_volume_is_predicted_under_its_name_for_whoever_sent_it(
    service, client, volume, tmp_path, write_nifti, written_by_predict
):
    shared = service()
    made, name = client(shared), "2: CT Abdomen / ä"
    other = write_nifti(tmp_path / "b.nii.gz", *second_channel(volume))
    anna, bert = ({"params": (None, json.dumps({"client_id": who}))} for who in ("anna", "bert"))

    def predicted(sender, client=made):
        query = urlencode({"image": name, "output": "image"})
        return infer(client, f"model?{query}", files=sender)

    assert upload(made, volume, name, "anna").json() == {"image": name}
    assert predicted(anna).content == written_by_predict(volume)
    assert code_of(predicted(bert)) == (404, "SERVE_SESSION")
    elsewhere = TestClient(made.app, base_url="http://127.0.0.1:8000", client=("10.0.0.9", 1))
    assert code_of(predicted(anna, elsewhere)) == (404, "SERVE_SESSION")
    assert upload(made, other, name, "bert").status_code == 200
    assert predicted(anna).content == written_by_predict(volume)
    assert predicted(bert).content == written_by_predict(other)
    assert upload(made, other, name, "anna").status_code == 200
    assert predicted(anna).content == written_by_predict(other)
    assert len(shared.kept.names) == len([*shared.folder.iterdir()]) == 2
    assert code_of(upload(made, volume, "")) == (400, "SERVE_REQUEST")
    assert code_of(made.put("/datastore/?image=x", files=anna)) == (400, "SERVE_REQUEST")
    assert code_of(made.put("/datastore/label?image=x", files=anna)) == (404, "SERVE_REQUEST")


def test_a_client_is_known_by_its_id_in_params_or_beside_them(client, volume):
    made = client()
    params = {"params": (None, json.dumps({"client_id": "anna"}))}
    sent = {"client_id": (None, "anna"), "file": (NAME, volume.read_bytes())}
    assert made.put("/datastore/?image=x", files=sent).status_code == 200
    assert made.post("/infer/model?image=x", files=params).status_code == 200
    for one in ({"client_id": (None, "bert")}, {"params": (None, "{}")}):
        assert code_of(made.post("/infer/model?image=x", files=one)) == (404, "SERVE_SESSION")
    twice = [*sent.items(), ("client_id", (None, "anna"))]
    assert code_of(made.put("/datastore/?image=x", files=twice)) == (400, "SERVE_REQUEST")


def test_a_request_that_names_two_scans_is_refused(client, volume):
    made = client()
    assert upload(made, volume, "x").status_code == 200
    session = keep(made, volume).json()["session_id"]
    refused = infer(made, f"model?image=x&session_id={session}")
    assert code_of(refused) == (400, "SERVE_REQUEST")
    assert refused.json()["found"] == "a session and a kept image"
    file = {"file": (NAME, volume.read_bytes())}
    assert infer(made, "model?image=x", files=file).json()["found"] == "a file and a kept image"


@pytest.mark.parametrize("image", ["M%FCller", "M%E4ller", "M%EF%BF%BDller", "M%C3%BCller"])
def test_names_that_others_could_become_keep_nothing(image, service, client, volume):
    shared = service()
    sent = {"file": (NAME, volume.read_bytes())}
    answer = client(shared).put(f"/datastore/?image={image}", files=sent)
    whole = image == "M%C3%BCller"
    assert answer.status_code == (200 if whole else 400)
    assert len(shared.kept.names) == whole


def test_files_of_channels_are_taken_in_their_order(
    client, volume, tmp_path, write_nifti, written_by_predict
):
    folder = tmp_path / "both"
    folder.mkdir()
    one, two = folder / "a_0000.nii.gz", folder / "a_0001.nii.gz"
    one.write_bytes(volume.read_bytes())
    write_nifti(two, *second_channel(volume))
    made = client(ensemble=of_two_channels())
    name = keep(made, one, two).json()["session_id"]
    answer = infer(made, f"model?session_id={name}&output=image")
    assert answer.content == written_by_predict(folder)
    alone = keep(made, one).json()["session_id"]
    assert code_of(infer(made, f"model?session_id={alone}")) == (422, "CH_COUNT")


def test_the_model_is_told_as_the_module_of_slicer_reads_it(client):
    made = client()
    info = made.get("/info/").json()
    assert info["labels"] == ["organ", "tumour"]
    assert [*info["models"]] == ["model"]
    about = info["models"]["model"]
    assert about["labels"] == {name: number for name, number in CLASSES.items() if number}
    assert (about["type"], about["dimension"]) == ("segmentation", 3)
    assert about["description"]
    for section in ("trainers", "strategies", "scoring", "train_stats", "datastore"):
        assert info[section] == {}
    # It refuses servers that tell of such, as of old ones.
    assert not info.get("config")
    # By which it asks whether a training goes on.
    assert made.get("/train/?check_if_running=true").status_code == 404
    assert made.get("/info").json() != info


def test_a_name_with_a_space_is_asked_for_as_the_client_writes_it(service, client, volume):
    shared = service()
    shared.model.name = "my model"
    made = client(shared)
    for asked in ("my+model", "my%20model"):
        file = {"file": (NAME, volume.read_bytes())}
        assert infer(made, f"{asked}?image=", files=file).status_code == 200


@pytest.mark.parametrize(
    ("query", "sent", "status"),
    [
        ("other?session_id={}", {}, (400, "SERVE_REQUEST")),
        ("model?session_id={}&output=dicom_seg", {}, (400, "SERVE_REQUEST")),
        ("model?session_id={}&roi=1", {}, (400, "SERVE_REQUEST")),
        ("model?session_id={}&session_id=x", {}, (400, "SERVE_REQUEST")),
        ("model?session_id={}", {"file": (NAME, b"x")}, (400, "SERVE_REQUEST")),
        ("model?session_id={}", {"label": (NAME, b"x")}, (400, "SERVE_REQUEST")),
        ("model?session_id={}", {"other": (None, "x")}, (400, "SERVE_REQUEST")),
        ("model?session_id={}x", {}, (404, "SERVE_SESSION")),
        ("model?session_id=../upload", {}, (404, "SERVE_SESSION")),
        (f"model?image={NAME}", {}, (404, "SERVE_SESSION")),
        ("model?image=..%2F..%2Fetc%2Fpasswd", {}, (404, "SERVE_SESSION")),
        ("model?image={}", {}, (404, "SERVE_SESSION")),
        ("model?image=", {}, (400, "SERVE_REQUEST")),
        ("model?image=x", {"params": (None, "{")}, (400, "SERVE_REQUEST")),
        ("model?image=x", {"params": (None, '{"client_id": 1}')}, (400, "SERVE_REQUEST")),
        ("model?image=x", {"params": (None, '{"a": 1, "a": 2}')}, (400, "SERVE_REQUEST")),
        ("model?image=x", {"params": (None, '{"client_id": "\\ufffd"}')}, (400, "SERVE_REQUEST")),
        ("model?image=x", {"client_id": (None, "another")}, (400, "SERVE_REQUEST")),
        ("model?image=x", {"client_id": (None, b"\xe4")}, (400, "SERVE_REQUEST")),
        ("model?image=M%FCller", {}, (400, "SERVE_REQUEST")),
        ("model?image=M%EF%BF%BDller", {}, (400, "SERVE_REQUEST")),
        ("model%FC?image=x", {}, (400, "SERVE_REQUEST")),
        ("model?image=x", {"params": (None, "[]")}, (400, "SERVE_REQUEST")),
        ("model?image=x", {"params": (None, "[" * 100_000)}, (400, "SERVE_REQUEST")),
    ],
)
def test_what_is_not_done_is_refused(query, sent, status, client, volume):
    made = client()
    name = keep(made, volume).json()["session_id"]
    answer = infer(made, query.format(name), files=sent)
    assert code_of(answer) == status
    assert answer.json()["fix"]


@pytest.mark.parametrize("name", ["..", "%2e%2e", "..%2f..%2fmodel", "%00", "*", "x" * 5000, "é"])
def test_names_that_no_session_has_reach_nothing(name, service, client, volume, tmp_path):
    shared = service()
    made = client(shared)
    kept = keep(made, volume).json()["session_id"]
    before = sorted(tmp_path.rglob("*"))
    asked = made.get(f"/session/{name}")
    assert asked.json() == {} or asked.json()["code"] == "SERVE_REQUEST"
    assert made.delete(f"/session/{name}").json()["code"] in ("SERVE_SESSION", "SERVE_REQUEST")
    assert sorted(tmp_path.rglob("*")) == before
    assert shared.kept.names == (kept,)


def test_the_scan_that_nobody_used_for_longest_makes_room(service, client, volume):
    shared = service(keep=2)
    made = client(shared)
    first, second = (keep(made, volume).json()["session_id"] for _ in range(2))
    assert made.get(f"/session/{first}").json()
    third = keep(made, volume).json()["session_id"]
    assert shared.kept.names == (first, third)
    assert len([*shared.folder.iterdir()]) == 2
    assert made.get(f"/session/{second}").json() == {}
    assert code_of(infer(made, f"model?session_id={second}")) == (404, "SERVE_SESSION")
    assert len({first, second, third}) == 3
    assert min(map(len, (first, second, third))) >= 43  # 32 random bytes


def test_a_server_may_keep_none(client, volume):
    made = client(keep=0)
    for answer in (keep(made, volume), upload(made, volume, "x")):
        assert code_of(answer) == (404, "SERVE_SESSION")
        assert "--keep-scans" in answer.json()["fix"]


def test_a_scan_is_gone_when_nobody_asked_for_it_in_time(service, client, volume):
    shared = service()
    with client(shared) as made:
        name = keep(made, volume).json()["session_id"]
        shared.kept.idle = 0.05  # from when it is not used any more
        assert infer(made, f"model?session_id={name}").status_code == 200
        assert until(lambda: not [*shared.folder.iterdir()])
        assert made.get(f"/session/{name}").json() == {}
        assert code_of(made.delete(f"/session/{name}")) == (404, "SERVE_SESSION")
        assert code_of(infer(made, f"model?session_id={name}")) == (404, "SERVE_SESSION")


def test_what_is_refused_is_not_kept(service, client, volume, tmp_path):
    large = tmp_path / "large.nii"
    large.write_bytes(np.zeros(200_000, np.uint8).tobytes())
    shared = service(most=100_000, queue=0)
    made = client(shared)
    assert code_of(keep(made, large)) == (413, "SERVE_UPLOAD")
    assert code_of(keep(made, volume, volume)) == (400, "SERVE_REQUEST")
    assert code_of(keep(made, volume, params={"expiry": 9})) == (400, "SERVE_REQUEST")
    assert code_of(made.put("/session/", files={"scan": (NAME, b"x")})) == (400, "SERVE_REQUEST")
    name = keep(made, volume).json()["session_id"]
    with shared.queue.place():
        assert code_of(keep(made, volume)) == (503, "SERVE_BUSY")
        assert code_of(infer(made, f"model?session_id={name}")) == (503, "SERVE_BUSY")
    assert shared.kept.names == (name,)
    assert len([*shared.folder.iterdir()]) == 1


def test_a_kept_file_that_is_no_scan_is_refused_as_predict_refuses_it(client, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    made = client()
    name = keep(made, text).json()["session_id"]
    for _ in range(2):
        answer = infer(made, f"model?session_id={name}")
        assert code_of(answer) == (422, "IO_NOT_IMAGE")
        assert str(tmp_path) not in answer.text


def test_a_token_is_given_as_a_password(client, volume):
    made = client(token=TOKEN)
    assert made.get("/auth/").json() == {"enabled": True}
    paths = ("/info/", "/session/x", "/infer/model", "/auth/token/valid")
    sent = [("PUT", path) for path in ("/session/", "/datastore/?image=x")]
    for method, path in [*(("GET", path) for path in paths), *sent]:
        assert code_of(made.request(method, path)) == (401, "SERVE_TOKEN")
    for password in ("", "wrong", TOKEN.lower() + "x"):
        login = {"username": "anybody", "password": password}
        assert code_of(made.post("/auth/token", data=login)) == (401, "SERVE_TOKEN")
    long = {"password": "x" * 5000}
    assert code_of(made.post("/auth/token", data=long)) == (413, "SERVE_UPLOAD")
    login = {"username": "anybody", "password": TOKEN, "grant_type": "password"}
    given = made.post("/auth/token", data=login).json()
    shown = {"Authorization": f"{given['token_type']} {given['access_token']}"}
    assert made.get("/auth/token/valid", headers=shown).status_code == 200
    name = keep(made, volume, headers=shown).json()["session_id"]
    assert infer(made, f"model?session_id={name}", headers=shown).status_code == 200


def test_where_no_token_is_set_no_password_is_right(client):
    made = client()
    assert made.get("/auth/").json() == {"enabled": False}
    for password in ("", "None", "x"):
        assert code_of(made.post("/auth/token", data={"password": password})) == (
            401,
            "SERVE_TOKEN",
        )
