"""The sandbox gives back results and errors as they were, and ends whatever breaks its limits."""

import errno
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from hdvg.errors import ItemError, ResourceError, TransientError
from hdvg.sandbox import Limits, Sandbox
from hdvg.sandbox.child import ask
from hdvg.sandbox.seam import in_child


@in_child
def echo(**kwargs: object) -> dict[str, object]:
    return {"kwargs": kwargs, "home": os.environ["HOME"], "environment": sorted(os.environ)}


@in_child
def fail(reason: str) -> None:
    if reason == "network":
        raise TransientError(reason, "later", retry_after_s=7.0)
    raise ItemError(reason, "for good")


@in_child
def surprise() -> None:
    raise ValueError("never seen before")


@in_child
def die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@in_child
def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@in_child
def killed_once() -> str:
    if os.path.exists("tried"):
        return "second try"
    open("tried", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@in_child
def hang() -> None:
    time.sleep(60)


@in_child
def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@in_child
def ask_each(questions: list[object]) -> list[object]:
    return [ask(question) for question in questions]


@in_child
def open_files() -> list[str]:
    return sorted(os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists())


@in_child
def ask_and_die() -> None:
    ask("anything")
    os.kill(os.getpid(), signal.SIGSEGV)


@in_child
def eat() -> None:
    bytearray(8 << 30)


@in_child
def spill() -> None:
    with open("big", "wb") as file:
        for _ in range(100):  # without the limit it would fill the disk of whoever tests
            file.write(bytes(1 << 20))


@in_child
def escape() -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open("escaped", "w").close()
        time.sleep(60)
    while not os.path.exists("escaped"):
        time.sleep(0.01)


@in_child
def babble() -> None:
    os.ftruncate(2, 1 << 30)
    os.lseek(2, 0, os.SEEK_END)
    os.write(2, b"last words")
    os.kill(os.getpid(), signal.SIGSEGV)


@in_child
def give_much() -> None:
    (log,) = Path().glob("sandbox-*.log")
    log.with_suffix(".json").write_bytes(bytes(2 << 20))
    os._exit(0)


@in_child
def give_no_file(kind: str) -> None:
    for job in range(100):
        if kind == "link":
            os.symlink("/dev/zero", f"sandbox-{job}.json")
        elif kind == "pipe":
            os.mkfifo(f"sandbox-{job}.json")
        else:
            os.mkdir(f"sandbox-{job}.json")
    os._exit(0)


@in_child
def run_short(how: str) -> None:
    if how == "wrapped":
        try:
            raise OSError(errno.EMFILE, "Too many open files")
        except OSError as error:
            raise ItemError("corrupt", "does not open") from error
    if how == "no result":
        for job in range(100):
            os.symlink("/dev/full", f"sandbox-{job}.json")
        return
    with open("/dev/full", "wb") as file:
        file.write(b"x")


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox()
    yield lock
    lock.close()


@pytest.fixture(scope="module")
def open_sandbox():
    """One without walls, for children that do what walls refuse."""
    lock = Sandbox(mode="off")
    yield lock
    lock.close()


def test_result_and_clean_environment_come_back(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "token")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/passed/on/to/the/server")
    with closing(Sandbox()) as sandbox:
        said = sandbox.call(echo(a=[1, "x"]), tmp_path, Limits())
    assert said["kwargs"] == {"a": [1, "x"]}
    assert said["home"] == str(tmp_path)
    assert set(said["environment"]) <= {
        "HOME",
        "LANG",
        "LC_CTYPE",
        "PATH",
        "TMPDIR",
        "HDVG_PRIVATE_LINKS",
    }  # the last by these tests
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_item_come_back_as_they_were(sandbox, tmp_path):
    with pytest.raises(ItemError) as item:
        sandbox.call(fail("gone"), tmp_path, Limits())
    assert (item.value.reason, item.value.detail) == ("gone", "for good")
    with pytest.raises(TransientError) as transient:
        sandbox.call(fail("network"), tmp_path, Limits())
    assert transient.value.retry_after_s == 7.0


@pytest.mark.parametrize(
    ("function", "reason"),
    [(die, "crash"), (hang, "timeout"), (stop, "timeout"), (eat, "memory"), (surprise, "error")],
)
def test_whatever_breaks_the_walls_ends_with_its_reason(sandbox, tmp_path, function, reason):
    start = time.monotonic()
    with pytest.raises(ItemError) as error:
        sandbox.call(function(), tmp_path, Limits(wall_s=1.0, memory_mb=2048))
    assert error.value.reason == reason
    assert time.monotonic() - start < 30  # of the 60 that one of them would sleep
    assert sandbox.call(echo(), tmp_path, Limits())["kwargs"] == {}


def test_an_endless_result_is_not_read_to_its_end(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr("hdvg.sandbox.RESULT_MB", 1)
    with pytest.raises(ItemError, match="over 1 MB"):
        sandbox.call(give_much(), tmp_path, Limits())


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_result_that_is_no_file_is_not_opened(open_sandbox, tmp_path, kind):
    with pytest.raises(ItemError, match="crash: exit 0"):
        open_sandbox.call(give_no_file(kind), tmp_path, Limits())


@pytest.mark.parametrize("how", ["file", "wrapped", "no result"])
def test_a_full_disk_in_the_child_stops_the_run(open_sandbox, tmp_path, how):
    with pytest.raises(ResourceError):
        open_sandbox.call(run_short(how), tmp_path, Limits())


def test_a_child_killed_from_outside_is_tried_again_and_then_may_be_tried_later(sandbox, tmp_path):
    assert sandbox.call(killed_once(), tmp_path, Limits()) == "second try"
    with pytest.raises(TransientError) as error:
        sandbox.call(killed(), tmp_path, Limits())
    assert error.value.reason == "crash"


def test_a_killed_server_is_started_again(sandbox, tmp_path):
    assert sandbox.call(echo(), tmp_path, Limits())
    sandbox._server.kill()
    assert sandbox.call(echo(a=1), tmp_path, Limits())["kwargs"] == {"a": 1}


def test_a_server_that_cannot_start_stops_the_run(tmp_path):
    with pytest.raises(ResourceError, match=r"no\.such\.module"):
        Sandbox(("no.such.module",)).call(echo(), tmp_path, Limits())


def test_no_file_grows_over_its_limit(sandbox, tmp_path):
    with pytest.raises(ItemError):
        sandbox.call(spill(), tmp_path, Limits(file_mb=2))
    assert (tmp_path / "big").stat().st_size <= 2 << 20


def test_who_leaves_the_session_neither_holds_the_call_nor_outlives_it(open_sandbox, tmp_path):
    start = time.monotonic()
    assert open_sandbox.call(escape(), tmp_path, Limits(wall_s=20)) is None
    assert time.monotonic() - start < 15  # before its time is over
    while _processes_in(tmp_path) and time.monotonic() - start < 60:
        time.sleep(0.02)
    assert not _processes_in(tmp_path)


def test_only_the_end_of_a_long_log_is_read(sandbox, tmp_path):
    tracemalloc.start()
    with pytest.raises(ItemError, match="last words"):
        sandbox.call(babble(), tmp_path, Limits())
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_closing_ends_the_calls_in_flight(tmp_path):
    lock = Sandbox()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(lock.call, hang(), tmp_path, Limits())
        while not list(tmp_path.glob("*.log")):
            time.sleep(0.02)
        lock.close()
        with pytest.raises(ResourceError, match="stopped"):
            call.result(timeout=60)
    assert not _processes_in(tmp_path)


def test_children_die_with_a_killed_parent(tmp_path):
    script = (
        f"import threading,pathlib,time,sys;from hdvg.sandbox import *;from {__name__} import hang;a=Sandbox();"
        "threading.Thread(target=lambda:a.call(hang(),pathlib.Path(sys.argv[1]),Limits()),daemon=True)"
        ".start();time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    while not list(tmp_path.glob("*.log")):
        time.sleep(0.05)
    assert _processes_in(tmp_path)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while _processes_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _processes_in(tmp_path)


def _processes_in(folder: Path) -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd") == str(folder):
                found.append(pid)
        except OSError:
            continue
    return found


# What a child asks


def test_child_is_told_what_its_caller_answers(sandbox, tmp_path):
    asked = []

    def answer(question):
        asked.append(question)
        return {"told": question}

    long = "x" * 5_000_000
    told = sandbox.call(ask_each([1, {"a": None}, long]), tmp_path, Limits(), answer=answer)
    assert told == [{"told": 1}, {"told": {"a": None}}, {"told": long}]
    assert asked == [1, {"a": None}, long]


def test_what_the_caller_refuses_is_raised_in_the_child(sandbox, tmp_path):
    def answer(question):
        raise TransientError("network", "not now", retry_after_s=3.0)

    with pytest.raises(TransientError, match="not now") as failed:
        sandbox.call(ask_each([1]), tmp_path, Limits(), answer=answer)
    assert failed.value.retry_after_s == 3.0


def test_nobody_answers_a_child_without_an_answer(sandbox, tmp_path):
    with pytest.raises(ItemError, match="answers nothing"):
        sandbox.call(ask_each([1]), tmp_path, Limits())


def test_child_that_dies_or_hangs_while_it_may_ask_ends_its_call(sandbox, tmp_path):
    with pytest.raises(ItemError, match="crash"):
        sandbox.call(ask_and_die(), tmp_path, Limits(), answer=lambda question: None)
    with pytest.raises(ItemError, match="timeout"):
        sandbox.call(hang(), tmp_path, Limits(wall_s=0.3), answer=lambda question: None)


def test_each_of_many_children_has_its_own_answers(sandbox, tmp_path):
    def one(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        return sandbox.call(ask_each([number]), folder, Limits(), answer=lambda question: [number, question])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(32))) == [[[number, number]] for number in range(32)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "full"), ResourceError),
        (KeyError("a bug"), ItemError),
        (ResourceError("stop"), ResourceError),
    ],
)
def test_answer_that_fails_is_an_error_of_what_it_says(sandbox, tmp_path, error, kind):
    def answer(question):
        raise error

    with pytest.raises(kind) as failed:
        sandbox.call(ask_each([1]), tmp_path, Limits(), answer=answer)
    assert type(failed.value) is kind


def test_child_holds_nothing_of_its_server_but_its_own_channel(open_sandbox, tmp_path):
    held = open_sandbox.call(open_files(), tmp_path, Limits(), answer=lambda question: None)
    assert sum(name.startswith("socket:") for name in held) == 1, held
    assert not [name for name in held if name.startswith(("pipe:", "anon_inode:"))], held
