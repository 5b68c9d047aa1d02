"""The other routes, who may ask for them, and what happens when there is too much to do."""

import asyncio
import errno
import json
import threading

import pytest
from predicted_series import PLAN

from data_prep.core.errors import DataError
from sdunet.cli.main import main
from sdunet.serve import server, uploads
from sdunet.serve.access import VARIABLE, access_for
from sdunet.serve.app import make_app
from sdunet.serve.work_queue import WorkQueue

TOKEN = "a-long-token"


def test_health_and_info_tell_of_the_model(service, client):
    shared = service()
    made = client(shared)
    health = made.get("/health")
    assert health.json() == {
        "model": "model",
        "sha256": ["ab" * 32],
        "version": shared.model.identity["version"],
        "ready": True,
    }
    info = made.get("/info").json()
    assert info["labels"] == PLAN.labels
    assert info["channels"] == ["CT"]
    assert info["spacing"] == [*PLAN.spacing]
    assert info["licence"] == "For research.\n"
    shared.queue.close()
    closed = made.get("/health")
    assert (closed.status_code, closed.json()["ready"]) == (503, False)


def test_metrics_count_requests_by_status(client, volume):
    made = client()
    made.post("/predict", files={"scan": ("a.nii.gz", volume.read_bytes())})
    for _ in range(2):
        made.post("/predict", files={"scan": ("a.txt", b"hello")})
    lines = made.get("/metrics").text.splitlines()
    assert 'sdunet_requests_total{status="200"} 1' in lines
    assert 'sdunet_requests_total{status="422"} 2' in lines
    assert "sdunet_queue_length 0" in lines
    assert "sdunet_predict_seconds_count 1" in lines


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/predict", 405), ("POST", "/predict?answer=x", 400)],
)
def test_other_requests_are_refused_like_scans(method, path, status, client):
    answer = client().request(method, path)
    assert answer.status_code == status
    assert answer.json()["code"] == "SERVE_REQUEST"
    assert "predict" in answer.json()["fix"] or "answer" in answer.json()["fix"]
    assert status == 400 or "datastore/" in answer.json()["fix"]


