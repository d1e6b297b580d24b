"""Run one function on untrusted data in a fresh, limited child process, cheaply.

A server process imports the heavy modules once; each call is a fork of it in a session of its own, with hard limits, an
empty environment and its scratch folder as the current one. A crash, a hang or a bomb costs one call. Only JSON comes back.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import itertools
import json
import math
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from hdvg.errors import ItemError, ResourceError, TransientError, shortage

RESULT_MB = 256
TAIL_BYTES = 2000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
KILLED_SERVER = "signal to the server"


@dataclass(frozen=True)
class Limits:
    """What one call may use: seconds on the clock, address space, size of any one file."""

    wall_s: float = 3600.0
    memory_mb: int = 4096
    file_mb: float = 8192.0


class Airlock:
    """A client of one fork server; thread-safe, started at the first call."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._preload = tuple(preload)
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._waiting: dict[int, Future[str]] = {}
        self._ids = itertools.count()
        self.closed = threading.Event()

    def call(self, target: str, kwargs: dict[str, Any], scratch: Path, limits: Limits) -> Any:
        """Return what `module:function` returns for `kwargs`, run inside the walls.

        A child that dies by a signal is tried once more. Raises the ItemError or TransientError the function raised,
        else ItemError with reason timeout, memory, crash (it died both times; TransientError if it was killed from
        outside, which says nothing about the item) or error (any other exception; the detail is its traceback).
        Raises ResourceError if disk or handles ran short in the child, or the airlock is closed.
        """
        end, result, log = self._once(target, kwargs, scratch, limits)
        if end.startswith("signal"):
            end, result, log = self._once(target, kwargs, scratch, limits)
        return _outcome(end, result, log)

    def _once(self, target: str, kwargs: dict[str, Any], scratch: Path, limits: Limits) -> tuple[str, Path, Path]:
        ended: Future[str] = Future()
        with self._lock:
            if self.closed.is_set():
                raise ResourceError("the run is being stopped")
            server = self._start()
            job = next(self._ids)
            self._waiting[job] = ended
            line = {"id": job, "target": target, "kwargs": kwargs, "scratch": str(scratch), "limits": asdict(limits)}
            assert server.stdin is not None
            try:
                server.stdin.write(json.dumps(line).encode() + b"\n")
                server.stdin.flush()
            except BrokenPipeError:
                self._waiting.pop(job, None)
                ended.set_result(KILLED_SERVER)
        return ended.result(), scratch / f"airlock-{job}.json", scratch / f"airlock-{job}.log"

    def close(self) -> None:
        """End the server and every call in flight, for good."""
        with self._lock:
            self.closed.set()
            if self._server is not None and self._server.stdin is not None:
                self._server.stdin.close()
                self._server.wait()
                self._server = None
            self._give_up()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._server is None or self._server.poll() is not None:
            one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
            small = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "0"}  # a third of the network's memory, for a tenth of its time
            self._server = subprocess.Popen(
                [sys.executable, "-m", "hdvg.airlock", *self._preload],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **one_thread, **small},
                start_new_session=True,  # a Ctrl-C is the runner's to handle
            )
            assert self._server.stdout is not None
            if not self._server.stdout.readline():
                raise ResourceError(
                    f"the server of limited child processes does not start ({' '.join(self._preload)}); see above"
                )
            threading.Thread(target=self._listen, args=(self._server,), daemon=True).start()
        return self._server

    def _listen(self, server: subprocess.Popen[bytes]) -> None:
        assert server.stdout is not None
        for line in server.stdout:
            job, end = json.loads(line)
            with self._lock:
                if waiting := self._waiting.pop(job, None):
                    waiting.set_result(end)
        with self._lock:  # the server is gone: nothing will be reported any more
            if self._server is server:
                self._server = None
                self._give_up()

    def _give_up(self) -> None:
        while self._waiting:
            self._waiting.popitem()[1].set_result(KILLED_SERVER)


def _outcome(end: str, result: Path, log: Path) -> Any:
    """The result of an ended call, or its error raised; its two files are removed."""
    try:
        if end == "timeout":
            raise ItemError("timeout", "over the wall clock limit")
        tail = _tail(log)
        if end == f"exit {ResourceError.exit_code}":
            raise ResourceError(f"{result.parent}: disk or handles ran short; free some, then run again")
        if end in (KILLED_SERVER, f"signal {signal.SIGKILL}"):
            raise TransientError("crash", f"{end}: killed from outside (out of memory?)")
        if end != "exit 0" or not result.exists():
            raise ItemError("crash", f"{end} {tail}".strip())
        with result.open("rb") as file:
            text = file.read(RESULT_MB * 2**20 + 1)  # the child may have put anything there
        if len(text) > RESULT_MB * 2**20:
            raise ItemError("error", f"result over {RESULT_MB} MB")
        said = json.loads(text)
    finally:
        result.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
    if "ok" in said:
        return said["ok"]
    if said["kind"] == "resource":
        raise ResourceError(said["detail"])
    if said["kind"] == "transient":
        raise TransientError(said["reason"], said["detail"], retry_after_s=said["retry_after_s"])
    raise ItemError(said["reason"], said["detail"])


