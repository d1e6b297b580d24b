"""SIGKILL at random moments, of the driver, its fork server and its children, and a restart at once; a few with Ray."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hdvg.dataset.dataset import Dataset
from hdvg.reports.verify import verify
from tests.digest import contents
from tests.faults.driver import RECIPE, below, start, victims
from tests.faults.moments import differences
from tests.faults.tally import Asked, Tally
from tests.videos import draw_scenes

VIDEOS, KILLS, SLICE_KILLS, RAY_KILLS = 6, 96, 8, 5
KINDS = ("driver", "driver", "driver", "driver", "server", "child")
CHILD_KILLS = 4
"""Most of one dataset: an item whose child dies in five runs is given up, rightly."""
STRIKES = 16
"""Most of one round."""
END_S = 240.0
RAY_KINDS = ("worker", "driver", "raylet", "actor", "worker")
RAY_NAMES = {"worker": "ray::perform", "raylet": "raylet/raylet", "actor": "ray::"}


def run(asked: Asked, tally: Tally) -> None:
    """Rounds of one dataset each, until there were enough kills; each must end as the undisturbed one."""
    links = asked.scratch / "videos"
    links.mkdir()
    for number in range(VIDEOS):
        draw_scenes(links / f"{number}.mp4", scene_frames=(16, 14), seed=number, size=(96, 54))
    began = time.monotonic()
    whole = asked.scratch / "whole"
    _finish(whole, links, asked.scratch / "whole.log")
    expected, long_s = contents(whole), time.monotonic() - began
    most, round_ = SLICE_KILLS if asked.slice else KILLS, 0
    while tally.counts.get("kills", 0) < most:
        name = f"round {round_}"
        if asked.takes(name):
            _round(asked, name, links, expected, long_s, tally)
        elif round_ > most:
            break
        round_ += 1
    if not asked.slice and asked.takes("ray"):
        _with_ray(asked, links, expected, tally)


def _round(asked: Asked, name: str, links: Path, expected: Any, long_s: float, tally: Tally) -> None:
    root, log, chosen = asked.scratch / name.replace(" ", "-"), asked.scratch / f"{name}.log", asked.chosen(name)
    children, driver = 0, None
    for _ in range(STRIKES):
        if driver is None or not driver.is_alive():
            if driver is not None and not _ended(driver, name, log, tally):
                break
            if driver is not None and driver.exitcode == 0:
                break
            driver = start(root, links, log)
        kind = chosen.choice(KINDS if children < CHILD_KILLS else KINDS[:-1])
        killed = _strike(driver, kind, chosen, long_s)
        tally.add("kills", killed)
        children += killed if kind == "child" else 0
        if killed and kind == "driver":
            driver = None  # restarted at once, without waiting for it to be gone
    if driver is not None:
        _ended(driver, name, log, tally)
    _judge(root, links, log, (name, expected), tally)


def _strike(driver: BaseProcess, kind: str, chosen: random.Random, long_s: float) -> int:
    """Kill one process of the kind at a random moment of the run; 1, or 0 if the run was over before."""
    until = time.monotonic() + chosen.uniform(0.05, long_s * (0.5 if kind == "driver" else 0.2))
    while time.monotonic() < until and driver.is_alive():
        time.sleep(0.002)
    assert driver.pid is not None
    while driver.is_alive():
        found = [driver.pid] if kind == "driver" else victims(driver.pid, kind)
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chosen.choice(found), signal.SIGKILL)
                return 1
        time.sleep(0.002)
    return 0


def _ended(driver: BaseProcess, name: str, log: Path, tally: Tally) -> bool:
    """Wait for a driver whose helpers were killed."""
    driver.join(END_S)
    if driver.is_alive():
        driver.kill()
        tally.add("hangs")
        tally.fail(f"{name}: a run whose child or server was killed has no end in {END_S:g} s")
        return False
    if driver.exitcode not in (0, 75):
        tally.fail(
            f"{name}: a run whose child or server was killed ends with {driver.exitcode}: {log.read_text()[-300:]}"
        )
        return False
    return True


def _finish(root: Path, links: Path, log: Path) -> int | None:
    driver = start(root, links, log)
    driver.join(END_S)
    if driver.is_alive():
        driver.kill()
    return driver.exitcode


def _judge(root: Path, links: Path, log: Path, case: tuple[str, Any], tally: Tally) -> None:
    name, expected = case
    told: list[str] = []
    for _ in range(2):  # the second does what a killed child left as `retry`
        code = _finish(root, links, log)
        if code != 0:
            tally.fail(f"{name}: the last run ends with {code}: {log.read_text()[-600:]}")
            return
        told = differences(expected, contents(root))
        if not told:
            break
    for trouble in told:
        tally.add("twice" if trouble.endswith("too much") else "lost")
        tally.fail(f"{name}: {trouble}")
    for problem in verify(Dataset.open(root)):
        tally.fail(f"{name}: verify finds {problem}")
    if left := [path.name for path in (root / "tmp").iterdir()]:
        tally.fail(f"{name}: left in tmp/: {left}")
    tally.add("survived", int(not told))
    shutil.rmtree(root)


def _with_ray(asked: Asked, links: Path, expected: Any, tally: Tally) -> None:
    """One kill of each kind in a run on Ray; the same command after it, serial, ends as the undisturbed run."""
    recipe, log = asked.scratch / "recipe.toml", asked.scratch / "ray.log"
    recipe.write_text(RECIPE.to_toml(), encoding="utf-8")
    for number, kind in enumerate(RAY_KINDS[:RAY_KILLS]):
        root, chosen = asked.scratch / f"ray-{number}", asked.chosen("ray", number)
        words = [sys.executable, "-m", "hdvg.cli", "run", str(recipe), "--links", str(links), "--out", str(root)]
        with log.open("a") as out:
            run_ = subprocess.Popen([*words, "--runner", "ray"], stdout=out, stderr=out)
            killed = _strike_ray(run_, kind, chosen)
            run_.wait(END_S)
        tally.add("kills", killed)
        if killed and kind in ("raylet", "driver") and run_.returncode == 0:
            tally.fail(f"ray {number}: a run whose {kind} was killed says that all is well")
        _judge(root, links, log, (f"ray {number} {kind}", expected), tally)


def _strike_ray(driver: subprocess.Popen[bytes], kind: str, chosen: random.Random) -> int:
    until = time.monotonic() + END_S
    while driver.poll() is None and time.monotonic() < until:
        lines = list(below(driver.pid))
        working = [one for one, line in lines if line.startswith(RAY_NAMES["worker"])]
        found = [driver.pid] if kind == "driver" else [one for one, line in lines if RAY_NAMES[kind] in line]
        if working and found:
            time.sleep(chosen.uniform(0.0, 1.5))
            with contextlib.suppress(ProcessLookupError):
                os.kill(chosen.choice(found), signal.SIGKILL)
                return 1
        time.sleep(0.02)
    return 0
