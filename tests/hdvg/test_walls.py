"""The kernel's walls hold against what hostile code would try, tried for real in a child of the sandbox."""

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hdvg.sandbox import Limits, Sandbox
from hdvg.sandbox.seam import in_child_that
from hdvg.sandbox.syscalls import REFUSED, numbers
from hdvg.sandbox.walls import put_up

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache")


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox()
    yield lock
    lock.close()


def try_all(secret: str, inner: list[object], engine: str) -> dict[str, str]:
    """What each escape comes to: "refused", or what it got."""
    walls = put_up([*LIBRARIES, sys.executable, os.path.realpath(sys.executable), "."])
    libc = ctypes.CDLL(None, use_errno=True)
    refused = numbers(REFUSED)

    def connect(family: int, address: object) -> object:
        with socket.socket(family, socket.SOCK_STREAM) as plug:
            return plug.connect(address)

    def call(name: str) -> object:
        ctypes.set_errno(0)
        if libc.syscall(refused[name], 0, 0, 0, 0, 0, 0) < 0 and ctypes.get_errno() == 1:
            raise PermissionError(name)
        return "not refused"

    escapes = {
        "read": lambda: Path(secret).read_text(),
        "environment of the parent": lambda: Path(f"/proc/{os.getppid()}/environ").read_text(),
        "list": lambda: os.listdir(os.path.dirname(secret)),
        "write": lambda: os.open(secret, os.O_WRONLY),
        "make": lambda: os.mkdir(f"{secret}-folder"),
        "remove": lambda: os.unlink(secret),
        "rename": lambda: os.rename(secret, f"{secret}-2"),
        "write beside": lambda: os.open("allowed-to-be-read-only", os.O_WRONLY | os.O_CREAT),
        "program": lambda: subprocess.run(["/bin/sh", "-c", "true"], check=True),
        "a socket that is a file": lambda: connect(socket.AF_UNIX, engine),
        "TCP": lambda: connect(socket.AF_INET, tuple(inner)),
        "TCP 6": lambda: connect(socket.AF_INET6, ("::1", inner[1])),
        "UDP": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "raw": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        **{name: (lambda name=name: call(name)) for name in refused},
    }
    found = {"walls": f"{walls.network}, {walls.files}"}
    for name, escape in escapes.items():
        try:
            found[name] = f"ESCAPED: {escape()!r}"
        except PermissionError:
            found[name] = "refused"
    return found


def still_works() -> list[object]:
    put_up([*LIBRARIES, sys.executable, "."])
    numbers: list[int] = []
    thread = threading.Thread(target=numbers.append, args=(1,))
    thread.start()
    thread.join()
    ours, theirs = socket.socketpair()
    ours.send(b"x")
    return [numbers, theirs.recv(1).decode(), Path("readable").read_text()]


def test_every_escape_is_refused(sandbox, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("canary")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as inner, socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "engine.sock"))
        engine.listen()
        asked = in_a_child_of_its_own(str(secret), list(inner.getsockname()), engine.getsockname())
        # the answer is written behind the walls: the sandbox's own files must lie in a folder that stays open
        found = sandbox.call(asked, scratch, Limits())
    assert found.pop("walls") != "None, None"
    assert {name: said for name, said in found.items() if said != "refused"} == {}
    assert secret.read_text() == "canary"


@in_child_that("program")
def in_a_child_of_its_own(secret: str, inner: list[object], engine: str) -> dict[str, str]:
    """Walls hold for good, and the sandbox's result is a file: they are put up in a fork, which says what it found."""
    return fork_and_tell(lambda: try_all(secret, inner, engine))


@in_child_that("program")
def works_in_a_child() -> list[object]:
    with open("readable", "w") as file:
        file.write("mine")
    return fork_and_tell(still_works)


def fork_and_tell(act):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, json.dumps(act()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        return json.loads(answer.read())


def test_threads_pairs_of_sockets_and_named_files_still_work(sandbox, tmp_path):
    assert sandbox.call(works_in_a_child(), tmp_path, Limits()) == [[1], "x", "mine"]
