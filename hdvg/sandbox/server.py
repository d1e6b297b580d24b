"""The fork server: it imports the heavy modules once, and each call is a fork of it."""

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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdvg.plugins import load_file
from hdvg.sandbox.child import run

PR_SET_CHILD_SUBREAPER = 36


@dataclass
class _Child:
    job: int
    pid: int
    deadline: float
    timed_out: bool = False


def serve(preload: Sequence[str]) -> None:
    """The server: read jobs from standard input, fork, report ends to standard output, until input closes.

    `preload` are modules or plug-ins' files to import, or `module:function` to call, before the first fork: their memory
    is shared.
    """
    for name in preload:
        module, _, function = name.partition(":")
        loaded = load_file(Path(name)) if name.endswith(".py") else importlib.import_module(module)
        if function and not name.endswith(".py"):
            getattr(loaded, function)()
    gc.freeze()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # who loses its parent becomes a child of the server
    selector = selectors.EpollSelector()
    jobs = socket.socket(fileno=os.dup(0))
    channels: deque[int] = deque()
    reports = os.fdopen(os.dup(1), "wb", buffering=0)
    selector.register(jobs, selectors.EVENT_READ)
    reports.write(b"ready\n")
    children: dict[int, _Child] = {}
    pending = b""
    while True:
        wait = min((child.deadline for child in children.values()), default=math.inf) - time.monotonic()
        for key, _ in selector.select(None if wait == math.inf else max(wait, 0.0)):
            if key.fileobj is jobs:
                chunk, passed, _, _ = socket.recv_fds(jobs, 1 << 20, 64)
                channels += passed
                if not chunk:
                    for child in children.values():
                        _kill_group(child.pid)
                    _kill_orphans(set())
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    job = json.loads(line)
                    channel = channels.popleft() if job["asks"] else None
                    servers = (jobs.fileno(), reports.fileno(), selector.fileno())
                    _spawn(job, channel, selector, children, not_its=(*servers, *children, *channels))
            else:
                selector.unregister(key.fd)
                os.close(key.fd)
                _report(children.pop(key.fd), reports)
                _kill_orphans({child.pid for child in children.values()})
        for child in children.values():
            if time.monotonic() >= child.deadline:
                child.timed_out, child.deadline = True, math.inf
                _kill_group(child.pid)


def _spawn(
    job: dict[str, Any],
    channel: int | None,
    selector: selectors.BaseSelector,
    children: dict[int, _Child],
    *,
    not_its: Iterable[int],
) -> None:
    pid = os.fork()
    if pid == 0:
        for other in not_its:  # the server's own, and those of other children
            os.close(other)
        run(job, channel)
    if channel is not None:
        os.close(channel)
    end = os.pidfd_open(pid)  # readable when the child is over, whatever it has left running
    selector.register(end, selectors.EVENT_READ)
    children[end] = _Child(job["id"], pid, time.monotonic() + job["limits"]["wall_s"])


def _report(child: _Child, reports: Any) -> None:
    _kill_group(child.pid)  # what the call left running goes with it
    status = os.waitpid(child.pid, 0)[1]
    if child.timed_out:
        end = "timeout"
    elif os.WIFSIGNALED(status):
        end = f"signal {os.WTERMSIG(status)}"
    else:
        end = f"exit {os.WEXITSTATUS(status)}"
    reports.write(json.dumps([child.job, end]).encode() + b"\n")


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
