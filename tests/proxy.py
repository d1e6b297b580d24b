"""A proxy on loopback, with certificates of its own for every host: it leads each to a server of a test, and logs."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import socketserver
import ssl
import struct
import threading
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import trustme

from tests.servers import HostileServer

SOCKS = 5
PASSED, LOCKED, NOWHERE = b"200 OK", b"407 Proxy Authentication Required", b"502 Bad Gateway"


class TestCA:
    """A certificate authority of one test: `write` its certificate for `fetch.ca_file`; `context` is a server's side."""

    __test__ = False  # no test, whatever pytest makes of the name

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.context = cache(self._context)

    def write(self, path: Path) -> str:
        """Write the authority's certificate as PEM; returns the path as text."""
        self._ca.cert_pem.write_to_path(str(path))
        return str(path)

    def _context(self, host: str) -> ssl.SSLContext:
        """The server's side of TLS for a host name or address, with a leaf certificate for it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(host).configure_cert(context)
        return context


class LoopbackProxy:
    """`with LoopbackProxy({"www.example.org": server}) as proxy:` speaks HTTP (CONNECT and absolute addresses) and SOCKS5.

    A route is a host name, or "*" for all others; what has none is 502. With a `ca`, what is tunnelled to port 443 is TLS:
    the proxy is its other end and the servers speak plain HTTP. `asked` lists "CONNECT host:port", "GET address", "SOCKS
    host:port"; `heads` what came with it, `clients` from which addresses. `user` = "name:password" is wanted of those who ask. `tls`: the proxy itself
    speaks TLS, with a certificate of that authority.
    """

    def __init__(
        self,
        routes: dict[str, HostileServer],
        *,
        ca: TestCA | None = None,
        user: str | None = None,
        tls: TestCA | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.routes, self.ca, self.user = routes, ca, user
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.clients: list[str] = []
        self._tls = tls.context(host) if tls else None
        self._tcp = _Server6((host, 0), _Handler) if ":" in host else _Server((host, 0), _Handler)
        self._tcp.owner = self
        self.host, self.port = host, int(self._tcp.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._tcp.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._tcp.shutdown()
        self._tcp.server_close()

    def url(self, scheme: str = "http", user: str = "") -> str:
        """The proxy's address for `fetch.proxy`, or with `user` = "name:password" for HDVG_PROXY."""
        place = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{user}{'@' if user else ''}{place}:{self.port}"

    def reach(self, host: str) -> socket.socket | None:
        """A connection to the server that stands for a host."""
        server = self.routes.get(host.lower()) or self.routes.get("*")
        return socket.create_connection((server.host, server.port)) if server else None

    def wrapped(self, client: socket.socket) -> socket.socket:
        """The connection as the proxy speaks to its clients."""
        return self._tls.wrap_socket(client, server_side=True) if self._tls else client

    def tunnel(self, client: socket.socket, server: socket.socket, host: str, port: int) -> None:
        """Carry bytes both ways until one side ends, through TLS if the port is 443."""
        with server:
            if self.ca is None or port != 443:
                return pump(client, server)
            near, far = socket.socketpair()  # for TLS inside TLS: the outer one has no file of its own
            threading.Thread(target=_close_after, args=(client, far), daemon=True).start()
            with contextlib.suppress(OSError), near, self.ca.context(host).wrap_socket(near, server_side=True) as inner:
                pump(inner, server)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    owner: LoopbackProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no error of the proxy."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.owner = self.server.owner
        self.owner.clients.append(self.client_address[0])
        with self.owner.wrapped(self.request) as client:
            self.client = client
            first = client.recv(1)
            if first == bytes([SOCKS]):
                self.socks()
            elif first:
                self.http(first)

    def http(self, head: bytes) -> None:
        while b"\r\n\r\n" not in head and len(head) < 1 << 20:
            head += self.take(1)
        self.owner.heads.append(head.decode("latin-1"))
        line, *headers = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = line.split(" ")
        self.owner.asked.append(f"{method} {target}")
        proxied = [header for header in headers if not header.lower().startswith(("proxy-", "connection:"))]
        wanted = base64.b64encode((self.owner.user or "").encode()).decode()
        if self.owner.user and f"Proxy-Authorization: Basic {wanted}" not in headers:
            return self.answer(LOCKED)
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        server = self.owner.reach(parts.hostname or "")
        if server is None:
            return self.answer(NOWHERE)
        if method == "CONNECT":
            self.client.sendall(b"HTTP/1.1 " + PASSED + b"\r\n\r\n")
            return self.owner.tunnel(self.client, server, parts.hostname or "", parts.port or 443)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {path} HTTP/1.1", *proxied, "Connection: close", "", ""]
        server.sendall("\r\n".join(lines).encode("latin-1"))
        return self.owner.tunnel(self.client, server, "", 80)

    def answer(self, status: bytes) -> None:
        self.client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def socks(self) -> None:
        methods = self.take(self.take(1)[0])
        method = 2 if self.owner.user else 0
        if method not in methods:
            return self.client.sendall(bytes([SOCKS, 0xFF]))
        self.client.sendall(bytes([SOCKS, method]))
        if method:
            self.take(1)
            said = [self.take(self.take(1)[0]) for _ in range(2)]
            right = b":".join(said).decode() == self.owner.user
            self.client.sendall(bytes([1, 0 if right else 1]))
            if not right:
                return None
        _, _, _, kind = self.take(4)
        sizes = {1: 4, 4: 16}
        name = self.take(sizes[kind] if kind in sizes else self.take(1)[0])
        families = {1: socket.AF_INET, 4: socket.AF_INET6}
        host = socket.inet_ntop(families[kind], name) if kind in families else name.decode()
        (port,) = struct.unpack("!H", self.take(2))
        self.owner.asked.append(f"SOCKS {host}:{port}")
        server = self.owner.reach(host)
        self.client.sendall(bytes([SOCKS, 0 if server else 4, 0, 1]) + bytes(6))
        return self.owner.tunnel(self.client, server, host, port) if server else None

    def take(self, count: int) -> bytes:
        """So many bytes of the client."""
        data = b""
        while len(data) < count:
            chunk = self.client.recv(count - len(data))
            if not chunk:
                raise ConnectionError("the client left")
            data += chunk
        return data


def _close_after(client: socket.socket, far: socket.socket) -> None:
    with far:
        pump(client, far)


def pump(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends; in one thread, for a TLS connection bears no more."""
    beyond = {one: other, other: one}
    with contextlib.suppress(OSError, ValueError):
        while True:
            held = [side for side in beyond if isinstance(side, ssl.SSLSocket) and side.pending()]
            for side in held or select.select(list(beyond), [], [])[0]:
                data = side.recv(1 << 16)
                if not data:
                    return
                beyond[side].sendall(data)
