"""Walls inside the fetching process: where it may connect, that it starts no program, where it may write."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import urllib.parse
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdvg.errors import ItemError, TransientError
from hdvg.sources.egress import FAMILIES, place

Pair = tuple[str, int]
CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
LOOKUPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
PROGRAMS = frozenset(
    {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "os.forkpty", "pty.spawn"}
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("192.0.0.0/24", "192.88.99.0/24"),  # protocol assignments, 6to4 relays: `is_global` of Python 3.11 errs
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),  # Teredo, ORCHID, …; documentation; 6to4
    )
)
LAN = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)


@dataclass(frozen=True)
class Reach:
    """Where a process may connect: to `pairs`, and to public addresses of the version, unless a proxy is the only way."""

    pairs: AbstractSet[Pair] = frozenset()
    ip_version: str = "4"
    proxied: bool = False

    def allows(self, address: Any) -> bool:
        """Whether a socket may connect to what Python calls its address."""
        if not isinstance(address, tuple):
            return False
        return address[:2] in self.pairs or (not self.proxied and public(str(address[0]), ip_version=self.ip_version))


def public(address: str, *, ip_version: str = "4") -> bool:
    """Is this text the address, in its plain form and of that version ("4", "6", "any"), of a host on the public internet?

    Of version 6 these are the global unicast addresses that lead to no other network: none that holds one of version 4.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip_version not in {"any", str(ip.version)} or any(ip in net for net in NOT_PUBLIC):
        return False
    return ip.is_global and not ip.is_multicast if ip.version == 4 else ip in GLOBAL_UNICAST and "%" not in address


def named_private(source: str, *, ip_version: str = "4") -> frozenset[Pair]:
    """The loopback or LAN (address, port) pairs that the link's own host is, written as an address or as `localhost`.

    A name that only leads there by DNS is not meant by whoever wrote the list. Link-local (cloud metadata), shared (CGNAT)
    and multicast addresses are never among them.
    """
    parts = urllib.parse.urlsplit(source)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    local = host == "localhost" or host.endswith(".localhost")
    try:
        addresses = [ipaddress.ip_address(text) for text in (("127.0.0.1", "::1") if local else (host,))]
    except ValueError:
        return frozenset()
    spoken = [ip for ip in addresses if ip_version in {"any", str(ip.version)}]
    return frozenset((str(ip), port) for ip in spoken if any(ip in net for net in LAN))


def meant_by_user(address: str, *, ip_version: str) -> frozenset[Pair]:
    """All (address, port) pairs that a host leads to which the user's own environment names, private ones too."""
    parts = urllib.parse.urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, FAMILIES[ip_version], socket.SOCK_STREAM)
    except OSError:
        return frozenset()  # so the connection fails, and says why
    return frozenset((str(address[0]), port) for *_, address in found)


def proxy_only(proxy: str, *, ip_version: str) -> Reach:
    """The reach of a process that connects to this proxy alone, whose name is looked up here, for good: the process knows
    no other name afterwards. Raises TransientError("network") if there is no such name."""
    host, port = place(proxy)
    try:
        found = socket.getaddrinfo(host, port, FAMILIES[ip_version], socket.SOCK_STREAM)
    except OSError as error:
        raise TransientError("network", f"the proxy {host}: {error.strerror}") from error

    def known(name: Any, at: Any, *_: Any, **__: Any) -> Any:
        if (name, at) != (host, port):
            raise socket.gaierror(socket.EAI_NONAME, "names are looked up by the proxy")
        return found

    socket.getaddrinfo = known  # type: ignore[assignment]  # of this child alone, for good
    return Reach(frozenset((str(address[0]), port) for *_, address in found), ip_version, proxied=True)


def put_up(reach: Reach, *, writable: tuple[Path, ...]) -> list[str]:
    """Put up the walls for the rest of this process (PEP 578: they cannot be taken down); return the log of refusals.

    A connection that is out of reach raises ItemError("forbidden_address") where it is made, and is logged, because code
    in between may turn the error into another. A program, a write outside `writable`, or a name looked up beside the
    proxy raises PermissionError. The address that is checked is the one that is connected to, so DNS tricks do not matter.
    """
    refused: list[str] = []
    roots = tuple(os.path.join(os.path.realpath(folder), "") for folder in writable)

    def guard(event: str, args: tuple[Any, ...]) -> None:
        if event in CONNECTS:
            address = args[1]
            if address is not None and not reach.allows(address):
                refused.append(f"{address}")
                raise ItemError("forbidden_address", f"{address}")
        elif event in PROGRAMS:
            raise PermissionError(f"{event}: no program is started while fetching")
        elif event in LOOKUPS and reach.proxied:
            raise PermissionError(f"{event}: names are looked up by the proxy")
        elif event == "open" and isinstance(args[2], int) and args[2] & WRITES and not _may_write(args[0], roots):
            raise PermissionError(f"no file is written outside the scratch folder: {args[0]!r}")

    sys.addaudithook(guard)
    return refused


def _may_write(path: Any, roots: tuple[str, ...]) -> bool:
    if isinstance(path, int) or path == os.devnull:
        return True
    return os.path.realpath(os.fsdecode(path)).startswith(roots)
