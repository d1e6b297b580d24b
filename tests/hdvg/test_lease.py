"""File systems that lack something: a lease where files cannot be locked, and plain words where they cannot be linked."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.dataset import lease
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.lease import Lease, Terms
from hdvg.dataset.store import Store
from hdvg.errors import ResourceError, UsageError
from hdvg.planning import make_plan

LOCKLESS = """
import ctypes, sys
from hdvg.sandbox import seccomp, syscalls
flock, code = syscalls.numbers(syscalls.ALLOWED)["flock"], int(sys.argv.pop(1))
steps = [*seccomp._opening(), (seccomp.EQUAL, 0, 1, flock), (seccomp.GIVE, 0, 0, 0x00050000 | code), seccomp.PASS]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and seccomp._put_up(libc, seccomp._packed(steps))
"""
"""A kernel that answers flock with an error, as file systems without locks do."""
LINKLESS = """
import os, sys
code, across, link = int(sys.argv.pop(1)), sys.argv.pop(1) == "across", os.link
def refuse(source, target, **words):
    if across and os.path.dirname(source) == os.path.dirname(target):
        return link(source, target, **words)
    raise OSError(code, os.strerror(code), str(source), None, str(target))
os.link = refuse
"""
"""A file system without links, or without those from one folder to another."""
COMMAND = "from hdvg.cli import main\nmain()\n"
DOCTOR = """
import sys
from pathlib import Path
from hdvg.reports.file_system import examine_folder
for one in examine_folder(Path(sys.argv[1])):
    print(one.check, one.state, one.found, sep="|")
"""


def child(script: str, *words: object) -> tuple[int, str]:
    command = [sys.executable, "-c", script, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def prepared(root: Path) -> Dataset:
    dataset = Dataset(root, make_plan(parse_recipe({})), Store(root, run="first"))
    dataset.store.begin()
    dataset.prepare()
    dataset.store.end()
    return dataset


def newest(root: Path) -> Path:
    named = (
        path for path in (root / lease.FOLDER).iterdir() if path.name.isdigit()
    )  # beside one that is being written
    return max(named, key=lambda path: int(path.name))


def until(root: Path) -> float:
    return float(json.loads(newest(root).read_text())["until"])


def of_another_host(root: Path, *, until: float) -> None:
    """Make the newest lease one that a run elsewhere holds until then, in seconds since 1970."""
    path = newest(root)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "elsewhere", "until": until}))


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_files_cannot_be_locked_one_run_at_a_time_holds_a_lease(tmp_path, code):
    dataset = prepared(tmp_path)
    status, text = child(LOCKLESS + COMMAND, code, "gc", tmp_path, "--remove")
    assert (status, "Traceback" in text) == (0, False), text
    assert [path.name for path in (tmp_path / lease.FOLDER).iterdir()] == ["1"]
    assert lease.holder(tmp_path) is None, "let go at its end"
    with lease.hold(tmp_path, "mine"):
        status, text = child(LOCKLESS + COMMAND, code, "gc", tmp_path, "--remove")
        assert status == UsageError.exit_code
        assert f"run mine, pid {os.getpid()}" in text
        assert dataset.store.is_locked()
        with pytest.raises(UsageError, match="by a lease"), dataset.store.lock():
            pass
    assert not dataset.store.is_locked()


def test_a_file_system_whose_locks_fail_is_named_with_the_next_step(tmp_path):
    prepared(tmp_path)
    status, text = child(LOCKLESS + COMMAND, errno.ENOLCK, "gc", tmp_path, "--remove")
    assert (status, "Traceback" in text) == (ResourceError.exit_code, False)
    assert f"cannot lock run.lock now ({os.strerror(errno.ENOLCK)})" in text
    assert "another --out" in text


def test_a_lease_is_renewed_and_that_of_a_killed_run_is_taken_over(tmp_path):
    terms = Terms(renew_s=0.1, hold_s=60, skew_s=30)
    with lease.hold(tmp_path, "one", terms) as held:
        first, given_up = until(tmp_path), time.monotonic() + 60
        while until(tmp_path) == first:
            assert time.monotonic() < given_up, "it is never renewed"
            time.sleep(0.05)
        held.refuse_lost()
        with pytest.raises(UsageError, match="run one"):
            Lease(tmp_path, "two", terms)
    killed = "import sys, os, pathlib\nfrom hdvg.dataset.lease import Lease\nLease(pathlib.Path(sys.argv[1]), 'killed')\nos.kill(os.getpid(), 9)"
    assert child(killed, tmp_path)[0] == -9
    Lease(tmp_path, "two", terms)  # on one host at once


def test_another_hosts_lease_is_over_when_its_time_is_by_more_than_clocks_differ(tmp_path):
    terms = Terms(hold_s=60, skew_s=30)
    Lease(tmp_path, "two", terms)
    of_another_host(tmp_path, until=time.time() - 10)
    with pytest.raises(UsageError, match=r"run two, .* on elsewhere"):
        Lease(tmp_path, "three", terms)
    of_another_host(tmp_path, until=time.time() - 31)
    Lease(tmp_path, "three", terms)


def test_of_many_that_find_a_lease_over_one_gets_it(tmp_path):
    for turn in range(50):
        found: list[str] = []
        start = threading.Barrier(8)

        def take(name: str, found: list[str] = found, start: threading.Barrier = start) -> None:
            start.wait()
            try:
                Lease(tmp_path, name)
                found.append(name)
            except UsageError:
                pass

        threads = [threading.Thread(target=take, args=(f"{turn}-{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 1
        of_another_host(tmp_path, until=0)


LOSING = """
import json
from pathlib import Path
from hdvg.dataset import run_lock
from hdvg.dataset.store import Store
root = Path(sys.argv[1])
store = Store(root, run="first")
with store.lock():
    store.begin()
    store.publish("one", lambda path: path.write_text("1"))
    (root / "run.lease/2").write_text((root / "run.lease/1").read_text())
    run_lock._leases[root].renew()
    for act in (lambda: Store(root, run="first").publish("two", lambda path: path.write_text("2")), lambda: store.remove("one")):
        try:
            act()
        except Exception as error:
            print(type(error).__name__, error)
