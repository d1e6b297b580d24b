"""Filters of system calls (seccomp, in classic BPF), put around the calling process for good; they need no privilege."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import struct
from errno import ENOSYS, EPERM

from hdvg.sandbox.syscalls import ALLOWED, CHECKED, MACHINES, NETWORK, REFUSED, numbers

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

Step = tuple[int, int, int, int]
"""Code, steps to jump if true, if false, and a value: struct sock_filter."""
LOAD, EQUAL, AT_LEAST, HAS_BITS, GIVE = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, MACHINE = 0, 4  # where they stand in struct seccomp_data
X32 = 0x40000000

PASS: Step = (GIVE, 0, 0, 0x7FFF0000)
REFUSE: Step = (GIVE, 0, 0, 0x00050000 | EPERM)
UNKNOWN: Step = (GIVE, 0, 0, 0x00050000 | ENOSYS)
NEW_CALLS = 425
"""From this number on, the same on all machines, a library that meets ENOSYS takes the older call."""

CLONE_THREAD, AF_INET, AF_INET6 = 0x10000, 2, 10
FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032)
"""Handles, flags, locks and sizes of pipes; not F_SETOWN and F_SETSIG, which send signals."""
IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""What is asked of any handle: TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
PRCTL = (3, 15, 16, 23, 39, 0x53564D41)
"""Names of threads and of memory, and what only reads: not PR_SET_DUMPABLE, PR_SET_PDEATHSIG or PR_SET_PTRACER."""


def allow_only(libc: ctypes.CDLL, *, network: bool) -> bool:
    """Leave the process `ALLOWED`, with the network sockets of IPv4 and IPv6 too; threads, but no fork; signals to itself."""
    return platform.machine() in MACHINES and _put_up(libc, _children(os.getpid(), network))


def refuse(libc: ctypes.CDLL) -> bool:
    """Refuse `REFUSED` alone."""
    steps: list[Step] = []
    if platform.machine() not in MACHINES:
        return False
    for number in numbers(REFUSED).values():
        steps += [(EQUAL, 0, 1, number), REFUSE]
    return _put_up(libc, _packed([*_opening(), *steps, PASS]))


def _opening() -> list[Step]:
    """Leaves the number of the call loaded; another machine's calls, and x32's, have other numbers and are refused."""
    code = MACHINES[platform.machine()][0]
    right = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, code), REFUSE, (LOAD, 0, 0, NUMBER)]
    return [*right, (AT_LEAST, 0, 1, X32), REFUSE]


@functools.cache
def _open_to_all(network: bool) -> bytes:
    """The beginning of a child's filter: made once in the server, for all its children."""
    steps = _opening()
    for number in numbers(f"{ALLOWED}, {NETWORK}" if network else ALLOWED).values():
        steps += [(EQUAL, 0, 1, number), PASS]
    return _packed(steps)


def _children(own: int, network: bool) -> bytes:
    bodies = {
        "clone": [_low(0), (HAS_BITS, 0, 1, CLONE_THREAD), PASS, REFUSE],
        "clone3": [UNKNOWN],  # its flags lie in memory, where no filter looks: libraries then take clone
        "socket": _one_of(0, (AF_INET, AF_INET6)) if network else [REFUSE],
        "sendto": [PASS] if network else [_low(4), (EQUAL, 1, 0, 0), REFUSE, _high(4), (EQUAL, 1, 0, 0), REFUSE, PASS],
        "fcntl": _one_of(1, FCNTL),
        "ioctl": _one_of(1, IOCTL),
        "prctl": _one_of(0, PRCTL),
        "prlimit64": _one_of(0, (0, own)),
        "kill": _one_of(0, (own,)),
        "tgkill": _one_of(0, (own,)),
    }
    steps: list[Step] = []
    for name, number in numbers(CHECKED).items():
        steps += [(EQUAL, 0, len(bodies[name]), number), *bodies[name]]
    return _open_to_all(network) + _packed([*steps, (AT_LEAST, 0, 1, NEW_CALLS), UNKNOWN, REFUSE])


def _one_of(argument: int, values: tuple[int, ...]) -> list[Step]:
    """Let the call pass if the lower half of an argument is one of the values."""
    return [_low(argument), *(step for value in values for step in ((EQUAL, 0, 1, value), PASS)), REFUSE]


def _low(argument: int) -> Step:
    return (LOAD, 0, 0, 16 + 8 * argument)


def _high(argument: int) -> Step:
    return (LOAD, 0, 0, 20 + 8 * argument)


def _packed(steps: list[Step]) -> bytes:
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _put_up(libc: ctypes.CDLL, text: bytes) -> bool:
    held = ctypes.create_string_buffer(text, len(text))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(text) // 8, ctypes.addressof(held)))
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0)
