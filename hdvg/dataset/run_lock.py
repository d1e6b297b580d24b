"""The lock of a dataset: one command at a time writes to it; a lease stands in where the file system cannot lock."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from hdvg.dataset import lease
from hdvg.errors import ResourceError, UsageError, refusals

NAME = "run.lock"
GOING_S = 1.0
"""How long a killed run may hold its lock while the kernel takes it down."""


UNKNOWN = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What a file system says that does not know locks."""

_leases: dict[Path, lease.Lease] = {}
"""Of this process, by dataset."""


@contextmanager
def hold(root: Path, run: str, shelf: lease.Shelf | None = None) -> Iterator[None]:
    """Hold the lock, or a lease; of a dataset in a bucket, whose leases lie on `shelf`, both.

    Raises UsageError naming the holder if another command has it, ResourceError where there is neither, or if the lease was
    lost meanwhile.
    """
    with ExitStack() as stack:
        with refusals(root / NAME):
            file = stack.enter_context((root / NAME).open("a+"))
        is_locked = _take_soon(root, file)
        if is_locked:
            if shelf is None and (other := lease.holder(root)) is not None:
                raise _busy(root, f"{other}, by a lease")
            with refusals(root / NAME):
                file.truncate(0)
                file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
                file.flush()
        if is_locked and shelf is None:
            yield
            return
        _leases[root.resolve()] = stack.enter_context(lease.hold(root, run, shelf=shelf))
        try:
            yield
        finally:
            del _leases[root.resolve()]


def is_held(root: Path, shelf: lease.Shelf | None = None) -> bool:
    """Whether a command is writing to the dataset now."""
    if is_held_here(root):
        return True
    return (shelf is not None or (root / NAME).exists()) and lease.holder(root, shelf=shelf) is not None


def is_held_here(root: Path) -> bool:
    """Whether a command that sees this folder's lock is writing to the dataset now."""
    if not (root / NAME).exists():
        return False
    with (root / NAME).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            pass
    return False


def refuse_lost(root: Path) -> None:
    """Raise ResourceError if this process has lost its lease on the dataset: another run may be writing by now."""
    if _leases and (held := _leases.get(root.resolve())):
        held.refuse_lost()


def _busy(root: Path, who: str) -> UsageError:
    return UsageError(
        f"{root}: another hdvg is working on this dataset ({who}); "
        f"wait for it, watch it with `hdvg status {root}`, or stop it"
    )


def _take_soon(root: Path, file: IO[str]) -> bool:
    """Lock a file, waiting for a run that is being killed to be gone, and for who only asks whether it is locked; False where
    files cannot be locked. Raises as `hold`."""
    until = time.monotonic() + GOING_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                file.seek(0)
                raise _busy(root, file.read().strip() or "unknown") from None
            time.sleep(0.05)
        except OSError as error:
            if error.errno in UNKNOWN:
                return False
            raise ResourceError(
                f"{root}: its file system cannot lock {NAME} now ({error.strerror or error}), and without the lock two runs "
                "could work on one dataset; mount it with locks (NFS: start its lock service), or use another --out"
            ) from error
