"""Run one function on untrusted data in a fresh, limited child process, cheaply.

A server process imports the heavy modules once; each call is a fork of it in a session of its own, with hard limits, an
empty environment, its scratch folder as the current one, and walls of the kernel around it (`hdvg.sandbox.walls`). A crash, a
hang or a bomb costs one call. Only JSON comes back, and a child may ask its caller for what it may not do itself (`ask`), if
the caller answers.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hdvg.errors import ItemError, ResourceError, TransientError, shortage
from hdvg.sandbox.boundary import QUESTION_MB, WALLESS, Limits, Mode, failure, unpack
from hdvg.sandbox.host import server_environment, settle
from hdvg.sandbox.seam import Call, Result
from hdvg.sandbox.walls import Walls

RESULT_MB = 256
TAIL_BYTES = 2000
KILLED_SERVER = "signal to the server"


__all__ = ["Answer", "Call", "Limits", "Mode", "Sandbox"]

Answer = Callable[[Any], Any]
"""From the question of a child, JSON, to its answer, JSON; the HdvgError it raises is raised in the child."""


class Sandbox:
    """A client of one fork server; thread-safe, started at the first call. `mode` holds for calls whose limits say none."""

    def __init__(self, preload: Sequence[str] = (), mode: Mode | None = None) -> None:
        self._preload = tuple(preload)
        self._mode = mode
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._jobs: socket.socket | None = None
        self._walls = Walls(None, None)
        self.calls = 0
        self.stood: str | None = None
        """What stood around the child of the last call."""
        self._waiting: dict[int, Future[str]] = {}
        self._ids = itertools.count()
        self.closed = threading.Event()

    def call(self, call: Call[Result], scratch: Path, limits: Limits, *, answer: Answer | None = None) -> Result:
        """Return what a function (`hdvg.sandbox.seam`) returns, run inside the walls; what it asks meanwhile is answered
        by `answer`, in this thread.

        A child that dies by a signal is tried once more. Raises the ItemError or TransientError the function raised,
        else ItemError with reason timeout, memory, too_big (more in its scratch folder than it may), crash (it died both
        times; TransientError if it was killed from outside, which says nothing about the item) or error (any other
        exception, whose traceback is the detail; or a result that is not of the declared type).
        Raises ResourceError if disk or handles ran short in the child, or the sandbox is closed, and UnsafeHostError if
        walls are required that this machine lacks.
        """
        end, result, log = self._once(call, scratch, limits, answer)
        if end.startswith("signal"):
            end, result, log = self._once(call, scratch, limits, answer)
        return call.checked(_outcome(end, result, log))

    def _once(self, call: Call[Any], scratch: Path, limits: Limits, answer: Answer | None) -> tuple[str, Path, Path]:
        ended: Future[str] = Future()
        ours, theirs = socket.socketpair() if answer else (None, None)
        with self._lock, _written(call) as text:
            if self.closed.is_set():
                raise ResourceError("the run is being stopped")
            jobs = self._start()
            enclosed = settle(limits.sandbox or self._mode, self._walls) != "off"
            job, self.calls, self.stood = next(self._ids), self.calls + 1, str(self._walls) if enclosed else "off"
            self._waiting[job] = ended
            handles = [text, theirs.fileno()] if theirs else [text]
            said = {"id": job, "scratch": str(scratch), "limits": asdict(limits)}
            line = json.dumps(said | {"enclosed": enclosed, "handles": len(handles)}).encode() + b"\n"
            try:
                jobs.sendall(line[socket.send_fds(jobs, [line], handles) :])
            except (BrokenPipeError, ConnectionResetError):
                self._waiting.pop(job, None)
                ended.set_result(KILLED_SERVER)
        if ours and theirs and answer:
            theirs.close()
            with ours:
                _serve_child(ours, answer)
        return ended.result(), scratch / f"sandbox-{job}.json", scratch / f"sandbox-{job}.log"

    @property
    def walls(self) -> Walls:
        """What stands around children of this system, whether or not the mode has them put up; starts the server."""
        with self._lock:
            self._start()
            return self._walls

    def close(self) -> None:
        """End the server and every call in flight, for good."""
        with self._lock:
            self.closed.set()
            if self._server is not None and self._jobs is not None:
                self._jobs.close()
                self._server.wait()
                self._server = None
            self._give_up()

    def warm(self) -> None:
        """Start the server now, so that the first call need not wait for what it loads."""
        with self._lock:
            self._start()

    def _start(self) -> socket.socket:
        """Where the jobs of a living server are sent."""
        if self._server is None or self._jobs is None or self._server.poll() is not None:
            self._jobs, theirs = socket.socketpair()
            self._server = subprocess.Popen(
                [sys.executable, "-m", "hdvg.sandbox.server", *self._preload],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                env=server_environment(os.environ),
                start_new_session=True,  # a Ctrl-C is the runner's to handle
            )
            theirs.close()
            assert self._server.stdout is not None
            ready = self._server.stdout.readline()
            if not ready:
                raise ResourceError(
                    f"the server of limited child processes does not start ({' '.join(self._preload)}); see above"
                )
            self._walls = Walls(**json.loads(ready))
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
        while question := questions.readline(QUESTION_MB * 2**20):
            reply = _answer_one(answer, json.loads(question))
            channel.sendall(json.dumps(reply).encode() + b"\n")


def _answer_one(answer: Answer, question: Any) -> dict[str, Any]:
    """The reply to a child; an error of the answer is raised in it."""
    try:
        return {"ok": answer(question)}
    except Exception as error:  # else the child would get no reply, and its item take the blame
        return failure(error, limited=False)


@contextlib.contextmanager
def _written(call: Call[Any]) -> Iterator[int]:
    """A handle of a call's text, for its child alone: the server, whose memory all children get, never reads it."""
    handle = os.memfd_create("call")
    try:
        said = {"target": call.target, "arguments": call.arguments, "paths": asdict(call.paths), "needs": call.needs}
        with open(handle, "w", encoding="utf-8", closefd=False) as file:
            json.dump(said, file)
        yield handle
    finally:
        os.close(handle)


