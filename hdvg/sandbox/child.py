"""Inside a limited child process: put up its limits, call, leave the result; and ask the caller for what it may not do itself."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from hdvg.errors import ResourceError, short_of_memory, shortage
from hdvg.sandbox.boundary import ANSWER_MB, Limits, failure, unpack
from hdvg.sandbox.seam import served

PR_SET_PDEATHSIG = 1


def ask(question: Any) -> Any:
    """In a child: what its caller answers. Raises the HdvgError that the caller raised, RuntimeError if it answers nothing."""
    if _channel is None:
        raise RuntimeError("the caller of this process answers nothing")
    _channel.sendall(json.dumps(question).encode() + b"\n")
    with _channel.makefile("rb") as answers:
        line = answers.readline(ANSWER_MB * 2**20)
    if not line:
        raise RuntimeError("the caller of this process is gone")
    return unpack(json.loads(line))


_channel: socket.socket | None = None


def run(job: dict[str, Any], channel: int | None) -> NoReturn:
    """In the child: put up the walls, call, write the result, leave."""
    global _channel
    _channel = None if channel is None else socket.socket(fileno=channel)
    scratch = Path(job["scratch"])
    try:
        _confine(scratch, job)
        said = _call(job)
        text = json.dumps(said, allow_nan=False)
        (scratch / f"sandbox-{job['id']}.json").write_text(text, encoding="utf-8")
    except BaseException as error:
        short = shortage(error)
        if short and not short_of_memory(short):  # not even the result could be written
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
    log = os.open(scratch / f"sandbox-{job['id']}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
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
    try:
        return {"ok": served(job["target"])(**job["arguments"])}
    except Exception as error:  # the process boundary: whatever a library raises must cross it as data
        return failure(error, files=[value for value in job["arguments"].values() if _is_file(value)])


def _is_file(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and os.path.isfile(value)
