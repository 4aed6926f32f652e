"""A small server that speaks as much of the Hub's API as an upload needs (no xet)."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "hf_only_for_tests"


class Hub(ThreadingHTTPServer):
    """repos: name -> {"private": bool, "files": {path: sha256 or content}}. blobs: what was sent.

    fail: path's end -> status, answered once. puts: how many bytes of blobs came in, by request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict] = {}
        self.blobs: dict[str, bytes] = {}
        self.fail: dict[str, int] = {}
        self.puts: list[int] = []
        self.commits = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def answer(self, status: int, body: object = None, **headers: str) -> None:
        data = json.dumps(body or {}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refused(self) -> bool:
        for end, status in self.server.fail.items():
            if end in self.path:
                self.answer(status, {"error": "no"}, ratelimit='"api";r=0;t=0')
                return True
        if self.path.startswith("/blobs/"):
            return False
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"error": "Invalid credentials in Authorization header"})
            return True
        return False

    def body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def repo(self) -> dict | None:
        """The repository that /api/datasets/owner/name/... is about."""
        parts = urlsplit(self.path).path.split("/")
        return self.server.repos.get("/".join(parts[2:5]))

    def do_GET(self) -> None:
        if self.refused():
            return
        repo = self.repo()
        if repo is None:
            self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return
        names = sorted(repo["files"])
        if "/tree/" in self.path:
            tree = [{"type": "file", "path": n, "size": 1, "oid": "0" * 40} for n in names]
            self.answer(200, tree)
            return
        name = "/".join(urlsplit(self.path).path.split("/")[3:5])
        siblings = [{"rfilename": n} for n in names]
        self.answer(
            200, {"id": name, "private": repo["private"], "siblings": siblings, "sha": "0" * 40}
        )

    def do_HEAD(self) -> None:
        self.answer(404, X_Error_Code="EntryNotFound")

    def do_PUT(self) -> None:
        data = self.body()
        if self.refused():
            return
        self.server.puts.append(len(data))
        self.server.blobs[hashlib.sha256(data).hexdigest()] = data
        self.answer(200)

    def do_POST(self) -> None:
        data = self.body()
        if self.refused():
            return
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            asked = json.loads(data)
            name = f"{asked.get('organization') or 'ann'}/{asked['name']}"
            kind = asked.get("type", "model") + "s"
            self.server.repos[f"{kind}/{name}"] = {
                "private": asked["visibility"] == "private",
                "files": {},
            }
            self.answer(200, {"url": f"{self.server.url}/{kind}/{name}"})
        elif path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in path:
            big = (".parquet", ".safetensors")
            self.answer(
                200,
                {
                    "files": [
                        {
                            "path": f["path"],
                            "uploadMode": "lfs" if f["path"].endswith(big) else "regular",
                            "shouldIgnore": False,
                        }
                        for f in json.loads(data)["files"]
                    ]
                },
            )
        elif path.endswith("/objects/batch"):
            objects = []
            for o in json.loads(data)["objects"]:
                link = {"href": f"{self.server.url}/blobs/{o['oid']}"}
                known = o["oid"] in self.server.blobs
                objects.append(o if known else o | {"actions": {"upload": link}})
            self.answer(200, {"transfer": "basic", "objects": objects})
        elif "/commit/" in path:
            self.commit(data, parse_qs(urlsplit(self.path).query))
        else:
            self.answer(404, {"error": f"this server knows no {path}"})

    def commit(self, data: bytes, _query: object) -> None:
        repo = self.repo()
        assert repo is not None
        for line in map(json.loads, data.decode().splitlines()):
            value = line["value"]
            match line["key"]:
                case "file":
                    repo["files"][value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    repo["files"][value["path"]] = self.server.blobs[value["oid"]]
                case "deletedFile":
                    del repo["files"][value["path"]]
        self.server.commits += 1
        url = f"{self.server.url}/ann/x/commit/{'1' * 40}"
        self.answer(200, {"commitUrl": url, "commitOid": "1" * 40})

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
