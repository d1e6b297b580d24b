"""Start the explorer's server on this machine, say where it is, and serve until it is stopped."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from hdvg.errors import ResourceError, UsageError
from hdvg.explore.app import make_app
from hdvg.explore.guard import Keys, own_hosts
from hdvg.explore.playable import VIEWING
from hdvg.explore.sql_child import HEAVY
from hdvg.explore.state import Explorer
from hdvg.sandbox.process import process_sandbox

LOOPBACK = "127.0.0.1"
BACKLOG = 128


@dataclass(frozen=True)
class Place:
    """Where to listen. `allowed`: names, with ports, by which a proxy with TLS of the user's hands requests on."""

    host: str = LOOPBACK
    port: int = 0
    allowed: tuple[str, ...] = ()
    page: str = ""
    """The page that the link opens: the explorer's, or `audit`."""


@dataclass(frozen=True)
class Started:
    """What the person is told: `link` opens a session, once."""

    link: str
    metrics: str
    """The token of /metrics."""
    address: str


def serve(root: Path, place: Place, *, author: str, folder: Path, ready: Callable[[Started], None]) -> None:
    """Serve until Ctrl-C or SIGTERM, which are raised again; `ready` is called once the port listens.

    Raises UsageError where the port is taken, or a place beyond this machine is not spelt out.
    """
    check(place)
    listening = _listen(place)
    port = listening.getsockname()[1]
    keys = Keys(port, tls=bool(place.allowed))
    explorer = Explorer(root, author=author, folder=folder)
    app = make_app(explorer, keys, own_hosts(port, place.allowed))
    server = uvicorn.Server(configured(app))
    explorer.start()
    threading.Thread(target=_warm, daemon=True).start()
    try:
        ready(_started(place, port, keys))
        server.run(sockets=[listening])
    finally:
        explorer.close()
        listening.close()


def configured(app: ASGIApp) -> uvicorn.Config:
    """How it is served: nothing of a request is logged, and no header says what serves."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return uvicorn.Config(
        app, access_log=False, log_config=None, server_header=False, proxy_headers=False, lifespan="off", ws="none",
        timeout_graceful_shutdown=2,
    )  # fmt: skip


def check(place: Place) -> None:
    """Raise UsageError unless the place is this machine's own, or its names are spelt out."""
    beyond = place.host not in (LOOPBACK, "localhost", "::1")
    if beyond and not place.allowed:
        raise UsageError(
            f"--host {place.host}: others could reach it: put a server with TLS before it, and name what browsers call that: "
            "--host 0.0.0.0 --allow-host explore.example.org"
        )
    for name in place.allowed:
        if not name or any(letter in name for letter in "/@ *?#") or "://" in name:
            raise UsageError(
                f"--allow-host {name!r}: a name as browsers have it, with its port if it has one: explore.example.org"
            )


def _warm() -> None:
    """Load what queries and proxies need, before they are asked for."""
    with contextlib.suppress(ResourceError):  # said where it is needed
        for preload in (HEAVY, VIEWING):
            process_sandbox(*preload).warm()


def _listen(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((place.host, place.port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise UsageError(f"--port {place.port}: {error.strerror}; leave --port out to get a free one") from error
    opened.set_inheritable(False)
    return opened


def _started(place: Place, port: int, keys: Keys) -> Started:
    names: Sequence[str] = place.allowed
    address = f"https://{names[0]}/" if names else f"http://{LOOPBACK}:{port}/"
    return Started(f"{address}{place.page}#token={keys.token()}", keys.metrics, address)
