"""The explorer's server on a loopback port, as a browser that has opened its link sees it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from hdvg.explore.app import make_app
from hdvg.explore.guard import Keys, own_hosts
from hdvg.explore.serving import configured
from hdvg.explore.state import Explorer, wait

TYPES = {"u1": "<u1", "u4": "<u4", "i2": "<i2", "f8": "<f8"}
QUESTION = {"Content-Type": "application/json", "X-HDVG": "1"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and arrays of a binary answer."""
        return unpack(self.body)


class Browser:
    """Asks a server, with the session's cookie once it has one."""

    def __init__(self, port: int, cookie: str | None = None) -> None:
        self.port, self.cookie = port, cookie

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request, on a connection of its own; of headers, None takes away what is usual."""
        sent: dict[str, Any] = dict(QUESTION) if method == "POST" else {}
        if self.cookie:
            sent["Cookie"] = self.cookie
        sent = {name: value for name, value in {**sent, **(headers or {})}.items() if value is not None}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            text = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, text, sent)
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: Any = None) -> Answer:
        return self.ask("POST", path, {} if body is None else body)

    def open(self, token: str) -> Answer:
        """Swap a link's token for the cookie, which is kept."""
        answer = self.post("/session", {"token": token})
        if answer.status == 204:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def ready(self, *, limit_s: float = 120.0) -> dict[str, Any]:
        """What /api/meta says once the tables are made."""
        end = time.monotonic() + limit_s
        while (answer := self.get("/api/meta")).status == 503 and time.monotonic() < end:
            time.sleep(0.05)
        assert answer.status == 200, answer.body
        return dict(answer.json)


@dataclass(frozen=True)
class Served:
    """A server, its secrets, and a browser with a session."""

    browser: Browser
    keys: Keys
    explorer: Explorer

    @property
    def stranger(self) -> Browser:
        """A browser without a session."""
        return Browser(self.browser.port)


@contextmanager
def served(root: Path, folder: Path) -> Iterator[Served]:
    """Serve a dataset in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    keys, explorer = Keys(port), Explorer(root, author="ada", folder=folder)
    server = uvicorn.Server(configured(make_app(explorer, keys, own_hosts(port))))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    explorer.start()
    thread.start()
    try:
        wait(explorer, limit_s=120)
        browser = Browser(port)
        assert browser.open(keys.token()).status == 204
        yield Served(browser, keys, explorer)
    finally:
        server.should_exit = True
        thread.join()
        explorer.close()
        listening.close()


def unpack(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and arrays, as docs/explore-protocol.md has them."""
    size = int(np.frombuffer(body[:4], "<u4")[0])
    header = json.loads(body[4 : 4 + size])
    assert (4 + size) % 8 == 0
    arrays: dict[str, Any] = {}
    for one in header["arrays"]:
        assert one["at"] % 8 == 0
        part = body[one["at"] : one["at"] + one["bytes"]]
        arrays[one["name"]] = (
            part if one["type"] == "webp" else np.frombuffer(part, TYPES[one["type"]]).reshape(one["shape"])
        )
    return header, arrays
