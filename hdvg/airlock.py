"""Run one function on untrusted data in a fresh, limited child process, cheaply.

A server process imports the heavy modules once; each call is a fork of it in a session of its own, with hard limits, an
empty environment and its scratch folder as the current one. A crash, a hang or a bomb costs one call. Only JSON comes back,
and a child may ask its caller for what it may not do itself (`ask`), if the caller answers.
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
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from hdvg.errors import ItemError, ResourceError, TransientError, shortage

RESULT_MB = 256
ASKED_MB, TOLD_MB = 16, 64
"""Most that a child may ask, and be answered, at a time: a site's player with its solver is 4 MB."""
TAIL_BYTES = 2000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
KILLED_SERVER = "signal to the server"


Answer = Callable[[Any], Any]
"""From what a child asks, JSON, to what it is told, JSON; the HdvgError it raises is raised in the child."""


@dataclass(frozen=True)
class Limits:
    """What one call may use: seconds on the clock, address space (None: no limit), size of any one file."""

    wall_s: float = 3600.0
    memory_mb: int | None = 4096
    file_mb: float = 8192.0


class Airlock:
    """A client of one fork server; thread-safe, started at the first call."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._preload = tuple(preload)
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._jobs: socket.socket | None = None
        self._waiting: dict[int, Future[str]] = {}
        self._ids = itertools.count()
        self.closed = threading.Event()

    def call(
        self, target: str, kwargs: dict[str, Any], scratch: Path, limits: Limits, *, answer: Answer | None = None
    ) -> Any:
        """Return what `module:function` returns for `kwargs`, run inside the walls; what it asks meanwhile is answered
        by `answer`, in this thread.

        A child that dies by a signal is tried once more. Raises the ItemError or TransientError the function raised,
        else ItemError with reason timeout, memory, crash (it died both times; TransientError if it was killed from
        outside, which says nothing about the item) or error (any other exception; the detail is its traceback).
        Raises ResourceError if disk or handles ran short in the child, or the airlock is closed.
        """
        end, result, log = self._once(target, kwargs, scratch, limits, answer)
        if end.startswith("signal"):
            end, result, log = self._once(target, kwargs, scratch, limits, answer)
        return _outcome(end, result, log)

    def _once(
        self, target: str, kwargs: dict[str, Any], scratch: Path, limits: Limits, answer: Answer | None
    ) -> tuple[str, Path, Path]:
        ended: Future[str] = Future()
        ours, theirs = socket.socketpair() if answer else (None, None)
        with self._lock:
            if self.closed.is_set():
                raise ResourceError("the run is being stopped")
            jobs = self._start()
            job = next(self._ids)
            self._waiting[job] = ended
            line = {"id": job, "target": target, "kwargs": kwargs, "scratch": str(scratch), "limits": asdict(limits)}
            text = json.dumps(line | {"asks": theirs is not None}).encode() + b"\n"
            try:
                sent = socket.send_fds(jobs, [text], [theirs.fileno()]) if theirs else 0
                jobs.sendall(text[sent:])
            except (BrokenPipeError, ConnectionResetError):
                self._waiting.pop(job, None)
                ended.set_result(KILLED_SERVER)
        if ours and theirs and answer:
            theirs.close()
            with ours:
                _serve_child(ours, answer)
        return ended.result(), scratch / f"airlock-{job}.json", scratch / f"airlock-{job}.log"

    def close(self) -> None:
        """End the server and every call in flight, for good."""
        with self._lock:
            self.closed.set()
            if self._server is not None and self._jobs is not None:
                self._jobs.close()
                self._server.wait()
                self._server = None
            self._give_up()

    def _start(self) -> socket.socket:
        """Where the jobs of a living server are sent."""
        if self._server is None or self._jobs is None or self._server.poll() is not None:
            self._jobs, theirs = socket.socketpair()
            one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
            small = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "0"}  # a third of the network's memory, for a tenth of its time
            self._server = subprocess.Popen(
                [sys.executable, "-m", "hdvg.airlock", *self._preload],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                env={**os.environ, **one_thread, **small},
                start_new_session=True,  # a Ctrl-C is the runner's to handle
            )
            theirs.close()
            assert self._server.stdout is not None
            if not self._server.stdout.readline():
                raise ResourceError(
                    f"the server of limited child processes does not start ({' '.join(self._preload)}); see above"
                )
            threading.Thread(target=self._listen, args=(self._server,), daemon=True).start()
        return self._jobs

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


def _serve_child(channel: socket.socket, answer: Answer) -> None:
    """Answer what a child asks until it is over. It is not trusted: what is no question ends the talk."""
    with channel.makefile("rb") as questions, contextlib.suppress(ConnectionError, RecursionError, ValueError):
        while question := questions.readline(ASKED_MB * 2**20):
            told = _answer_one(answer, json.loads(question))
            channel.sendall(json.dumps(told).encode() + b"\n")


def _answer_one(answer: Answer, asked: Any) -> dict[str, Any]:
    """What a child is told; an error of the answer is raised in it."""
    try:
        return {"ok": answer(asked)}
    except Exception as error:  # else the child would be told nothing, and its item take the blame
        return _failure(error)


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
    return _unpack(said)


def _unpack(said: dict[str, Any]) -> Any:
    """The result that came over a process boundary, or its error raised."""
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
        _run(job, channel)
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


def ask(question: Any) -> Any:
    """In a child: what its caller answers. Raises the HdvgError that the caller raised, RuntimeError if it answers nothing."""
    if _channel is None:
        raise RuntimeError("the caller of this process answers nothing")
    _channel.sendall(json.dumps(question).encode() + b"\n")
    with _channel.makefile("rb") as answers:
        line = answers.readline(TOLD_MB * 2**20)
    if not line:
        raise RuntimeError("the caller of this process is gone")
    return _unpack(json.loads(line))


_channel: socket.socket | None = None


def _run(job: dict[str, Any], channel: int | None) -> NoReturn:
    """In the child: put up the walls, call, write the result, leave."""
    global _channel
    _channel = None if channel is None else socket.socket(fileno=channel)
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
        (resource.RLIMIT_AS, limits.memory_mb * 2**20 if limits.memory_mb else resource.RLIM_INFINITY),
        (resource.RLIMIT_CPU, math.ceil(limits.wall_s) * (os.cpu_count() or 1)),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else hard if most == resource.RLIM_INFINITY else min(most, hard)
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
    importlib.import_module("hdvg.airlock").serve(sys.argv[1:])  # the module that children ask by, not a second one
