"""Several machines of a user on one: each has mirrors of its own, and all speak to one S3 server."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.object_store import S3Server

Turn = Callable[[str], None]
"""Makes what follows in a test happen on the machine of that name."""

VARIABLES = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_PROFILE",
    "HDVG_MIRROR_GB",
)


def machines(server: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch, *, guest: bool = False) -> Turn:
    """Machines of the server's owner, or of its guest; the first one is `here`."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in server.environment(guest=guest).items():
        monkeypatch.setenv(name, value)

    def turn(name: str) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / f"machine-{name}"))

    turn("here")
    return turn


def objects(server: S3Server, prefix: str, *, bucket: str = "films") -> dict[str, int]:
    """Names, from a prefix on, and sizes of the objects below it."""
    import obstore

    return {
        one["path"].removeprefix(f"{prefix}/"): one["size"]
        for some in obstore.list(server.store(bucket), f"{prefix}/")
        for one in some
    }


def downloaded(server: S3Server, prefix: str, folder: Path, *, bucket: str = "films") -> Path:
    """All objects below a prefix as files of a folder."""
    import obstore

    for name in objects(server, prefix, bucket=bucket):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(obstore.get(server.store(bucket), f"{prefix}/{name}").bytes()))
    return folder


class CarelessStore:
    """`with CarelessStore() as address:` an S3 server that takes every write, whatever its conditions; `put` names them."""

    def __init__(self) -> None:
        self.put: list[str] = []
        noted = self.put

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                noted.append(self.path)
                data = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(b"", {"ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'})

            def do_GET(self) -> None:
                self._answer(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", {})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(b"<DeleteResult><Deleted><Key>probe</Key></Deleted></DeleteResult>", {})

            def _answer(self, content: bytes, headers: dict[str, str]) -> None:
                self.send_response(200)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