def _outcome(end: str, result: Path, log: Path) -> Any:
    """The result of an ended call, or its error raised; its two files are removed."""
    try:
        if end == "timeout":
            raise ItemError("timeout", "over the wall clock limit")
        if end == "scratch":
            raise ItemError("too_big", "more in its scratch folder than `limits.scratch_mb`")
        tail = _read(log, TAIL_BYTES, from_end=True).decode(errors="replace").strip()
        if end == f"exit {ResourceError.exit_code}":
            raise ResourceError(
                f"{result.parent}: disk or handles ran short; free some, then run the same command again"
            )
        if end == f"exit {WALLESS}":
            raise ResourceError("the walls around a child could not be put up, which stood when its server started")
        if end in (KILLED_SERVER, f"signal {signal.SIGKILL}"):
            raise TransientError("crash", f"{end}: killed from outside (out of memory?)")
        text = _read(result, RESULT_MB * 2**20 + 1)
        if end != "exit 0" or not text:
            raise ItemError("crash", f"{end} {tail}".strip())
        if len(text) > RESULT_MB * 2**20:
            raise ItemError("error", f"result over {RESULT_MB} MB")
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ItemError("error", f"the child left no JSON ({type(error).__name__})") from None
    finally:
        with contextlib.suppress(OSError):  # a folder in their place goes with the scratch
            result.unlink(missing_ok=True)
            log.unlink(missing_ok=True)
    return unpack(said)


def _read(path: Path, most: int, *, from_end: bool = False) -> bytes:
    """The first or last bytes of a plain file; none of what is no file: the child may have put anything there."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if shortage(error):
            raise
        return b""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        return b""
    with open(handle, "rb") as file:
        file.seek(max(found.st_size - most, 0) if from_end else 0)
        return file.read(most)
