"""A Hub on this machine: the few routes that `huggingface_hub` asks to fetch files of a commit."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants

COMMIT, OTHER = "0123456789" * 4, "9876543210" * 4


class FakeHub:
    """What the server shows and what it was asked for.

    Attributes:
        name: of the only repository.
        files: content by name.
        refs: commits of branches and tags.
        status: of requests for files by name, or of all (`None`), in place of 200.
        declared: sizes that differ from those of the content.
        short: names of files whose bodies end early.
        commit: that it says files are of.
        elsewhere: address of another host that files are sent from, by a redirect.
        asked: method, path and whether there was a token, of each request.
    """

    def __init__(self, files, name="someone/discs"):
        self.name, self.files = name, dict(files)
        self.refs = {"main": COMMIT, "v1": COMMIT, COMMIT: COMMIT}
        self.status, self.declared, self.short = {}, {}, set()
        self.commit, self.elsewhere, self.asked = COMMIT, "", []
        self.address = ""

    @property
    def url(self):
        return f"hf:{self.name}@{COMMIT}"

    def fetched(self):
        parts = (
            path.partition("/resolve/")[2] for method, path, _ in self.asked if method == "GET"
        )
        return {part.partition("/")[2] for part in parts if part}


def _handler(hub):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def _answer(self, *, body):
            path = unquote(urlsplit(self.path).path)
            if "agent-harnesses" not in path:  # of the client's own, once a day
                hub.asked.append((self.command, path, self.headers.get("Authorization")))
            if path.startswith(f"/api/models/{hub.name}"):
                self._describe(path.rpartition("/revision/")[2] if "/revision/" in path else "main")
            elif path.startswith(f"/{hub.name}/resolve/"):
                self._file(path.partition("/resolve/")[2], body=body)
            elif path.startswith("/elsewhere/"):
                self._send(200, hub.files[path.removeprefix("/elsewhere/")], body=body)
            else:
                self._send(404, b"", **{"X-Error-Code": "RepoNotFound"})

        def _describe(self, revision):
            if None in hub.status:
                return self._send(hub.status[None], b"secret of the server")
            if revision not in hub.refs:
                return self._send(404, b"", **{"X-Error-Code": "RevisionNotFound"})
            sizes = {name: len(content) for name, content in hub.files.items()} | hub.declared
            listed = [{"rfilename": name, "size": size} for name, size in sizes.items()]
            told = {"id": hub.name, "sha": hub.refs[revision], "siblings": listed}
            return self._send(200, json.dumps(told).encode())

        def _file(self, rest, *, body):
            revision, _, name = rest.partition("/")
            if name in hub.status:
                code = {"X-Error-Code": "GatedRepo"} if hub.status[name] == 403 else {}
                return self._send(hub.status[name], b"", **code)
            if revision not in hub.refs or name not in hub.files:
                return self._send(404, b"", **{"X-Error-Code": "EntryNotFound"})
            content = hub.files[name]
            headers = {"X-Repo-Commit": hub.commit, "X-Linked-Size": str(len(content))}
            headers["ETag"] = f'"{hashlib.sha1(content).hexdigest()}"'
            if hub.elsewhere:
                place = f"{hub.elsewhere}/elsewhere/{name}"
                headers["X-Linked-ETag"] = headers["ETag"]
                return self._send(302, b"", Location=place, **headers)
            sent = content[:-1] if name in hub.short and body else content
            return self._send(200, sent, body=body, **headers)

        def _send(self, status, content, *, body=True, **headers):
            self.send_response(status)
            for name, value in {"Content-Length": len(content), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            if body and self.command == "GET":
                self.wfile.write(content)

    return Handler


def files_of(folder):
    """Return the content of all files in a folder by name."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def ask_only(hub, cache, monkeypatch):
    """Let `huggingface_hub`, which may be imported already, ask this server, with a new cache."""
    template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@contextmanager
def served(hub):
    """Serve it on the loopback, and set its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub)) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
