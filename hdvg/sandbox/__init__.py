"""Run one function on untrusted data in a fresh, limited child process, cheaply.

A server process imports the heavy modules once; each call is a fork of it in a session of its own, with hard limits, an
empty environment and its scratch folder as the current one. A crash, a hang or a bomb costs one call. Only JSON comes back,
and a child may ask its caller for what it may not do itself (`ask`), if the caller answers.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hdvg.errors import ItemError, ResourceError, TransientError
from hdvg.sandbox.boundary import QUESTION_MB, Limits, failure, unpack
from hdvg.sandbox.seam import Call, Result

RESULT_MB = 256
TAIL_BYTES = 2000
KILLED_SERVER = "signal to the server"


__all__ = ["Answer", "Call", "Limits", "Sandbox"]

Answer = Callable[[Any], Any]
"""From the question of a child, JSON, to its answer, JSON; the HdvgError it raises is raised in the child."""


class Sandbox:
    """A client of one fork server; thread-safe, started at the first call."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._preload = tuple(preload)
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._jobs: socket.socket | None = None
        self._waiting: dict[int, Future[str]] = {}
        self._ids = itertools.count()
        self.closed = threading.Event()

    def call(self, call: Call[Result], scratch: Path, limits: Limits, *, answer: Answer | None = None) -> Result:
        """Return what a function (`hdvg.sandbox.seam`) returns, run inside the walls; what it asks meanwhile is answered
        by `answer`, in this thread.

        A child that dies by a signal is tried once more. Raises the ItemError or TransientError the function raised,
        else ItemError with reason timeout, memory, crash (it died both times; TransientError if it was killed from
        outside, which says nothing about the item) or error (any other exception, whose traceback is the detail; or a
        result that is not of the declared type).
        Raises ResourceError if disk or handles ran short in the child, or the sandbox is closed.
        """
        end, result, log = self._once(call, scratch, limits, answer)
        if end.startswith("signal"):
            end, result, log = self._once(call, scratch, limits, answer)
        return call.checked(_outcome(end, result, log))

    def _once(self, call: Call[Any], scratch: Path, limits: Limits, answer: Answer | None) -> tuple[str, Path, Path]:
        ended: Future[str] = Future()
        ours, theirs = socket.socketpair() if answer else (None, None)
        with self._lock:
            if self.closed.is_set():
                raise ResourceError("the run is being stopped")
            jobs = self._start()
            job = next(self._ids)
            self._waiting[job] = ended
            line = {"id": job, "target": call.target, "arguments": call.arguments, "scratch": str(scratch)}
            text = json.dumps(line | {"limits": asdict(limits), "asks": theirs is not None}).encode() + b"\n"
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
        return ended.result(), scratch / f"sandbox-{job}.json", scratch / f"sandbox-{job}.log"

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
                [sys.executable, "-m", "hdvg.sandbox.server", *self._preload],
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
        while question := questions.readline(QUESTION_MB * 2**20):
            reply = _answer_one(answer, json.loads(question))
            channel.sendall(json.dumps(reply).encode() + b"\n")


def _answer_one(answer: Answer, question: Any) -> dict[str, Any]:
    """The reply to a child; an error of the answer is raised in it."""
    try:
        return {"ok": answer(question)}
    except Exception as error:  # else the child would get no reply, and its item take the blame
        return failure(error, limited=False)


def _outcome(end: str, result: Path, log: Path) -> Any:
    """The result of an ended call, or its error raised; its two files are removed."""
    try:
        if end == "timeout":
            raise ItemError("timeout", "over the wall clock limit")
        tail = _tail(log)
        if end == f"exit {ResourceError.exit_code}":
            raise ResourceError(
                f"{result.parent}: disk or handles ran short; free some, then run the same command again"
            )
        if end in (KILLED_SERVER, f"signal {signal.SIGKILL}"):
            raise TransientError("crash", f"{end}: killed from outside (out of memory?)")
        if end != "exit 0" or not result.exists():
            raise ItemError("crash", f"{end} {tail}".strip())
        with result.open("rb") as file:
            text = file.read(RESULT_MB * 2**20 + 1)  # the child may have put anything there
        if len(text) > RESULT_MB * 2**20:
            raise ItemError("error", f"result over {RESULT_MB} MB")
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ItemError("error", f"the child left no JSON ({type(error).__name__})") from None
    finally:
        result.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
    return unpack(said)


def _tail(log: Path) -> str:
    """The last words of a child, however much it said."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - TAIL_BYTES, 0))
        return file.read(TAIL_BYTES).decode(errors="replace").strip()
