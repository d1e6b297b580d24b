"""Landlock (Linux 5.13): a wall before all files but those named, put around the calling process for good, by any user."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Mapping

CREATE_RULESET, ADD_RULE, RESTRICT_SELF, RULE_PATH_BENEATH = 444, 445, 446, 1
RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights to files that a version of Landlock knows; later versions know no more of them."""

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG, REFER = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 13
READ = READ_FILE | READ_DIR
OWN = READ | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER
"""Plain files and folders only: no links, pipes, sockets or devices are made."""
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | 1 << 15

NETWORK_ABI, BIND_TCP, CONNECT_TCP = 4, 1, 2
SCOPES_ABI, ABSTRACT_SOCKETS, SIGNALS = 6, 1, 2
"""From which version on Landlock also holds off TCP, and signals to processes outside with their sockets without a file."""


def version(libc: ctypes.CDLL) -> int:
    """The version of this kernel's Landlock; under 1 if it has none."""
    return int(libc.syscall(CREATE_RULESET, None, 0, 1))


def only_files(libc: ctypes.CDLL, rights: Mapping[str, int], *, tcp: bool = True) -> str | None:
    """Leave the process these rights to what lies at or below these paths, and without `tcp` no TCP; those that do not exist
    are left out. None if this kernel has no Landlock."""
    abi = version(libc)
    if abi < 1:
        return None
    handled = RIGHTS_BY_ABI[min(abi, max(RIGHTS_BY_ABI))]
    wanted = struct.pack("Q", handled)
    if abi >= NETWORK_ABI:
        wanted += struct.pack("Q", 0 if tcp else BIND_TCP | CONNECT_TCP)
    if abi >= SCOPES_ABI:
        wanted += struct.pack("Q", SIGNALS | ABSTRACT_SOCKETS)
    rules = libc.syscall(CREATE_RULESET, wanted, len(wanted), 0)
    if rules < 0:
        return None
    try:
        for path, allowed in rights.items():
            with contextlib.suppress(OSError):
                _allow(libc, rules, path, allowed & handled)
        return f"Landlock {abi}" if libc.syscall(RESTRICT_SELF, rules, 0) == 0 else None
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights if os.path.isdir(path) else rights & OF_FILES, handle)
        if libc.syscall(ADD_RULE, rules, RULE_PATH_BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), f"Landlock refuses a rule for {path}")
    finally:
        os.close(handle)
