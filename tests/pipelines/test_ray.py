"""All runners keep one contract; a run may be killed anywhere and ends like an undisturbed one."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray

from hdvg.dataset.dataset import Dataset
from hdvg.errors import ItemError
from hdvg.media.calls import probe
from hdvg.reports.status import HOSTS
from hdvg.reports.verify import verify
from hdvg.sandbox import Limits
from pipelines.cluster import across_nodes
from tests.digest import contents
from tests.marks import leave_mark
from tests.servers import HostileServer, body, serve_folder, silence
from tests.videos import draw_scenes

SETTINGS = [
    "--set",
    "caption.captioner=none",
    "--set",
    "keep.low_resolution=null",
    "--set",
    "keep.too_short=duration_s >= 0.5",
    "--set",
    "keep.static=null",
    "--set",
    "split.segment_s=2",
]


def command(root: Path, links: Path, runner: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "hdvg.cli",
        "run",
        "demo",
        "--links",
        str(links),
        "--out",
        str(root),
        "--runner",
        runner,
        *SETTINGS,
    ]


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory):
    """Six links to small videos on a loopback server, one of them in segments, one dead, one not a video."""
    folder = tmp_path_factory.mktemp("served")
    for number in range(4):
        draw_scenes(folder / f"{number}.mp4", scene_frames=(20, 120 if number == 3 else 15), seed=number)
    (folder / "page.html").write_text("<html><body>no video</body></html>")
    with serve_folder(folder) as server:
        urls = [server.url(f"/{name}") for name in ("0.mp4", "1.mp4", "2.mp4", "3.mp4", "page.html", "gone.mp4")]
        path = folder / "links.txt"
        path.write_text("\n".join(urls))
        yield path


@pytest.fixture(scope="module")
def undisturbed(links, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a serial run without disturbance gives."""
    root = tmp_path_factory.mktemp("serial") / "dataset"
    subprocess.run(command(root, links, "serial"), check=True, capture_output=True)
    assert verify(Dataset.open(root)) == []
    found = contents(root)
    assert len(found["dataset"]) == 8
    assert len(found["failures"]) == 2
    return found


@pytest.mark.parametrize("runner", [pytest.param("ray", marks=pytest.mark.ray), "local"])
def test_every_runner_makes_the_same_dataset(links, undisturbed, tmp_path, runner):
    subprocess.run(command(tmp_path / "d", links, runner), check=True, capture_output=True)
    assert contents(tmp_path / "d") == undisturbed
    assert verify(Dataset.open(tmp_path / "d")) == []
    (figures,) = json.loads((tmp_path / "d" / HOSTS).read_text())["hosts"].values()
    assert (figures["asked"], figures["ok"], figures["refused"]) == (6, 4, {"not_media": 1, "gone": 1})


def processes_of(root: Path) -> list[tuple[int, str]]:
    """Processes that work for the dataset: (pid, kind), kind driver, worker (ray) or child (in the sandbox)."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if where.startswith(f"{root}/tmp"):
            found.append((pid, "child"))
        elif "hdvg.cli run" in line and str(root) in line:
            found.append((pid, "driver"))
        elif line.startswith("ray::perform"):
            found.append((pid, "worker"))
    return found


def its_own(root: Path) -> list[tuple[int, str]]:
    """Processes of a serial run: Ray's workers show no dataset, and belong to the tests beside this one."""
    return [(pid, kind) for pid, kind in processes_of(root) if kind != "worker"]


