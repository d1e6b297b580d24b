"""A long run under kills, and a cluster that loses a node: `python -m tests.faults soak`, by name alone, for it takes a while.

Cases: `kills`, one dataset of 1,000 videos; `node`, two raylets on loopback, of which one is killed while it works.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.digest import contents
from tests.faults import kill_faults
from tests.faults.driver import RECIPE, below
from tests.faults.tally import Asked, Tally
from tests.videos import draw_scenes

VIDEOS, SLICE_VIDEOS, DRAWN = 1000, 40, 8
KILLS, SLICE_KILLS = 30, 4
END_S = 3600.0
NODE_KILLS, NODE_WAIT_S = 3, 120.0


def run(asked: Asked, tally: Tally) -> None:
    """Both end as the undisturbed run."""
    kill_faults.END_S = END_S
    if asked.touches("kills"):
        _soak(asked, tally)
    if asked.touches("node"):
        _nodes(asked, tally)


def _soak(asked: Asked, tally: Tally) -> None:
    links = _videos(asked.scratch / "many", SLICE_VIDEOS if asked.slice else VIDEOS)
    began = time.monotonic()
    whole = asked.scratch / "whole"
    code = kill_faults._finish(whole, links, asked.scratch / "whole.log")
    expected, long_s = contents(whole), time.monotonic() - began
    shutil.rmtree(whole)
    if code != 0:
        tally.fail(f"kills: the undisturbed run ends with {code}")
        return
    most, kill_faults.STRIKES = (SLICE_KILLS, 8) if asked.slice else (KILLS, 2 * KILLS)
    kill_faults._round(asked, "kills", links, expected, long_s * 4 / most, tally)
    if tally.counts.get("kills", 0) < most // 2:
        tally.fail(f"kills: only {tally.counts.get('kills', 0)}: the run is over too soon")


def _videos(folder: Path, count: int) -> Path:
    """Videos of which no two have the same bytes, though many look alike."""
    folder.mkdir()
    for number in range(DRAWN):
        draw_scenes(folder / f"{number:04}.mp4", scene_frames=(16, 14), seed=number, size=(96, 54))
    for number in range(DRAWN, count):
        whole = (folder / f"{number % DRAWN:04}.mp4").read_bytes()
        (folder / f"{number:04}.mp4").write_bytes(whole + b"\0\0\0\x0cfree" + number.to_bytes(4))
    return folder


def _nodes(asked: Asked, tally: Tally) -> None:
    """A run on two raylets loses the one that is not its own: it ends, fine or as the machine's fault, and goes on."""
    from ray.cluster_utils import Cluster

    links = _videos(asked.scratch / "few", DRAWN)
    whole = asked.scratch / "whole-few"
    kill_faults._finish(whole, links, asked.scratch / "few.log")
    expected, log = contents(whole), asked.scratch / "node.log"
    recipe = asked.scratch / "recipe.toml"
    recipe.write_text(RECIPE.to_toml(), encoding="utf-8")
    small: Any = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=small | {"include_dashboard": False})
    try:
        for number in range(1 if asked.slice else NODE_KILLS):
            root, node = asked.scratch / f"node-{number}", cluster.add_node(**small)
            cluster.wait_for_nodes()
            words = [sys.executable, "-m", "hdvg.cli", "run", str(recipe), "--links", str(links), "--out", str(root)]
            with log.open("a") as out:
                run_ = subprocess.Popen(
                    [*words, "--runner", "ray"],
                    stdout=out,
                    stderr=out,
                    env={**os.environ, "RAY_ADDRESS": cluster.address},
                )
                killed = _kill_node(node, run_, asked.chosen("node", number))
                cluster.remove_node(node, allow_graceful=False)
                run_.wait(kill_faults.END_S)
            tally.add("kills", killed)
            if not killed:
                tally.fail(f"node {number}: no job ran on the node that was to be lost")
            if run_.returncode not in (0, 1, 75):
                tally.fail(
                    f"node {number}: a run that lost a node ends with {run_.returncode}: {log.read_text()[-600:]}"
                )
            kill_faults._judge(root, links, log, (f"node {number}", expected), tally)
    finally:
        cluster.shutdown()


def _kill_node(node: Any, run_: subprocess.Popen[bytes], chosen: random.Random) -> int:
    """SIGKILL the node's raylet and all below it while a job runs there; 1, or 0 if none ever did."""
    (raylet,) = (one.process.pid for one in node.all_processes["raylet"])
    until = time.monotonic() + NODE_WAIT_S
    while run_.poll() is None and time.monotonic() < until:
        if any(line.startswith("ray::perform") for _, line in below(raylet)):
            time.sleep(chosen.uniform(0.0, 0.5))
            for pid in [*(one for one, _ in below(raylet)), raylet]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            return 1
        time.sleep(0.02)
    return 0
