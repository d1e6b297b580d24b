"""Walls inside the fetching process: where it may connect, that it starts no program, where it may write."""

from __future__ import annotations

import ipaddress
import os
import sys
import urllib.parse
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from hdvg.errors import ItemError

Pair = tuple[str, int]
CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
PROGRAMS = frozenset(
    {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "os.forkpty", "pty.spawn"}
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# `is_global` of Python 3.11 is wrongly true for these: protocol assignments, 6to4 relays.
NOT_PUBLIC = tuple(ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24"))
LAN = tuple(ipaddress.ip_network(text) for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def public(address: str) -> bool:
    """Is this text the IPv4 address, in its plain form, of a host on the public internet?"""
    try:
        ip = ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in net for net in NOT_PUBLIC)


def named_private(source: str) -> frozenset[Pair]:
    """The loopback or LAN (address, port) pair that the link's own host is, written as an address or as `localhost`.

    A name that only leads there by DNS is not meant by whoever wrote the list. Link-local (cloud metadata), shared (CGNAT)
    and multicast addresses are never among them.
    """
    parts = urllib.parse.urlsplit(source)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    try:
        address = ipaddress.IPv4Address("127.0.0.1" if host == "localhost" or host.endswith(".localhost") else host)
    except ValueError:
        return frozenset()
    return frozenset({(str(address), port)} if any(address in net for net in LAN) else ())


def put_up(allowed: AbstractSet[Pair], *, writable: tuple[Path, ...]) -> list[str]:
    """Put up the walls for the rest of this process (PEP 578: they cannot be taken down); return the log of refusals.

    A connection that is neither public nor `allowed` raises ItemError("forbidden_address") where it is made, and is
    logged, because code in between may turn the error into another. A program or a write outside `writable` raises
    PermissionError. The address that is checked is the one that is connected to, so DNS tricks do not matter.
    """
    refused: list[str] = []
    roots = tuple(os.path.join(os.path.realpath(folder), "") for folder in writable)

    def guard(event: str, args: tuple[Any, ...]) -> None:
        if event in CONNECTS:
            address = args[1]
            if address is not None and not _may_connect(address, allowed):
                refused.append(f"{address}")
                raise ItemError("forbidden_address", f"{address}")
        elif event in PROGRAMS:
            raise PermissionError(f"{event}: no program is started while fetching")
        elif event == "open" and isinstance(args[2], int) and args[2] & WRITES and not _may_write(args[0], roots):
            raise PermissionError(f"no file is written outside the scratch folder: {args[0]!r}")

    sys.addaudithook(guard)
    return refused


def _may_connect(address: Any, allowed: AbstractSet[Pair]) -> bool:
    return isinstance(address, tuple) and (public(str(address[0])) or address[:2] in allowed)


def _may_write(path: Any, roots: tuple[str, ...]) -> bool:
    if isinstance(path, int) or path == os.devnull:
        return True
    return os.path.realpath(os.fsdecode(path)).startswith(roots)
