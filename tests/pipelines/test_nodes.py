"""Nodes that are lost and nodes that join, on real raylets: a run on them ends as an undisturbed one."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hdvg.config.recipe import load_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.reports.verify import verify
from pipelines.node_traits import OURS
from pipelines.run import Task, run
from pipelines.where import Where
from tests.digest import contents
from tests.faults.driver import below
from tests.videos import draw_scenes

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
VIDEOS = 6
WAIT_S, END_S = 120.0, 400.0
HEAD_S = 59.0
"""A minute after its head is gone Ray ends a process by itself."""
SMALL: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
RECIPE = """
name = "nodes"
[caption]
captioner = "slow.py:Slow"
[cut]
preset = "ultrafast"
"""
SLOW = '''
import os, time
from hdvg.captioners import Written

class Slow:
    """Takes its time on the cluster, so that both nodes have one and it is busy when its node is lost."""
    name = model = "slow"

    def __init__(self, settings):
        self.batch = 1

    def prepare(self, shot):
        return len(shot.keyframes)

    def write(self, prepared):
        time.sleep(float(os.environ.get("SLOW_S", "0")))
        return [Written({"short": f"{count} pictures of it"}) for count in prepared]
'''


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos, a recipe, and a captioner that is slow."""
    folder = tmp_path_factory.mktemp("material")
    (folder / "videos").mkdir()
    for number in range(VIDEOS):
        draw_scenes(folder / f"videos/{number}.mp4", scene_frames=(16, 14), seed=number, size=(96, 54))
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "slow.py").write_text(SLOW)
    return folder


@pytest.fixture(scope="module")
def undisturbed(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a serial run gives."""
    root = tmp_path_factory.mktemp("serial") / "d"
    with contextlib.chdir(material):
        recipe = load_recipe(material / "recipe.toml")
        task = Task(links=[str(material / "videos")], where=Where("serial"))
        assert run(root, recipe, task, Console(file=io.StringIO()))
    found = contents(root)
    assert len(found["captions"]) == 2 * VIDEOS
    return found


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head of one core."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLOW_S", "4")
        started = Cluster(initialize_head=True, head_node_args=SMALL | {"include_dashboard": False})
        yield started
        started.shutdown()


@contextlib.contextmanager
def running(material: Path, root: Path, cluster: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`hdvg run` on the cluster; what it says goes to `said` beside the dataset."""
    words = [sys.executable, "-m", "hdvg.cli", "run", "recipe.toml", "--links", "videos", "--out", str(root)]
    with (root.parent / "said").open("w") as out:
        one = subprocess.Popen([*words, "--address", cluster.address], stdout=out, stderr=out, cwd=material)
        try:
            yield one
        finally:
            if one.poll() is None:
                one.kill()
            one.wait()


def raylet_of(node: Any) -> int:
    (raylet,) = (one.process.pid for one in node.all_processes["raylet"])
    return int(raylet)


def wait_until(true: Callable[[], bool], one: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + WAIT_S
    while not true():
        assert one.poll() is None, "the run is over too soon"
        assert time.monotonic() < until
        time.sleep(0.02)


def works(node: Any, at: str) -> bool:
    """Whether a process of the node is busy with that."""
    return any(line.startswith(f"ray::{at}") for _, line in below(raylet_of(node)))


def lose(cluster: Any, node: Any) -> None:
    """SIGKILL for the node's raylet and all below it."""
    raylet = raylet_of(node)
    for pid in [raylet, *(one for one, _ in below(raylet))]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)


def ends_as(undisturbed: Any, root: Path, one: subprocess.Popen[bytes]) -> str:
    """The run ends well, with all that an undisturbed one has; returns what it said."""
    code = one.wait(END_S)
    said = (root.parent / "said").read_text()
    assert code == 0, said
    assert contents(root) == undisturbed
    assert verify(Dataset.open(root)) == []
    return said


@pytest.mark.parametrize("at", ["perform_here", "ModelWorker.perform"])
def test_a_lost_node_is_a_retry_whatever_it_held(material, undisturbed, cluster, tmp_path, at):
    """The run itself ends well, nothing is said against an item, and no try is counted."""
    node, root = cluster.add_node(**SMALL), tmp_path / "d"
    cluster.wait_for_nodes()
    with running(material, root, cluster) as one:
        wait_until(lambda: works(node, at), one)
        lose(cluster, node)
        said = ends_as(undisturbed, root, one)
    assert "2 nodes, 2 CPUs: " in said
    with Dataset.open(root).manifest() as manifest:
        assert manifest.one("select count(*) from failures") == 0
        for stage in ("split", "caption"):
            assert manifest.one(f"select max(attempt) from {stage}_rows") == 1, stage


def test_a_node_that_joins_gets_work(material, undisturbed, cluster, tmp_path):
    root = tmp_path / "d"
    with running(material, root, cluster) as one:
        wait_until(lambda: works(cluster.head_node, "perform_here"), one)
        node = cluster.add_node(**SMALL)
        try:
            wait_until(lambda: works(node, "perform_here"), one)
            wait_until(lambda: works(node, "ModelWorker.perform"), one)
            said = ends_as(undisturbed, root, one)
        finally:
            cluster.remove_node(node)
    assert "1 node, 1 CPU: " in said
    assert "has joined: 1 CPU" in said


@pytest.mark.parametrize("killed", ["gcs_server", "all of its machine"])
def test_a_lost_head_ends_the_run_to_be_taken_up_again(material, undisturbed, cluster, tmp_path, killed):
    """With exit code 75, in a sentence, before Ray ends it without one; the same command goes on, here without a cluster."""
    head, node, root = cluster.head_node, cluster.add_node(**SMALL), tmp_path / "d"
    cluster.wait_for_nodes()
    with running(material, root, cluster) as one:
        wait_until(lambda: works(node, "perform_here"), one)
        (gcs,) = (process.process.pid for process in head.all_processes["gcs_server"])
        below_it = [raylet_of(head), *(pid for pid, _ in below(raylet_of(head)))] if killed != "gcs_server" else []
        for pid in [gcs, *below_it]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert one.wait(HEAD_S) == 75, (tmp_path / "said").read_text()
    said = (tmp_path / "said").read_text()
    assert "does not answer any more; all that was done is kept" in " ".join(said.split())
    assert "Traceback" not in said
    with contextlib.chdir(material):
        task = Task(links=[str(material / "videos")], where=Where("serial"))
        assert run(root, load_recipe(material / "recipe.toml"), task, Console(file=io.StringIO()))
    assert contents(root) == undisturbed


def test_a_node_with_other_code_is_named_before_anything_runs(material, cluster, tmp_path):
    """The second node is started in an environment with a copy of hdvg, of which one file is another."""
    for package in OURS:
        shutil.copytree(ROOT / package, tmp_path / "copy" / package)
    (tmp_path / "copy/hdvg/ids.py").write_text((ROOT / "hdvg/ids.py").read_text() + "\n")
    node = cluster.add_node(**SMALL, env_vars={"PYTHONPATH": str(tmp_path / "copy")})
    try:
        cluster.wait_for_nodes()
        with running(material, tmp_path / "d", cluster) as one:
            assert one.wait(END_S) == 2
    finally:
        cluster.remove_node(node)
    said = " ".join((tmp_path / "said").read_text().split())
    assert re.search(r"node \S+ \(\S+\): hdvg: 0.1.0, code \w+ there, 0.1.0, code \w+ here install the same", said), (
        said
    )
    with Dataset.open(tmp_path / "d").manifest() as manifest:
        assert manifest.one("select count(*) from pending where stage = 'download'") == VIDEOS
