"""Walls of the Linux kernel around the calling process and all that it starts: no network, no files but those named.

They need no privilege and no package, and cannot be taken down. Two walls stand against the network, a network name
space of its own (where the system lets users make one) and a filter of system calls; Landlock (Linux 5.13) stands
before the files.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
EPERM = 1

CREATE_RULESET, ADD_RULE, RESTRICT_SELF, RULE_PATH_BENEATH = 444, 445, 446, 1
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights to files that a version of Landlock knows; later versions know no more of them."""

SCOPES_ABI, ABSTRACT_SOCKETS, SIGNALS = 6, 1, 2
"""From which version on Landlock also holds off signals to processes outside, and their sockets without a file."""

# linux/audit.h, and the numbers of the system calls that are refused: sockets but pairs (Landlock does not hold off
# those that are files: a container engine's, a desktop's), ways around the filter (io_uring, other name spaces), and reaching into other processes.
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
REFUSED = {
    "socket": (41, 198),
    "connect": (42, 203),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
}


@dataclass(frozen=True)
class Walls:
    """What stands: each text says by what, None says that this system has nothing for it."""

    network: str | None
    files: str | None


def put_up(readable: Iterable[str], *, listed: Iterable[str] = ()) -> Walls:
    """Wall in the calling process, which should have one thread, for good: no network; of files it may only read and
    run those at or below `readable`, and see the names in folders at or below `listed`. Paths that do not exist are left out.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    files = _only_files(libc, dict.fromkeys(listed, READ_DIR) | dict.fromkeys(readable, READ_DIR | READ_FILE | EXECUTE))
    alone = libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0
    filtered = _filter_calls(libc)
    held = [name for name, holds in (("name space", alone), ("seccomp", filtered)) if holds]
    return Walls(" and ".join(held) or None, files)


def probe() -> dict[str, str | None]:
    """What walls this system has, tried in a process of their own: `Walls` as a dict."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, json.dumps(asdict(put_up(()))).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        found: dict[str, str | None] = json.loads(answer.read())
    os.waitpid(pid, 0)
    return found


def _filter_calls(libc: ctypes.CDLL) -> bool:
    """Refuse `REFUSED`, by a filter in classic BPF."""
    if platform.machine() not in ARCHITECTURES:
        return False
    code, column = ARCHITECTURES[platform.machine()]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    refuse, allow = 0x00050000 | EPERM, 0x7FFF0000
    refused = [numbers[column] for numbers in REFUSED.values()]
    # struct seccomp_data: the number at 0, the architecture at 4
    to_refuse = len(refused) + 5  # the last step: jumps count from the step after their own
    body = [(load, 0, 0, 4), (equal, 0, to_refuse - 2, code), (load, 0, 0, 0)]
    body.append((at_least, to_refuse - 4, 0, 0x40000000))  # the x32 calls have other numbers
    body += [(equal, to_refuse - 5 - place, 0, number) for place, number in enumerate(refused)]
    body += [(give, 0, 0, allow), (give, 0, 0, refuse)]
    text = b"".join(struct.pack("HBBI", *step) for step in body)
    steps = ctypes.create_string_buffer(text, len(text))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(body), ctypes.addressof(steps)))
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0)


def _only_files(libc: ctypes.CDLL, rights: Mapping[str, int]) -> str | None:
    """Put up Landlock with these rights to paths; None if this kernel has none."""
    abi = libc.syscall(CREATE_RULESET, None, 0, 1)
    if abi < 1:
        return None
    handled = RIGHTS_BY_ABI[min(abi, max(RIGHTS_BY_ABI))]
    scoped = struct.pack("QQ", 0, SIGNALS | ABSTRACT_SOCKETS) if abi >= SCOPES_ABI else b""
    wanted = struct.pack("Q", handled) + scoped
    rules = libc.syscall(CREATE_RULESET, wanted, len(wanted), 0)
    if rules < 0:
        return None
    try:
        for path, allowed in rights.items():
            with contextlib.suppress(OSError):
                _allow(libc, rules, path, allowed)
        return f"Landlock {abi}" if libc.syscall(RESTRICT_SELF, rules, 0) == 0 else None
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights if os.path.isdir(path) else rights & ~READ_DIR, handle)
        if libc.syscall(ADD_RULE, rules, RULE_PATH_BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), f"Landlock refuses a rule for {path}")
    finally:
        os.close(handle)
