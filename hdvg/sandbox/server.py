"""The fork server: it imports the heavy modules once, and each call is a fork of it. It sees no call's arguments."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import math
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hdvg.plugins import load_file
from hdvg.sandbox.child import run
from hdvg.sandbox.libraries import readable
from hdvg.sandbox.walls import PR_SET_DUMPABLE, probe

PR_SET_CHILD_SUBREAPER = 36
WATCH_S = 0.25
"""How often the scratch folders of living children are measured: a child over its limit is killed that much later at most."""


@dataclass
class _Child:
    job: int
    pid: int
    deadline: float
    scratch: str
    bytes_most: float
    ended_by: str = ""

    @property
    def overflows(self) -> bool:
        """Whether its scratch folder holds more than it may, files that it has removed but holds open among it."""
        return self.ended_by == "" and bytes_in(self.scratch) + _bytes_removed(self.pid) > self.bytes_most

    def end(self, by: str) -> None:
        self.ended_by, self.deadline = by, math.inf
        _kill_group(self.pid)


class _Server:
    def __init__(self) -> None:
        self._selector = selectors.EpollSelector()
        self._jobs = socket.socket(fileno=os.dup(0))
        self._reports = os.fdopen(os.dup(1), "wb", buffering=0)
        self._selector.register(self._jobs, selectors.EVENT_READ)
        self._children: dict[int, _Child] = {}
        self._handles: deque[int] = deque()
        self._pending = b""
        self._walls = asdict(probe())
        self._next_watch = math.inf
        self._reports.write(json.dumps(self._walls).encode() + b"\n")

    def serve(self) -> None:
        """Fork a child for each job, report each end, until the jobs' socket closes."""
        while True:
            wait = min((child.deadline for child in self._children.values()), default=math.inf)
            wait = min(wait, self._next_watch) - time.monotonic()
            for key, _ in self._selector.select(None if wait == math.inf else max(wait, 0.0)):
                if key.fileobj is not self._jobs:
                    self._end(key.fd)
                elif not self._take():
                    for child in self._children.values():
                        _kill_group(child.pid)
                    _kill_orphans(set())
                    return
            self._watch()

    def _take(self) -> bool:
        """Begin the jobs that have come; False if there will be none any more."""
        chunk, passed, _, _ = socket.recv_fds(self._jobs, 1 << 20, 64)
        self._handles += passed
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        for line in lines:
            job = json.loads(line)
            self._spawn(job, [self._handles.popleft() for _ in range(job["handles"])])
        return bool(chunk)

    def _spawn(self, job: dict[str, Any], handles: list[int]) -> None:
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            run(job | {"server": server, "walls": self._walls}, handles)  # closes all handles but these
        for handle in handles:
            os.close(handle)
        end = os.pidfd_open(pid)  # readable when the child is over, whatever it has left running
        self._selector.register(end, selectors.EVENT_READ)
        limits, now, scratch = job["limits"], time.monotonic(), job["scratch"]
        most = bytes_in(scratch) + limits["scratch_mb"] * 2**20
        self._children[end] = _Child(job["id"], pid, now + limits["wall_s"], scratch, most)
        self._next_watch = min(self._next_watch, now + WATCH_S)

    def _end(self, handle: int) -> None:
        self._selector.unregister(handle)
        os.close(handle)
        child = self._children.pop(handle)
        _kill_group(child.pid)  # what the call left running goes with it
        overflows = child.overflows
        status = os.waitpid(child.pid, 0)[1]
        by = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        end = child.ended_by or ("scratch" if overflows else by)
        self._reports.write(json.dumps([child.job, end]).encode() + b"\n")
        _kill_orphans({child.pid for child in self._children.values()})

    def _watch(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if now >= child.deadline:
                child.end("timeout")
        if now >= self._next_watch:
            for child in self._children.values():
                if child.overflows:
                    child.end("scratch")
            self._next_watch = time.monotonic() + WATCH_S if self._children else math.inf


def serve(preload: Sequence[str]) -> None:
    """The server: jobs come in by standard input, ends go out by standard output.

    `preload` are modules or plug-ins' files to import, or `module:function` to call, before the first fork: their memory
    is shared.
    """
    for name in preload:
        module, _, function = name.partition(":")
        loaded = load_file(Path(name)) if name.endswith(".py") else importlib.import_module(module)
        if function and not name.endswith(".py"):
            getattr(loaded, function)()
    for network in (False, True):
        readable(network=network)
    gc.freeze()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # who loses its parent becomes a child of the server
        libc.prctl(PR_SET_DUMPABLE, 0)  # nobody of its user's looks into it
    _Server().serve()


def bytes_in(folder: str) -> int:
    """Bytes that the files below a folder take on the disk."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_blocks * 512
                total += bytes_in(entry.path) if entry.is_dir(follow_symlinks=False) else 0
    return total


def _bytes_removed(pid: int) -> int:
    """Bytes of the files that a process holds open without a name."""
    total = 0
    with contextlib.suppress(OSError):
        for handle in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found = os.stat(f"/proc/{pid}/fd/{handle}")
                total += 0 if found.st_nlink else found.st_blocks * 512
    return total


def _kill_orphans(living: set[int]) -> None:
    """Kill what ended calls left running in sessions of their own."""
    for _ in range(10):
        listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        orphans = set(map(int, listed.split())) - living
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
        if not orphans:
            return
        time.sleep(0.001)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve(sys.argv[1:])
