"""Inside a limited child process: put up its limits and walls, call, leave the result; and ask the caller for what it may not
do itself."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import re
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Collection
from errno import EACCES, EPERM
from pathlib import Path
from typing import Any, NoReturn

from hdvg.errors import ItemError, ResourceError, causes, short_of_memory, shortage
from hdvg.sandbox import libraries
from hdvg.sandbox.boundary import ANSWER_MB, WALLESS, Limits, failure, unpack
from hdvg.sandbox.seam import served
from hdvg.sandbox.walls import PR_SET_DUMPABLE, Doors, Walls, enclose

PR_SET_PDEATHSIG = 1
REFUSED = re.compile(rf"\[Errno ({EPERM}|{EACCES})\]")
BY_WALL = "; the walls around the child refused this, or the file's owner does: see docs/security.md, and compare with HDVG_SANDBOX=off"


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


def run(job: dict[str, Any], handles: list[int]) -> NoReturn:
    """In the child: put up the limits, then the walls, call, write the result, leave. `handles`: of the call's text, and of the
    channel to its caller if it may ask."""
    global _channel
    scratch = Path(job["scratch"])
    try:
        _confine(scratch, job, keep=handles)
        _channel = socket.socket(fileno=handles[1]) if handles[1:] else None
        with open(handles[0], "rb") as text:
            text.seek(0)
            asked = json.loads(text.read())
        said = _call(job, asked)
        result = json.dumps(said, allow_nan=False)
        (scratch / f"sandbox-{job['id']}.json").write_text(result, encoding="utf-8")
    except BaseException as error:
        short = shortage(error)
        if short and not short_of_memory(short):  # not even the result could be written
            os._exit(ResourceError.exit_code)
        with contextlib.suppress(OSError):
            traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _confine(scratch: Path, job: dict[str, Any], *, keep: Collection[int]) -> None:
    os.setsid()
    _die_with(job["server"])
    os.chdir(scratch)
    log = os.open(scratch / f"sandbox-{job['id']}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for handle in map(int, os.listdir("/proc/self/fd")):
        if handle > 2 and handle not in keep:
            with contextlib.suppress(OSError):  # that of the list itself
                os.close(handle)
    os.environ.clear()
    os.environ.update(HOME=str(scratch), TMPDIR=str(scratch), PATH="", LANG="C.UTF-8")
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


def _die_with(server: int) -> None:
    """Be killed when the server is gone; a change of rights takes this back."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(PR_SET_DUMPABLE, 1)  # its server looks at what it holds open; its likes see no other process
    if os.getppid() != server:
        os._exit(1)


def _call(job: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    enclosed = job["enclosed"] and asked["needs"] != "program"
    try:
        if enclosed:  # before anything is imported that may start threads, which would stand outside
            _enclose(job, asked)
        said = {"ok": served(asked["target"])(**asked["arguments"])}
    except Exception as error:  # the process boundary: whatever a library raises must cross it as data
        said = failure(error, files=[value for value in asked["arguments"].values() if _is_file(value)])
        if enclosed and asked["needs"] == "files" and _is_refused(error) and said["kind"] != "resource":
            said = failure(ItemError("error", said["detail"] + BY_WALL))
    if enclosed and asked["needs"] == "files" and (found := REFUSED.search(str(said.get("ok")))):
        said = failure(ItemError("error", f"{str(said)[max(found.start() - 500, 0) : found.end() + 500]}{BY_WALL}"))
    return said


def _is_file(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and os.path.isfile(value)


def _is_refused(error: BaseException) -> bool:
    return any(isinstance(cause, PermissionError) for cause in causes(error))


def _enclose(job: dict[str, Any], asked: dict[str, Any]) -> None:
    """Put up the walls, from here on for good; those of the server's trial must stand, or the child ends."""
    needs, paths = asked["needs"], asked["paths"]
    code = [place for name in (asked["target"], *paths["code"]) for place in libraries.places_of(name)]
    readable = (*libraries.readable(network=needs == "network"), *code, *paths["reads"])
    writable = (job["scratch"], *paths["writes"])
    stand = enclose(
        Doors(readable, writable, network=needs == "network"), before_filter=lambda: _die_with(job["server"])
    )
    if stand != Walls(**job["walls"]):
        os._exit(WALLESS)
