"""A session with Ray: one of our own on this machine, or a cluster at an address, and what keeps one from it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # read at import; else Ray warns of its own change

import ray
from ray.exceptions import AuthenticationError, RayTaskError

from hdvg.errors import HdvgError, UsageError, first_line, resource_error
from pipelines.head import Head
from pipelines.node_traits import code
from pipelines.runners import address_of

OBJECT_STORE_MB = 100
"""Only names pass through it."""
KNOCK_S = 10.0
"""How long the head's port may take to open."""
TOKEN = (
    "every node and this machine need one and the same token: make it once on the head (`ray get-auth-token --generate`), copy the file "
    "~/.ray/auth_token to all, or let RAY_AUTH_TOKEN_PATH name one that all see; export RAY_AUTH_MODE=token; start Ray there anew; "
    "see docs/cluster.md"
)


def where(address: str | None, cpus: int | None, gpus: int | None) -> dict[str, Any]:
    """The arguments of `ray.init`: the cluster at the address, or at RAY_ADDRESS, else a session of our own."""
    address = address_of(address)
    if address != "local":
        return {"address": address}
    room = {"num_cpus": cpus, "num_gpus": gpus, "object_store_memory": OBJECT_STORE_MB * 2**20}
    return {"address": address, "include_dashboard": False, **room}


@dataclass(frozen=True)
class Session:
    """A session that is open."""

    is_shared: bool
    """Whether it is of a cluster that stood before, and may grow and shrink."""
    head: Head
    code: str
    """The code that nodes must run; "" is any."""


@contextmanager
def opened(address: str | None, cpus: int | None = None, gpus: int | None = None) -> Iterator[Session]:
    """A session, to its end. Raises UsageError saying what keeps one from the cluster."""
    place = where(address, cpus, gpus)
    is_shared = place["address"] != "local"
    _open(place, is_shared=is_shared)
    head = Head(is_shared=is_shared)
    try:
        yield Session(is_shared, head, code() if is_shared else "")
    finally:
        ray.shutdown()
        head.close()


def _open(place: dict[str, Any], *, is_shared: bool) -> None:
    address = place["address"]
    if is_shared:
        _knock(address)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **place)
    except AuthenticationError:
        raise UsageError(
            f"--address {address}: the cluster asks for a token, and this machine has none; {TOKEN}"
        ) from None
    except (ConnectionError, RuntimeError) as error:
        if not is_shared:
            raise
        more = f"; if its token is another than this machine's: {TOKEN}" if isinstance(error, ConnectionError) else ""
        raise UsageError(f"--address {address}: {first_line(error)}{more}") from None


def raised_by(error: RayTaskError) -> BaseException:
    """What a task raised that hdvg knows: its own error, or what the machine ran short of; else Ray's words on it."""
    if isinstance(error.cause, HdvgError):
        return error.cause
    return resource_error(error.cause) or error


def _knock(address: str) -> None:
    """Raise UsageError at once if nothing listens at HOST:PORT; Ray itself would try for a minute. Other addresses are Ray's."""
    host, colon, port = address.rpartition(":")
    if not colon or "/" in address or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()
    except OSError as error:
        raise UsageError(
            f"--address {address}: nothing answers there ({error.strerror or error}); give the address that `ray start --head` "
            "printed, port 6379 unless it was told another; see docs/cluster.md"
        ) from None
