"""Walls of the Linux kernel around the calling process and all that it starts: no network, no files but those named.

They need no privilege and no package, and cannot be taken down: Landlock (Linux 5.13) stands before the files, name spaces
of its own (where the system lets users make them) and a filter of system calls before the network and other processes.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from hdvg.sandbox import landlock, seccomp

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 4, 24, 38, 47
CLEAR_ALL = 4
CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x04000000, 0x08000000, 0x10000000, 0x40000000
CAPABILITIES_MOST = 64
CAPABILITIES_V3 = 0x20080522


@dataclass(frozen=True)
class Walls:
    """What stands: each text says by what, None says that this system has nothing for it."""

    network: str | None
    files: str | None
    calls: str | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return None not in (self.network, self.files, self.calls)

    def __str__(self) -> str:
        names = {"files": self.files, "network": self.network, "system calls": self.calls}
        return "; ".join(f"{name}: {by or 'no wall'}" for name, by in names.items())


@dataclass(frozen=True)
class Doors:
    """What walls leave open: paths that may be read, and read and written; whether the network is reached."""

    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    network: bool = False


def enclose(doors: Doors, *, before_filter: Callable[[], None] = lambda: None) -> Walls:
    """Wall in the calling process, which must have one thread, for good: it starts no program and no process, has no
    capability, and reaches no other process, whatever runs in it. `before_filter` is called when only the filter of system
    calls is left to do."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    rights = dict.fromkeys(doors.readable, landlock.READ) | dict.fromkeys(doors.writable, landlock.OWN)
    rights["/dev/null"] = landlock.READ | landlock.WRITE_FILE
    files = landlock.only_files(libc, rights, tcp=doors.network)
    spaces = CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS
    alone = libc.unshare(spaces if doors.network else spaces | CLONE_NEWNET) == 0
    drop_capabilities(libc)
    before_filter()
    filtered = seccomp.allow_only(libc, network=doors.network)
    held = [name for name, holds in (("name spaces", alone), ("seccomp", filtered)) if holds]
    return Walls(" and ".join(held) or None, files, "seccomp, a list of what is allowed" if filtered else None)


def drop_capabilities(libc: ctypes.CDLL) -> None:
    """Give up every capability, for good: no program that is run gets one back."""
    libc.prctl(PR_CAP_AMBIENT, CLEAR_ALL, 0, 0, 0)
    for capability in range(CAPABILITIES_MOST):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.capset(struct.pack("Ii", CAPABILITIES_V3, 0), bytes(24))


def put_up(readable: Iterable[str], *, listed: Iterable[str] = ()) -> Walls:
    """Wall in the calling process, which should have one thread, for good, before it becomes a program of somebody else: no
    network; of files it may only read and run those at or below `readable`, and see the names in folders at or below
    `listed`. Paths that do not exist are left out.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    rights = dict.fromkeys(listed, landlock.READ_DIR) | dict.fromkeys(readable, landlock.READ | landlock.EXECUTE)
    files = landlock.only_files(libc, rights)
    alone = libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0
    drop_capabilities(libc)
    filtered = seccomp.refuse(libc)
    held = [name for name, holds in (("name space", alone), ("seccomp", filtered)) if holds]
    return Walls(" and ".join(held) or None, files)


def probe() -> Walls:
    """What walls children get on this system, tried in a process of their own."""
    return _tried(lambda: enclose(Doors()))


def probe_program() -> Walls:
    """What walls a program of somebody else gets on this system, tried in a process of their own."""
    return _tried(lambda: put_up(()))


def _tried(build: Callable[[], Walls]) -> Walls:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, json.dumps(asdict(build())).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        found = Walls(**json.loads(answer.read()))
    os.waitpid(pid, 0)
    return found
