"""The lock of a dataset: one command at a time writes to it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hdvg.errors import ResourceError, UsageError, refusals

NAME = "run.lock"
GOING_S = 1.0
"""How long a killed run may hold its lock while the kernel takes it down."""


@contextmanager
def hold(root: Path) -> Iterator[None]:
    """Hold the lock. Raises UsageError naming the holder if another command has it, ResourceError where nothing can be locked."""
    with refusals(root / NAME):
        opened = (root / NAME).open("a+")
    with opened as file:
        try:
            with _no_locks(root):
                _take_soon(file)
        except BlockingIOError:
            file.seek(0)
            raise UsageError(
                f"{root}: another hdvg is working on this dataset ({file.read().strip() or 'unknown'}); "
                f"wait for it, watch it with `hdvg status {root}`, or stop it"
            ) from None
        with refusals(root / NAME):
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
            file.flush()
        yield


def is_held(root: Path) -> bool:
    """Whether a command is writing to the dataset now."""
    if not (root / NAME).exists():
        return False
    with (root / NAME).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return isinstance(error, BlockingIOError)  # a run works only where it can lock
    return False


def _take_soon(file: IO[str]) -> None:
    """Lock a file, waiting for a run that is being killed to be gone, and for who only asks whether it is locked."""
    until = time.monotonic() + GOING_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@contextmanager
def _no_locks(root: Path) -> Iterator[None]:
    """What a file system says that cannot lock files: ENOSYS, ENOLCK, EOPNOTSUPP and what else is not "locked by another"."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        raise ResourceError(
            f"{root}: its file system cannot lock {NAME} ({error.strerror or error}), and without the lock two runs could "
            "work on one dataset; mount it with locks (Lustre: `-o flock`; NFS: start its lock service), or use another --out"
        ) from error