def disturb(root: Path, links: Path, runner: str, *, kind: str, pauses_s: list[float]) -> int:
    """Start the run; kill one process of a kind, a pause after one shows, for each of the pauses; how many were killed."""
    run = subprocess.Popen(command(root, links, runner), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killed: set[int] = set()
    while pauses_s and run.poll() is None:
        victims = [pid for pid, name in processes_of(root) if name == kind and pid not in killed]
        if not victims:
            time.sleep(0.005)
            continue
        time.sleep(pauses_s.pop(0))
        with contextlib.suppress(ProcessLookupError):
            os.kill(victims[0], signal.SIGKILL)
            killed.add(victims[0])
    run.wait(timeout=120)
    return len(killed)


@pytest.mark.parametrize(
    ("runner", "spans"),
    [
        pytest.param("serial", [(0.3, 1.5)] * 4, marks=pytest.mark.slow),
        ("local", [(1.0, 3.0)] * 2),
        pytest.param("ray", [(7, 10)], marks=pytest.mark.ray),
        pytest.param("ray", [(6, 8), (8, 10)], marks=[pytest.mark.ray, pytest.mark.slow]),
    ],
)
def test_a_driver_killed_at_random_moments_loses_nothing(links, undisturbed, tmp_path, runner, spans):
    root = tmp_path / "d"
    moments = random.Random(runner)
    kills = sum(disturb(root, links, runner, kind="driver", pauses_s=[moments.uniform(*span)]) for span in spans)
    assert kills >= 1  # on a quick machine a resumed run may be over before its turn
    ends_undisturbed(root, links, runner, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["serial", "local"])
def test_killed_decode_and_fetch_children_lose_nothing(links, undisturbed, tmp_path, runner):
    root = tmp_path / "d"
    assert disturb(root, links, runner, kind="child", pauses_s=[0.0, 0.0, 0.02, 0.0, 0.05, 0.0]) >= 1
    ends_undisturbed(root, links, runner, undisturbed)


@pytest.mark.ray
def test_a_killed_ray_worker_loses_nothing(links, undisturbed, tmp_path):
    root = tmp_path / "d"
    assert disturb(root, links, "ray", kind="worker", pauses_s=[0.1, 0.5]) >= 1
    ends_undisturbed(root, links, "ray", undisturbed)


@pytest.mark.ray
@pytest.mark.slow
def test_permits_of_a_killed_worker_come_back(tmp_path):
    """One permit for the only host: the run would wait for it for ever."""
    root = tmp_path / "d"
    with HostileServer() as server:
        first = server.add("/0.mp4", slowly(3.0, body(b"no video")))
        rest = [server.add(f"/{number}.mp4", body(b"no video")) for number in range(1, 4)]
        (tmp_path / "links.txt").write_text("\n".join([first, *rest]))
        alone = ["--cpus", "1", "--set", "fetch.per_host=1", "--set", "run.download_workers=1"]
        with started([*command(root, tmp_path / "links.txt", "ray"), *alone]) as run:
            while not server.hits["/0.mp4"]:
                time.sleep(0.05)
                assert run.poll() is None
            os.kill(next(pid for pid, kind in processes_of(root) if kind == "worker"), signal.SIGKILL)
            assert run.wait(timeout=60) == 0
    with Dataset.open(root).manifest() as manifest:
        assert manifest.one("select count(*) from videos where reason = 'not_media'") == 4


@contextlib.contextmanager
def started(arguments: list[str]):
    """A run that is over at the end, whatever the test found."""
    run = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield run
    finally:
        if run.poll() is None:
            run.kill()
        run.wait()


def slowly(seconds: float, answer):
    """The answer, after a while."""

    def act(request):
        time.sleep(seconds)
        answer(request)

    return act


def ends_undisturbed(root: Path, links: Path, runner: str, undisturbed: dict) -> None:
    """The same command again ends like an undisturbed run, and leaves nothing behind."""
    subprocess.run(command(root, links, runner), check=True, capture_output=True)
    assert contents(root) == undisturbed
    assert verify(Dataset.open(root)) == []
    assert list((root / "tmp").iterdir()) == []


@pytest.mark.parametrize("runner", ["serial", "local"])
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_how_to_go_on_and_leaves_no_process(links, tmp_path, runner, sent, code):
    root = tmp_path / "d"
    heard = functools.partial(
        signal.signal, sent, signal.SIG_DFL
    )  # a shell's background jobs are started deaf to Ctrl-C
    run = subprocess.Popen(command(root, links, runner), stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    while not any(kind == "child" for _, kind in processes_of(root)):
        time.sleep(0.02)
        assert run.poll() is None
    run.send_signal(sent)
    said = run.communicate(timeout=60)[1]
    assert run.returncode == code
    assert "the same command goes on" in said
    deadline = time.monotonic() + 60
    while its_own(root) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert its_own(root) == []


@pytest.mark.parametrize("runner", ["serial", "local"])
def test_a_run_that_waits_for_a_slow_server_stops_at_once(tmp_path, runner):
    with HostileServer() as server:
        links = tmp_path / "links.txt"
        links.write_text("\n".join(server.add(f"/{number}.mp4", silence()) for number in range(3)))
        with started(command(tmp_path / "d", links, runner)) as run:
            while not server.hits["/0.mp4"] + server.hits["/1.mp4"] + server.hits["/2.mp4"]:
                time.sleep(0.02)
                assert run.poll() is None
            run.send_signal(signal.SIGTERM)
            assert run.wait(timeout=12) == 143  # before its server may be given up


@pytest.mark.ray
@pytest.mark.slow
def test_a_thousand_links_run_in_bounded_memory(tmp_path):
    from tests.bench.bench_run import measure

    figures = measure(tmp_path, videos=1000)
    assert figures["ok"] == 1000
    assert figures["driver_peak_mb"] < 700
    assert shutil.disk_usage(tmp_path).free > 0


def test_when_one_segment_fails_those_that_have_not_begun_never_do(tmp_path):
    calls = [(probe(str(tmp_path / "missing.mp4"), 10**6), tmp_path)]
    calls += [(leave_mark(str(tmp_path / f"made-{number}")), tmp_path) for number in range(200)]
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        with pytest.raises(ItemError, match="not_media"):
            across_nodes("adaptive", calls, Limits())
        time.sleep(3)  # time enough for all of them, were they to run
        assert len(list(tmp_path.glob("made-*"))) < 100
    finally:
        ray.shutdown()
