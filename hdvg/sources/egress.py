"""The way out to the internet: the user's own proxy, the certificates trusted beside the usual ones, headers of hosts."""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from hdvg.config.addresses import PORTS, VARIABLE, proxy_address
from hdvg.errors import ItemError, UsageError

FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6, "any": socket.AF_UNSPEC}
"""Families of addresses, by `fetch.ip_version`."""
PROXY_WAIT_S = 10.0
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


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
