"""Who may ask the explorer's server: the person at this machine's own browser, and no page, link or name that acts for another."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from hdvg.explore.arrays import dumps

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 1_000_000
"""Most that a question may hold."""
READ_AWAY_S = 2.0
"""Longest wait for the body of a request that is refused."""
HEADER = b"x-hdvg"
OPEN = ("/", "/audit", "/session", "/metrics", "/favicon.ico")
"""Routes that ask for no cookie: the page holds nothing of the dataset, /metrics has its own token."""
OPEN_BELOW = "/static/"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
)
ALWAYS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)


@dataclass
class Keys:
    """The secrets of one server; none is ever written to a log or a file."""

    port: int
    tls: bool = False
    """Whether the browser comes by https, through a proxy of the user's."""
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    metrics: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    _unused: set[str] = field(default_factory=set, repr=False)

    def token(self) -> str:
        """A token more that opens a session, once."""
        made = secrets.token_urlsafe(32)
        self._unused.add(made)
        return made

    def redeem(self, token: str) -> bool:
        """Whether the token opens a session; it never will again."""
        found = next((one for one in self._unused if secrets.compare_digest(one.encode(), token.encode())), None)
        self._unused.discard(found or "")
        return found is not None

    @property
    def name(self) -> str:
        """Of the cookie: cookies do not tell ports apart."""
        return f"hdvg-{self.port}"

    def set_cookie(self) -> str:
        """The header that opens the session."""
        return f"{self.name}={self.cookie}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if self.tls else ''}"

    def may_scrape(self, header: str) -> bool:
        """Whether an Authorization header has the token of /metrics."""
        return secrets.compare_digest(header.encode(), f"Bearer {self.metrics}".encode())

    def holds(self, header: str) -> bool:
        """Whether a Cookie header has the session's cookie."""
        pairs = (part.strip().partition("=") for part in header.split(";"))
        values = [value for name, _, value in pairs if name == self.name]
        return len(values) == 1 and secrets.compare_digest(values[0].encode(), self.cookie.encode())


def own_hosts(port: int, more: Iterable[str] = ()) -> frozenset[str]:
    """What the Host header may be: this machine's loopback with the port, and names that the user allows, as they stand."""
    return frozenset({f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", *(one.lower() for one in more)})


class Guard:
    """ASGI: refuses what is not the user's own doing before any route sees it, and puts headers on every answer."""

    def __init__(self, app: ASGIApp, *, keys: Keys, hosts: frozenset[str]) -> None:
        self._app, self._keys, self._hosts = app, keys, hosts
        self._origins = {f"{'https' if keys.tls else 'http'}://{host}" for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None  # no websockets here

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                held = {name for name, _ in ALWAYS}
                own = [pair for pair in message.get("headers", []) if pair[0].lower() not in held]
                message = {**message, "headers": [*own, *ALWAYS]}
            await send(message)

        refused = self._refusal(scope)
        if refused is None:
            return await self._app(scope, receive, with_headers)
        status, why = refused
        await _read_away(receive)
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await with_headers({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": dumps({"error": why})})

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and words, or None if the request may pass."""
        headers = _Headers(scope["headers"])
        hosts = headers.all(b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, "this server goes by another name: open the link that `hdvg explore` printed"
        origin = headers.all(b"origin")
        if origin and (len(origin) != 1 or origin[0] not in self._origins):
            return 403, "the question came from another site"
        if any(site not in ("same-origin", "none") for site in headers.all(b"sec-fetch-site")):
            return 403, "the question came from another site"
        return self._odd_method(scope, headers) or self._without_session(scope, headers)

    def _odd_method(self, scope: Scope, headers: _Headers) -> tuple[int, str] | None:
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            return 405, f"{method}: only GET, HEAD and POST are answered"
        if method != "POST":
            return None
        kind = headers.first(b"content-type").partition(";")[0].strip().lower()
        if kind != "application/json":
            return 415, "a question is JSON: Content-Type: application/json"
        if headers.first(HEADER) != "1":
            return 403, "a question has the header X-HDVG: 1"
        length = headers.first(b"content-length")
        if not length.isdigit() or int(length) > BODY_BYTES:
            return 413, f"a question says its length, at most {BODY_BYTES} bytes"
        return None

    def _without_session(self, scope: Scope, headers: _Headers) -> tuple[int, str] | None:
        path = scope["path"]
        if path in OPEN or path.startswith(OPEN_BELOW) or self._keys.holds(headers.first(b"cookie")):
            return None
        return 401, "no session: open the link that `hdvg explore` printed, or ask for another one there"


async def _read_away(receive: Receive) -> None:
    """Take what is sent with a refused request, as far as a question goes: a connection that is closed over unread bytes is
    reset, and the answer lost with it."""
    left = BODY_BYTES
    with anyio.move_on_after(READ_AWAY_S):
        while left > 0 and (message := await receive()).get("more_body"):
            left -= len(message.get("body", b""))


class _Headers:
    """A request's headers, as texts; names in small letters, as ASGI has them."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = list(pairs)

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._pairs if key == name]

    def first(self, name: bytes) -> str:
        return next(iter(self.all(name)), "")