"""


def test_a_run_that_has_lost_its_lease_changes_nothing_more(tmp_path):
    _, text = child(LOCKLESS + LOSING, errno.ENOSYS, tmp_path)
    lost = f"{tmp_path}: this run has lost its lease on the dataset (another run has taken it over)"
    assert text.count(f"ResourceError {lost}") == 2, text
    assert f"hdvg.errors.ResourceError: {lost}" in text, "nor does it end as if all were well"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["one", "run.lock"]


@pytest.mark.parametrize(("code", "where"), [(errno.EPERM, "all"), (errno.EXDEV, "across"), (errno.EOPNOTSUPP, "all")])
def test_a_file_system_without_links_is_named_and_what_has_them(tmp_path, code, where):
    (tmp_path / "links.txt").write_text("https://example.com/a.mp4\n")
    words = ["run", "demo", "--links", tmp_path / "links.txt", "--out", tmp_path / "d", "--runner", "serial"]
    status, text = child(LINKLESS + COMMAND, code, where, *words)
    text = " ".join(text.split())
    assert status == ResourceError.exit_code
    assert os.strerror(code) in text
    assert "hard links from one folder to another" in text
    assert "free space" not in text


def test_doctor_tries_links_across_folders_and_locks_in_the_datasets_folder(tmp_path):
    def found(script: str, *words: object) -> dict[str, str]:
        status, text = child(script, *words, tmp_path / "not" / "yet")
        assert status == 0, text
        return {line.split("|")[0]: line.partition("|")[2] for line in text.splitlines()}

    fine = found(DOCTOR)
    assert {line.partition("|")[0] for line in fine.values()} == {"ok"}
    assert str(tmp_path) in fine["free space"]
    across = found(LINKLESS + DOCTOR, errno.EXDEV, "across")
    assert across["hard links"].startswith("ok")
    assert across["hard links across folders"].startswith(f"bad|{os.strerror(errno.EXDEV)}: no file can be published")
    lockless = found(LOCKLESS + DOCTOR, errno.ENOSYS)
    assert lockless["file locks"].startswith(f"note|{os.strerror(errno.ENOSYS)}: a run holds a lease instead")
    assert found(LOCKLESS + DOCTOR, errno.ENOLCK)["file locks"].startswith("bad|")
    assert list(tmp_path.iterdir()) == [], "nothing is left"
