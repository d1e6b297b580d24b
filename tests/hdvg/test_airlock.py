"""The airlock gives back results and errors as they were, and ends whatever breaks its limits."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hdvg.airlock import Airlock, Limits
from hdvg.errors import ItemError, ResourceError, TransientError

HERE = "tests.hdvg.test_airlock"


def echo(**kwargs: object) -> dict[str, object]:
    return {"kwargs": kwargs, "home": os.environ["HOME"], "secret": os.environ.get("SECRET")}


def fail(reason: str) -> None:
    if reason == "network":
        raise TransientError(reason, "later", retry_after_s=7.0)
    raise ItemError(reason, "for good")


def surprise() -> None:
    raise ValueError("never seen before")


def die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once() -> str:
    if os.path.exists("tried"):
        return "second try"
    open("tried", "w").close()
    killed()
    return "never"


def hang() -> None:
    time.sleep(60)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def eat() -> None:
    bytearray(8 << 30)


def spill() -> None:
    with open("big", "wb") as file:
        while True:
            file.write(bytes(1 << 20))


@pytest.fixture(scope="module")
def airlock():
    lock = Airlock()
    yield lock
    lock.close()


def test_result_and_clean_environment_come_back(airlock, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "token")
    said = airlock.call(f"{HERE}:echo", {"a": [1, "x"]}, tmp_path, Limits())
    assert said == {"kwargs": {"a": [1, "x"]}, "home": str(tmp_path), "secret": None}
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_item_come_back_as_they_were(airlock, tmp_path):
    with pytest.raises(ItemError) as item:
        airlock.call(f"{HERE}:fail", {"reason": "gone"}, tmp_path, Limits())
    assert (item.value.reason, item.value.detail) == ("gone", "for good")
    with pytest.raises(TransientError) as transient:
        airlock.call(f"{HERE}:fail", {"reason": "network"}, tmp_path, Limits())
    assert transient.value.retry_after_s == 7.0


@pytest.mark.parametrize(
    ("function", "reason"),
    [("die", "crash"), ("hang", "timeout"), ("stop", "timeout"), ("eat", "memory"), ("surprise", "error")],
)
def test_whatever_breaks_the_walls_ends_with_its_reason(airlock, tmp_path, function, reason):
    start = time.monotonic()
    with pytest.raises(ItemError) as error:
        airlock.call(f"{HERE}:{function}", {}, tmp_path, Limits(wall_s=1.0, memory_mb=2048))
    assert error.value.reason == reason
    assert time.monotonic() - start < 5
    assert airlock.call(f"{HERE}:echo", {}, tmp_path, Limits())["kwargs"] == {}


def test_a_child_killed_from_outside_is_tried_again_and_then_may_be_tried_later(airlock, tmp_path):
    assert airlock.call(f"{HERE}:killed_once", {}, tmp_path, Limits()) == "second try"
    with pytest.raises(TransientError) as error:
        airlock.call(f"{HERE}:killed", {}, tmp_path, Limits())
    assert error.value.reason == "crash"


def test_a_killed_server_is_started_again(airlock, tmp_path):
    assert airlock.call(f"{HERE}:echo", {}, tmp_path, Limits())
    airlock._server.kill()
    assert airlock.call(f"{HERE}:echo", {"a": 1}, tmp_path, Limits())["kwargs"] == {"a": 1}


def test_a_server_that_cannot_start_stops_the_run(tmp_path):
    with pytest.raises(ResourceError, match=r"no\.such\.module"):
        Airlock(("no.such.module",)).call("platform:system", {}, tmp_path, Limits())


def test_no_file_grows_over_its_limit(airlock, tmp_path):
    with pytest.raises(ItemError):
        airlock.call(f"{HERE}:spill", {}, tmp_path, Limits(file_mb=2))
    assert (tmp_path / "big").stat().st_size <= 2 << 20


def test_children_die_with_a_killed_parent(tmp_path):
    script = (
        "import threading,pathlib,time,sys;from hdvg.airlock import *;a=Airlock();"
        f"threading.Thread(target=lambda:a.call('{HERE}:hang',{{}},pathlib.Path(sys.argv[1]),Limits()),daemon=True)"
        ".start();time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    while not list(tmp_path.glob("*.log")):
        time.sleep(0.05)
    assert _processes_in(tmp_path)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
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