def test_a_token_is_asked_for_everywhere_but_of_health(client):
    made = client(token=TOKEN)
    assert made.get("/health").status_code == 200
    for path in ("/info", "/metrics", "/predict", "/openapi.json", "/nothing"):
        for shown in (None, "Bearer wrong", f"Basic {TOKEN}", "Bearer é", TOKEN):
            headers = {} if shown is None else {"Authorization": shown.encode()}
            answer = made.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "SERVE_TOKEN")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert made.get("/info", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("[::1]:8000", 200),
        ("evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
def test_without_a_token_this_machine_is_asked_by_its_own_names(host, status, client):
    assert client().get("/info", headers={"Host": host}).status_code == status


def test_only_this_machine_is_served_without_a_token(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    for host in ("127.0.0.1", "localhost", "::1"):
        assert access_for(host, None, no_token=False).local
        assert access_for(host, TOKEN, no_token=False).token == TOKEN
    assert not access_for("0.0.0.0", None, no_token=True).local
    refused = [("0.0.0.0", None, False), ("scans.example", None, False), ("::", None, False)]
    refused += [("127.0.0.1", token, False) for token in ("", "a b", "é", "a\n")]
    refused += [("0.0.0.0", TOKEN, True)]
    for host, token, open_ in refused:
        with pytest.raises(DataError, match="SERVE_TOKEN"):
            access_for(host, token, no_token=open_)
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert access_for("0.0.0.0", None, no_token=False).token == TOKEN
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(DataError, match="empty"):
        access_for("127.0.0.1", None, no_token=False)
    with pytest.raises(DataError, match="a space"):
        access_for("127.0.0.1", "a b", no_token=False)


def test_a_full_queue_asks_to_come_again(service, client, volume):
    shared = service(queue=0)
    made, scan = client(shared), {"scan": ("a.nii.gz", volume.read_bytes())}
    with shared.queue.place():
        answer = made.post("/predict", files=scan)
        assert (answer.status_code, answer.json()["code"]) == (503, "SERVE_BUSY")
        assert int(answer.headers["retry-after"]) > 0
    assert made.post("/predict", files=scan).status_code == 200
    shared.queue.close()
    answer = made.post("/predict", files=scan)
    assert (answer.status_code, answer.json()["code"]) == (503, "SERVE_STOPPING")


def test_work_is_done_in_its_order_and_what_waits_is_refused_at_the_end():
    begun, go, order = threading.Event(), threading.Event(), []

    def first():
        begun.set()
        go.wait(10)
        order.append("first")
        return 1

    async def run():
        queue, never = WorkQueue(2), asyncio.Event().wait
        jobs = [asyncio.ensure_future(queue.do(first, never))]
        jobs += [asyncio.ensure_future(queue.do(lambda: order.append("x"), never))]
        await asyncio.to_thread(begun.wait, 10)
        queue.close()
        with pytest.raises(DataError, match="SERVE_STOPPING"):
            await jobs[1]
        go.set()
        assert await jobs[0] == 1
        with pytest.raises(DataError, match="SERVE_STOPPING"):
            await queue.do(first, never)

    asyncio.run(run())
    assert order == ["first"]


HEAD = b'--x\r\nContent-Disposition: form-data; name="scan"; filename="a.nii.gz"\r\n\r\n'


async def send_scan(app, body, left, sent, whole=True):
    """Send a form, leave when that is told, and keep what is answered."""
    messages = [{"type": "http.request", "body": body, "more_body": not whole}]
    headers = {b"host": b"localhost", b"content-type": b"multipart/form-data; boundary=x"}
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b""}

    async def receive():
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope | {"headers": [*headers.items()]}, receive, send)


@pytest.mark.parametrize("end", ["silence", "leaving", "closing"])
def test_an_upload_that_stands_still_is_given_up(end, service, monkeypatch):
    monkeypatch.setattr(uploads, "_SILENCE", 0.05 if end == "silence" else 60)
    shared, sent = service(), []

    async def run():
        left = asyncio.Event()
        app = make_app(shared)
        sender = asyncio.ensure_future(send_scan(app, HEAD, left, sent, whole=False))
        while not shared.queue.taken:
            await asyncio.sleep(0)
        if end == "leaving":
            left.set()
        if end == "closing":
            shared.queue.close()
        await asyncio.wait_for(sender, 10)

    asyncio.run(run())
    status = {"silence": 408, "leaving": 499, "closing": 503}[end]
    assert shared.metrics.statuses == {status: 1}
    told = [json.loads(m["body"])["code"] for m in sent if m.get("body")]
    assert told == {408: ["SERVE_SLOW"], 499: [], 503: ["SERVE_STOPPING"]}[status]


def test_a_full_disk_is_told(client, volume, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(uploads.shutil, "copyfileobj", full)
    answer = client().post("/predict", files={"scan": ("a.nii.gz", volume.read_bytes())})
    assert (answer.status_code, answer.json()["code"]) == (507, "OUT_DISK")
    assert str(tmp_path) not in answer.text


def test_the_scan_of_a_sender_who_left_is_not_predicted_and_not_kept(service, volume):
    shared = service()
    predict, calls, go = shared.model.predict, [], threading.Event()

    def slow(path):
        calls.append(path)
        go.wait(10)
        return predict(path)  # reads what must still be there

    shared.model.predict = slow
    app, sent = make_app(shared), []

    def ask(left):
        return send_scan(app, HEAD + volume.read_bytes() + b"\r\n--x--\r\n", left, sent)

    async def run():
        left, stays = asyncio.Event(), asyncio.Event()
        leaving = [asyncio.ensure_future(ask(event)) for event in (left, left)]
        while shared.queue.taken < 2 or not calls:
            await asyncio.sleep(0.01)
        left.set()
        await asyncio.wait(leaving, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        assert sum(job.done() for job in leaving) == 1  # the one that waited
        assert len([*shared.folder.iterdir()]) == 1
        staying = asyncio.ensure_future(ask(stays))
        go.set()
        await asyncio.gather(*leaving, staying)

    asyncio.run(run())
    assert len(calls) == 2
    assert [m["status"] for m in sent if "status" in m] == [200]
    assert shared.metrics.statuses == {499: 2, 200: 1}
    assert shared.queue.taken == 0


def test_the_command_tells_what_it_lacks(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert main(["serve", "m", "--host", "0.0.0.0"]) == 1
    assert "SERVE_TOKEN: no token" in capsys.readouterr().err
    with server._listen("127.0.0.1", 0) as taken:
        assert main(["serve", "m", "--port", str(taken.getsockname()[1])]) == 1
    assert "SERVE_ADDRESS: cannot listen at 127.0.0.1" in capsys.readouterr().err
    for host, port in (("127.0.0.1", "99999"), ("no such host", "0")):
        assert main(["serve", "m", "--host", host, "--port", port, "--no-token"]) == 1
        assert "SERVE_ADDRESS" in capsys.readouterr().err
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    assert main(["serve", "m"]) == 1
    assert "EXTRA_MISSING" in capsys.readouterr().err
