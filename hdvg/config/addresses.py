"""What a recipe may say of the network: a proxy's address, an address to leave from, headers; secrets are refused."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Mapping

VARIABLE = "HDVG_PROXY"
PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""Schemes of proxies, with the ports they have where none is given; names are the proxy's to look up with all of them."""
WOULD_DO = "http://proxy.example.org:3128 would be fine; so would https://, socks5:// and socks5h://"
SECRET = re.compile(
    r"auth|cookie|token|secret|session|passw|pwd|credential|csrf|signature|jwt|bearer|(^|[-_])key$|api-?key|(^|[-_])sid$"
)
"""What the name of a header that holds a secret has in it."""
TRANSPORT = re.compile(
    r"host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|range|if-.*|accept-encoding|proxy-.*"
)
"""Headers that the request itself decides."""


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
