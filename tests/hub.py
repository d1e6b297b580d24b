"""A Hugging Face hub on loopback, as far as its client needs one to write and read dataset repositories: the rest is the client's own."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

TOKEN = "hf_tokenofatest00001"
LARGE = 10_000
"""Bytes: files above it are sent apart, before the commit."""


class Repository:
    def __init__(self, *, private: bool) -> None:
        self.private = private
        self.commits: list[dict[str, bytes]] = [{".gitattributes": b"*.parquet filter=lfs\n"}]
        self.messages = ["initial commit"]

    @property
    def head(self) -> str:
        return hashlib.sha1(f"{len(self.commits)} {self.messages}".encode()).hexdigest()

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1]

    def commit(self, files: dict[str, bytes], message: str = "by hand") -> None:
        self.commits.append(files)
        self.messages.append(message)


class Hub:
    """`with Hub() as hub:`; `environment` makes the client ask it. `before_commit` is called when a commit is about to be made."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.sent: list[str] = []
        """Hashes of the large files that came, in turn."""
        self.before_commit = lambda: None
        self.fail_uploads = False
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()

    def environment(self, home: Any) -> dict[str, str]:
        return os.environ | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
        }


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/datasets/"):
            name = "/".join(path.split("/")[3:5])
            repository = self.hub.repositories.get(name)
            if repository is None or not self._may():
                return self._say(
                    401 if not self._may() else 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
                )
            if "/revision/" in path and not path.endswith("/main"):
                return self._say(404, {"error": "Invalid rev"}, {"X-Error-Code": "RevisionNotFound"})
            siblings = [{"rfilename": one} for one in repository.files]
            return self._say(
                200, {"id": name, "sha": repository.head, "siblings": siblings, "private": repository.private}
            )
        if "/resolve/" in path:
            name, _, rest = path.removeprefix("/datasets/").partition("/resolve/")
            content = self.hub.repositories[name].files[rest.partition("/")[2]]
            marks = {"X-Repo-Commit": rest.partition("/")[0], "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
            return self._send(200, content, marks)
        self._say(404, {"error": path})

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        content = self._body()
        if self.hub.fail_uploads:
            return self._say(507, {"error": "no space"})
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(content).hexdigest() == oid
        self.hub.objects[oid] = content
        self.hub.sent.append(oid)
        self._say(200, {})

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        if not self._may():
            return self._say(401, {"error": "Invalid username or password."})
        if path == "/api/repos/create":
            said = json.loads(body)
            name = f"{said['organization']}/{said['name']}"
            self.hub.repositories[name] = Repository(private=said.get("private") or said.get("visibility") == "private")
            return self._say(200, {"url": f"{self.hub.url}/datasets/{name}"})
        if path == "/api/validate-yaml":
            return self._say(200, {"errors": [], "warnings": []})
        if "/preupload/" in path:
            files = [
                {"path": one["path"], "uploadMode": "lfs" if one["size"] > LARGE else "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return self._say(200, {"files": files})
        if path.endswith("/info/lfs/objects/batch"):
            return self._say(
                200, {"transfer": "basic", "objects": [self._large(one) for one in json.loads(body)["objects"]]}
            )
        if "/commit/" in path:
            return self._commit("/".join(path.split("/")[3:5]), [json.loads(line) for line in body.splitlines()])
        self._say(404, {"error": path})

    def _large(self, one: dict[str, Any]) -> dict[str, Any]:
        if one["oid"] in self.hub.objects:
            return one
        return one | {"actions": {"upload": {"href": f"{self.hub.url}/objects/{one['oid']}"}}}

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        self.hub.before_commit()
        repository, (header, *changes) = self.hub.repositories[name], lines
        if header["value"].get("parentCommit") not in {None, repository.head}:
            return self._say(412, {"error": "A commit has happened since. Please refresh and try again."})
        files = dict(repository.files)
        for change in changes:
            value = change["value"]
            if change["key"] == "deletedFile":
                del files[value["path"]]
            else:
                is_large = change["key"] == "lfsFile"
                files[value["path"]] = (
                    self.hub.objects[value["oid"]] if is_large else base64.b64decode(value["content"])
                )
        repository.commit(files, header["value"]["summary"])
        self._say(
            200,
            {
                "commitUrl": f"{self.hub.url}/datasets/{name}/commit/{repository.head}",
                "commitOid": repository.head,
                "success": True,
            },
        )

    def _may(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _say(self, status: int, answer: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(answer).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
