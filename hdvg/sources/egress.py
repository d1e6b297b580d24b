"""The way out to the internet: the user's own proxy, the certificates trusted beside the usual ones, headers of hosts."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import socket
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from hdvg.errors import ItemError, UsageError

VARIABLE = "HDVG_PROXY"
FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6, "any": socket.AF_UNSPEC}
"""Families of addresses, by `fetch.ip_version`."""
PROXY_WAIT_S = 10.0
PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""Schemes of proxies, with the ports they have where none is given; names are the proxy's to look up with all of them."""
WOULD_DO = "http://proxy.example.org:3128 would be fine; so would https://, socks5:// and socks5h://"
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
SECRET = re.compile(
    r"auth|cookie|token|secret|session|passw|pwd|credential|csrf|signature|jwt|bearer|(^|[-_])key$|api-?key|(^|[-_])sid$"
)
"""What the name of a header that holds a secret has in it."""
TRANSPORT = re.compile(
    r"host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|range|if-.*|accept-encoding|proxy-.*"
)
"""Headers that the request itself decides."""


@dataclass(frozen=True)
class WayOut:
    """The proxy's address, with user and password if it wants them, and the text of certificates to trust."""

    proxy: str | None = field(default=None, repr=False)
    ca_pem: str | None = field(default=None, repr=False)

    def as_settings(self) -> dict[str, str | None]:
        """What the fetching child is given of it."""
        return {"proxy": self.proxy, "ca_pem": self.ca_pem}

    @contextmanager
    def masked(self) -> Iterator[None]:
        """Takes the proxy's user and password out of what an error of an item says."""
        try:
            yield
        except ItemError as error:
            for secret in _secrets(self.proxy or ""):
                error.detail = error.detail.replace(secret, "***")
            error.args = (f"{error.reason}: {error.detail}" if error.detail else error.reason,)
            raise


class Ways(Protocol):
    """What of the section `fetch` says how this machine reaches others."""

    @property
    def proxy(self) -> str | None: ...

    @property
    def ca_file(self) -> str | None: ...

    @property
    def bind_address(self) -> str | None: ...

    @property
    def ip_version(self) -> str: ...


def way_out(settings: Ways) -> WayOut:
    """The way out that the settings and HDVG_PROXY say; the variable wins, and empty means none.

    Raises UsageError if the variable holds no proxy's address, `fetch.ca_file` no certificate, this machine has no
    `fetch.bind_address`, or nothing answers where the proxy should be (asked once in a process).
    """
    if settings.bind_address is not None:
        _try_bind(settings.bind_address)
    proxy, name = settings.proxy, "fetch.proxy"
    if VARIABLE in os.environ:
        name = VARIABLE
        try:
            address = os.environ[VARIABLE].strip()
            proxy = proxy_address(address) if address else None
        except ValueError as error:
            raise UsageError(f"{VARIABLE}: {error}; or unset it") from None
    if proxy is not None:
        _try_proxy(proxy, name, ip_version=settings.ip_version, bind_address=settings.bind_address)
    return WayOut(proxy, None if settings.ca_file is None else certificates(Path(settings.ca_file)))


def proxy_address(text: str) -> str:
    """A proxy's address, spelt with its port. Raises ValueError, which does not repeat the address: it may hold a secret."""
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise ValueError(f"no proxy's address: {WOULD_DO}") from error
    user, at, _ = parts.netloc.rpartition("@")
    plain = text.isascii() and text.isprintable() and " " not in text and re.fullmatch(r"[\w.:-]+", host)
    if not plain or parts.scheme not in PORTS or not port:
        raise ValueError(f"no proxy's address: {WOULD_DO}")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"a proxy's address has no path: {WOULD_DO}")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{user}{at}{name}:{port}"


def open_proxy_address(text: str) -> str:
    """As `proxy_address`, of one that may be stored. Raises ValueError if it holds a user or a password."""
    address = proxy_address(text)
    if "@" in address:
        raise ValueError(
            f"fetch.proxy holds a user or password, which a recipe must not: leave them out, and put the whole address into the "
            f"environment variable {VARIABLE}, which wins and is not stored"
        )
    return address


def certificates(path: Path) -> str:
    """The certificates in a PEM file. Raises UsageError if there are none, or it cannot be read."""
    try:
        found = "\n".join(CERTIFICATE.findall(path.read_text(encoding="utf-8", errors="replace")))
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found or "none")
    except OSError as error:  # ssl.SSLError is one
        fault = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
        raise UsageError(
            f"fetch.ca_file: {path} {fault}; name a PEM file (-----BEGIN CERTIFICATE-----), or none with --set fetch.ca_file=null"
        ) from error
    return found


def place(proxy: str) -> tuple[str, int]:
    """Host and port of a proxy's address."""
    parts = urllib.parse.urlsplit(proxy)
    return parts.hostname or "", parts.port or PORTS[parts.scheme]


def check_bind(address: str, ip_version: str) -> None:
    """Raise ValueError unless it is an address of that version: "4", "6" or "any"."""
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        raise ValueError(f"fetch.bind_address = {address!r}: no address; 192.168.1.7 would be fine") from None
    if ip_version != str(version):
        raise ValueError(
            f"fetch.bind_address = {address!r} is of version {version} and fetch.ip_version is {ip_version!r}: "
            f'set fetch.ip_version to "{version}", or bind_address to null'
        )


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ValueError for a header that a recipe must not set: a secret, one of the transport's, or no line of text."""
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValueError(f"header {name!r}: no name of a header; Accept-Language would be fine")
        if SECRET.search(name.lower()):
            raise ValueError(
                f"header {name}: a secret does not belong in a recipe, and nothing is fetched with a login"
            )
        if TRANSPORT.fullmatch(name.lower()):
            raise ValueError(f"header {name}: each request decides it itself; leave it out")
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ValueError(f"header {name}: its value must be one line of printable ASCII")


def _try_bind(address: str) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as one:
            one.bind((address, 0))
    except OSError as error:
        raise UsageError(
            f"fetch.bind_address = {address!r}: this machine cannot leave from there: {error.strerror}; name one of its own "
            f"addresses (`ip address` lists them), or none with --set fetch.bind_address=null"
        ) from error


@lru_cache
def _try_proxy(proxy: str, name: str, *, ip_version: str, bind_address: str | None) -> None:
    """Connect once: a proxy that is not there must not hear of every video."""
    host, port = place(proxy)
    fault = "it has no address of that version"
    try:
        for family, kind, _, _, address in socket.getaddrinfo(host, port, FAMILIES[ip_version], socket.SOCK_STREAM):
            with socket.socket(family, kind) as one:
                one.settimeout(PROXY_WAIT_S)
                one.bind((bind_address or "", 0))
                fault = os.strerror(failed) if (failed := one.connect_ex(address)) else ""
            if not fault:
                return
    except OSError as error:
        fault = error.strerror or str(error)
    raise UsageError(
        f"{name}: no proxy answers at {urllib.parse.urlsplit(proxy).netloc.rpartition('@')[2]} ({fault}); start it, or name another one, or none"
    )


def _secrets(proxy: str) -> list[str]:
    """User and password of a proxy's address in the forms in which they travel, the longest first."""
    netloc = urllib.parse.urlsplit(proxy).netloc
    quoted, at, _ = netloc.rpartition("@")
    if not at:
        return []
    plain = urllib.parse.unquote(quoted)
    forms = {quoted, plain, base64.b64encode(plain.encode()).decode()}
    forms |= {part for text in (quoted, plain) for part in text.split(":", 1)}
    return sorted(filter(None, forms), key=len, reverse=True)
