"""What is looked at, and added, before each single request of a fetch: the first one of a URL and every redirect."""

from __future__ import annotations

import ipaddress
import re
import socket
import urllib.parse
from collections.abc import Callable
from functools import partial
from typing import Any

import urllib3.exceptions
import urllib3.util
from yt_dlp.networking._helper import make_ssl_context
from yt_dlp.networking._requests import RequestsRH
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.socks import Socks5Auth, Socks5Error

from hdvg.config.addresses import VARIABLE
from hdvg.config.fetch import Fetch, host_settings
from hdvg.errors import ItemError, ResourceError, TransientError, causes
from hdvg.sources.calls import FetchSettings
from hdvg.sources.guard import public

PRIVATE = frozenset(
    {"arpa", "corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost", "private"}
)
"""Last labels of names in private networks (RFC 6761, 6762, 8375; `internal` by ICANN)."""
NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
LOCKED_TUNNEL = "Tunnel connection failed: 407"
LOCKED_SAID = f"the proxy wants a user and password, or others: put its address with them into {VARIABLE}"
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
MAX_REDIRECTS = 10
TLS = make_ssl_context()
"""Made once, in the server that children are forked from: reading all certificates takes long."""


class Hops:
    """Stands before an adapter's `send`: refuses private targets where a proxy connects, adds the headers of a host.

    A proxy connects for us, so that the wall of `guard` cannot see where to: a target is judged by its name or address.
    """

    def __init__(self, settings: FetchSettings, refused: list[str]) -> None:
        self._proxied = settings["proxy"] is not None
        self._settings = Fetch(hosts=settings["hosts"])
        self._refused = refused

    def send(self, send: Callable[..., Any], request: Any, **kwargs: Any) -> Any:
        """Send a prepared request of `requests`; its headers for this host do not go on to where it is redirected.

        Raises ItemError("forbidden_address"), and logs it as `guard.put_up` does.
        """
        if self._proxied and (refusal := private_target(request.url)):
            self._refused.append(refusal)
            raise ItemError("forbidden_address", refusal)
        if own := host_settings(self._settings, urllib.parse.urlsplit(request.url).netloc).headers:
            request = request.copy()
            request.headers.update(own)
        return send(request, **kwargs)


def private_target(url: str) -> str | None:
    """Why a proxy is not asked for this URL, judged by its host alone; None if the host may be public.

    Refused are addresses in any spelling but the plain one of a public host, `localhost` and other names of private
    networks, names without a dot, and hosts that two parsers read differently.
    """
    try:
        host = (urllib3.util.parse_url(url).host or "").lower()
        if host.strip("[]") != (urllib.parse.urlsplit(url).hostname or ""):
            return f"no plain host name: {host[:100]!r}"
    except (ValueError, urllib3.exceptions.LocationParseError):
        return "no host name"
    name = host.strip("[]").removesuffix(".")
    labels = name.split(".")
    if host.startswith("[") or NUMBER.fullmatch(labels[-1]) or _is_address(name):
        return None if public(name, ip_version="any") else f"a private address: {name[:100]}"
    if not all(LABEL.fullmatch(label) for label in labels):
        return f"no plain host name: {name[:100]!r}"
    if len(labels) == 1 or labels[-1] in PRIVATE:
        return f"a name of a private network: {name[:100]}"
    return None


def _is_address(name: str) -> bool:
    """Whether a resolver would read the name as an address of either version."""
    try:
        socket.inet_aton(name)
    except OSError:
        try:
            ipaddress.IPv6Address(name)
        except ValueError:
            return False
    return True


def refuse_locked_proxy(error: BaseException) -> None:
    """Raise ResourceError if the proxy opens no tunnel without another user or password; that is no item's fault.

    Where it forwards plain HTTP its refusal looks like one of the host, which must not stop a run: TransientError.
    """
    for cause in causes(error):
        tunnel = type(cause) is OSError and str(cause).startswith(LOCKED_TUNNEL)
        if tunnel or (isinstance(cause, Socks5Error) and cause.errno == Socks5Auth.AUTH_NO_ACCEPTABLE):
            raise ResourceError(LOCKED_SAID)
        if isinstance(cause, HTTPError) and cause.status == 407:
            raise TransientError("network", LOCKED_SAID)


class BoundedRH(RequestsRH):  # type: ignore[misc]  # yt_dlp has no types here; the name must end so
    """The one way out: few redirects, whose bodies are not read; each request passes `Hops`."""

    def __init__(self, *args: Any, hops: Hops, ca_pem: str | None, **kwargs: Any) -> None:
        self._hops, self._ca_pem = hops, ca_pem
        super().__init__(*args, **kwargs)

    def _make_sslcontext(self, legacy_ssl_support: bool | None = None) -> Any:
        context = super()._make_sslcontext(legacy_ssl_support) if legacy_ssl_support else TLS
        if self._ca_pem is not None:
            context.load_verify_locations(cadata=self._ca_pem)
        return context

    def _create_instance(self, *args: Any, **kwargs: Any) -> Any:
        session = super()._create_instance(*args, **kwargs)
        for adapter in {id(one): one for one in session.adapters.values()}.values():
            adapter.send = partial(self._hops.send, adapter.send)
        session.max_redirects = MAX_REDIRECTS
        session.hooks["response"].append(_drop_redirect_body)
        return session


def _drop_redirect_body(response: Any, **_: Any) -> None:
    if response.is_redirect:
        response._content = b""
        response.close()
