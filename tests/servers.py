"""A scriptable web server on loopback that behaves, or misbehaves in every way a source may, and counts requests."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from email.message import Message
from email.utils import formatdate
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

ZEROS = bytes(1 << 16)
TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".ts": "video/mp2t", ".m3u8": "application/vnd.apple.mpegurl"}


class HostileServer:
    """`with HostileServer() as server:` serves `routes` (path -> answer) on a free port; unknown paths are 404.

    `hits` counts requests by path, `times` holds when they came (seconds, monotonic clock), `heads` the headers of the
    last one. With `tls` it speaks https.
    """

    def __init__(
        self, host: str = "127.0.0.1", folder: Path | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.routes: dict[str, Answer] = {}
        self.hits: Counter[str] = Counter()
        self.sent: Counter[tuple[str, int]] = Counter()
        self.times: dict[str, list[float]] = {}
        self.accepted: list[float] = []
        self.heads: dict[str, Message] = {}
        self.closing = threading.Event()
        self._folder = folder
        self._scheme = "https" if tls else "http"
        self._http = _Server6((host, 0), _Handler) if ":" in host else _Server((host, 0), _Handler)
        self._http.owner = self
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.host, self.port = host, int(self._http.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.closing.set()  # ends the answers that wait
        self._http.shutdown()
        self._http.server_close()

    def url(self, path: str) -> str:
        """The address of a path on this server."""
        place = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self._scheme}://{place}:{self.port}{path}"

    def add(self, path: str, *answers: Answer) -> str:
        """Answer `path` with each of `answers` in turn, then always with the last; returns the address."""
        self.routes[path] = answers[0] if len(answers) == 1 else in_turn(*answers)
        return self.url(path)

    def add_hls(self, path: str, segments: Sequence[str], *, ended: bool = True) -> str:
        """A playlist of segments, given by their addresses; without its end it is a live stream."""
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:0"]
        lines += [line for address in segments for line in ("#EXTINF:2.0,", address)]
        text = "\n".join([*lines, "#EXT-X-ENDLIST"] if ended else lines) + "\n"
        return self.add(path, body(text.encode(), "application/vnd.apple.mpegurl"))

    def find(self, path: str) -> Answer:
        """What answers a path: its route, else its file in the folder, else 404."""
        if path in self.routes:
            return self.routes[path]
        if self._folder is not None:
            file = (self._folder / unquote(path).lstrip("/")).resolve()
            if file.is_file() and file.is_relative_to(self._folder.resolve()):
                return body(file.read_bytes(), TYPES.get(file.suffix.lower(), "application/octet-stream"))
        return status(404)


def serve_folder(folder: Path) -> HostileServer:
    """A well-behaved server of the files of a folder, with ranges and ETags."""
    return HostileServer(folder=folder)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    owner: HostileServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no error of the server."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    posted = b""
    code = 200

    def do_GET(self) -> None:
        owner = self.server.owner
        path = urlsplit(self.path).path
        owner.hits[path] += 1
        owner.times.setdefault(path, []).append(time.monotonic())
        owner.heads[path] = self.headers
        try:
            owner.find(path)(self)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.posted = self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def head(self, code: int, headers: dict[str, str]) -> None:
        """Send the head; a body without a length ends with the connection, and a client that asks for the end is told."""
        self.code = code
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.close_connection |= "Content-Length" not in headers
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def send(self, data: bytes) -> None:
        """Send bytes of the body, none to a HEAD."""
        if self.command != "HEAD":
            self.server.owner.sent[urlsplit(self.path).path, self.code] += len(data)
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


Answer = Callable[[_Handler], None]


def body(data: bytes, kind: str = "video/mp4", **headers: str) -> Answer:
    """200 with this body, its ETag, and ranges (206, 416); underscores in header names stand for dashes."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    said |= {"Content-Type": kind, "ETag": f'"{sha256(data).hexdigest()[:16]}"', "Accept-Ranges": "bytes"}

    def answer(handler: _Handler) -> None:
        wanted = handler.headers.get("Range", "")
        if not wanted.startswith("bytes="):
            handler.head(200, {**said, "Content-Length": str(len(data))})
            return handler.send(data)
        low, _, high = wanted.removeprefix("bytes=").partition("-")
        start = int(low) if low else max(0, len(data) - int(high))
        end = min(int(high), len(data) - 1) if low and high else len(data) - 1
        if start > end:
            return handler.head(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
        part = data[start : end + 1]
        ranged = {"Content-Range": f"bytes {start}-{end}/{len(data)}", "Content-Length": str(len(part))}
        handler.head(206, {**said, **ranged})
        return handler.send(part)

    return answer


def page(html: str, **headers: str) -> Answer:
    """An HTML page with this inside its body element."""
    return body(f"<!DOCTYPE html><html><head><title>A page</title></head><body>{html}</body></html>".encode(),
                "text/html; charset=utf-8", **headers)  # fmt: skip


def status(code: int, **headers: str) -> Answer:
    """This status and a short text; underscores in header names stand for dashes."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(handler: _Handler) -> None:
        text = f"status {code}".encode()
        handler.head(code, {"Content-Type": "text/plain", **said, "Content-Length": str(len(text))})
        handler.send(text)

    return answer


def redirect(to: str, code: int = 302) -> Answer:
    """A redirect to anywhere."""
    return status(code, Location=to)


def in_turn(*answers: Answer) -> Answer:
    """The first answer to the first request, and so on; the last one for all later ones."""
    lock, count = threading.Lock(), iter(range(len(answers)))

    def answer(handler: _Handler) -> None:
        with lock:
            place = next(count, len(answers) - 1)
        answers[place](handler)

    return answer


def throttled(answer: Answer, *, per_min: float, burst: float = 1.0, **headers: str) -> Answer:
    """The answer to so many requests a minute, `burst` at once after a rest; 429 to those beyond."""
    lock, level, at = threading.Lock(), burst, time.monotonic()

    def limited(handler: _Handler) -> None:
        nonlocal level, at
        with lock:
            now = time.monotonic()
            level, at = min(burst, level + (now - at) * per_min / 60), now
            if accepted := level >= 1:
                level -= 1
                handler.server.owner.accepted.append(now)
        (answer if accepted else status(429, **headers))(handler)

    return limited


def endless(kind: str = "video/mp4") -> Answer:
    """Zeros without a length and without an end."""

    def answer(handler: _Handler) -> None:
        handler.head(200, {"Content-Type": kind})
        while not handler.server.owner.closing.is_set() and handler.command != "HEAD":
            handler.send(ZEROS)

    return answer


def short(data: bytes, promised: int | float | str, kind: str = "video/mp4") -> Answer:
    """Fewer bytes than the length says, then the end of the connection."""

    def answer(handler: _Handler) -> None:
        handler.head(200, {"Content-Type": kind, "Content-Length": str(promised)})
        handler.send(data)
        handler.close_connection = True

    return answer


def drip(data: bytes, every_s: float = 1.0, kind: str = "video/mp4") -> Answer:
    """One byte every second."""

    def answer(handler: _Handler) -> None:
        handler.head(200, {"Content-Type": kind, "Content-Length": str(len(data))})
        for place in range(len(data)):
            handler.send(data[place : place + 1])
            if handler.server.owner.closing.wait(every_s):
                break
        handler.close_connection = True

    return answer


def silence() -> Answer:
    """Nothing at all, until the server ends."""

    def answer(handler: _Handler) -> None:
        handler.server.owner.closing.wait()
        handler.close_connection = True

    return answer


def bomb(mb: int, kind: str = "video/mp4") -> Answer:
    """A small gzip body that unpacks to `mb` MiB of zeros."""
    return body(gzip.compress(bytes(mb << 20), 9), kind, Content_Encoding="gzip")


def raw(data: bytes) -> Answer:
    """These bytes instead of an HTTP answer, then the end of the connection."""

    def answer(handler: _Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return answer


def http_date(in_s: float) -> str:
    """The time in `in_s` seconds as HTTP writes it, for Retry-After."""
    return formatdate(time.time() + in_s, usegmt=True)