def _tail(log: Path) -> str:
    """The last words of a child, however much it said."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - TAIL_BYTES, 0))
        return file.read(TAIL_BYTES).decode(errors="replace").strip()


@dataclass
class _Child:
    job: int
    pid: int
    deadline: float
    timed_out: bool = False


def serve(preload: Sequence[str]) -> None:
    """The server: read jobs from standard input, fork, report ends to standard output, until input closes.

    `preload` are modules to import, or `module:function` to call, before the first fork: their memory is shared.
    """
    for name in preload:
        module, _, function = name.partition(":")
        loaded = importlib.import_module(module)
        if function:
            getattr(loaded, function)()
    gc.freeze()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # who loses its parent becomes a child of the server
    selector = selectors.DefaultSelector()
    jobs = os.fdopen(os.dup(0), "rb", buffering=0)
    reports = os.fdopen(os.dup(1), "wb", buffering=0)
    selector.register(jobs, selectors.EVENT_READ)
    reports.write(b"ready\n")
    children: dict[int, _Child] = {}
    pending = b""
    while True:
        wait = min((child.deadline for child in children.values()), default=math.inf) - time.monotonic()
        for key, _ in selector.select(None if wait == math.inf else max(wait, 0.0)):
            if key.fileobj is jobs:
                chunk = os.read(jobs.fileno(), 1 << 20)
                if not chunk:
                    for child in children.values():
                        _kill_group(child.pid)
                    _kill_orphans(set())
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    _spawn(json.loads(line), selector, children)
            else:
                selector.unregister(key.fd)
                os.close(key.fd)
                _report(children.pop(key.fd), reports)
                _kill_orphans({child.pid for child in children.values()})
        for child in children.values():
            if time.monotonic() >= child.deadline:
                child.timed_out, child.deadline = True, math.inf
                _kill_group(child.pid)


def _spawn(job: dict[str, Any], selector: selectors.BaseSelector, children: dict[int, _Child]) -> None:
    pid = os.fork()
    if pid == 0:
        _run(job)
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


def _run(job: dict[str, Any]) -> NoReturn:
    """In the child: put up the walls, call, write the result, leave."""
    scratch = Path(job["scratch"])
    try:
        _confine(scratch, job)
        said = _call(job)
        text = json.dumps(said, allow_nan=False)
        (scratch / f"airlock-{job['id']}.json").write_text(text, encoding="utf-8")
    except BaseException as error:
        if shortage(error):  # not even the result could be written
            os._exit(ResourceError.exit_code)
        with contextlib.suppress(OSError):
            traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _confine(scratch: Path, job: dict[str, Any]) -> None:
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(scratch)
    log = os.open(scratch / f"airlock-{job['id']}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(HOME=str(scratch), PATH="", LANG="C.UTF-8")
    limits = Limits(**job["limits"])
    for kind, most in (
        (resource.RLIMIT_FSIZE, int(limits.file_mb * 2**20)),
        (resource.RLIMIT_AS, limits.memory_mb * 2**20),
        (resource.RLIMIT_CPU, math.ceil(limits.wall_s) * (os.cpu_count() or 1)),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))


def _call(job: dict[str, Any]) -> dict[str, Any]:
    module, _, function = job["target"].partition(":")
    try:
        return {"ok": getattr(importlib.import_module(module), function)(**job["kwargs"])}
    except Exception as error:  # the process boundary: whatever a library raises must cross it as data
        return _failure(error)


def _failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, ResourceError) or (short := shortage(error)):
        return {"kind": "resource", "detail": str(error if isinstance(error, ResourceError) else short)}
    if isinstance(error, MemoryError):
        return {"kind": "item", "reason": "memory", "detail": "over the memory limit"}
    if not isinstance(error, ItemError):
        return {"kind": "item", "reason": "error", "detail": "".join(traceback.format_exception(error))}
    said: dict[str, Any] = {"kind": "item", "reason": error.reason, "detail": error.detail}
    if isinstance(error, TransientError):
        said |= {"kind": "transient", "retry_after_s": error.retry_after_s}
    return said


if __name__ == "__main__":
    serve(sys.argv[1:])
