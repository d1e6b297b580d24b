"""How much the driver costs per video, on Ray, over a list of tiny generated videos fetched from loopback by yt-dlp.

Run: python -m tests.bench.bench_run [--videos 1000] [--cpus 2]. The last line is one JSON object:
`videos`, `ok`, `seconds`, `videos_per_s`, `driver_cpu_ms_per_video`, `driver_peak_mb`, `all_peak_mb`,
`work_share`: seconds inside stages over seconds the CPUs had (over 1: downloads wait for the network side by side).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from pipelines.perform import Done
from pipelines.run import Task, run
from pipelines.where import Where
from tests.videos import draw_scenes

RECIPE = {"name": "bench", "caption": {"captioner": "none"}, "fetch": {"per_host": 16}}


class Timed(Where):
    """Where, with the seconds inside stages summed up."""

    spent: list[float]

    def make(self, recipe, say):
        runner = super().make(recipe, say)

        def timed(order, report):
            def note(done: Done) -> None:
                self.spent.append(done.seconds)
                report(done)

            runner(order, note)

        return timed


def measure(folder: Path, *, videos: int, cpus: int | None = None) -> dict[str, float]:
    """Run the graph over `videos` tiny videos in `folder`; the figures."""
    served = folder / "served"
    served.mkdir()
    for number in range(videos):
        draw_scenes(served / f"{number}.mp4", scene_frames=(12, 12), seed=number)
    peak = Peak()
    before = resource.getrusage(resource.RUSAGE_SELF)
    where = Timed(runner="ray", cpus=cpus)
    object.__setattr__(where, "spent", [])
    start = time.monotonic()
    with served_elsewhere(served) as base, peak:
        (folder / "links.txt").write_text("\n".join(f"{base}/{number}.mp4" for number in range(videos)))
        run(
            folder / "dataset",
            parse_recipe(RECIPE),
            Task(links=[str(folder / "links.txt")], where=where),
            Console(file=io.StringIO()),
        )
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    driver_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with Dataset.open(folder / "dataset").manifest() as manifest:
        ok = manifest.one("select count(*) from videos where status = 'ok'")
    return {
        "videos": videos,
        "ok": ok,
        "seconds": round(seconds, 1),
        "videos_per_s": round(videos / seconds, 2),
        "driver_cpu_ms_per_video": round(1000 * driver_s / videos, 2),
        "driver_peak_mb": round(peak.own_mb),
        "all_peak_mb": round(peak.all_mb),
        "work_share": round(sum(where.spent) / seconds / (cpus or os.cpu_count() or 1), 2),
    }


SERVER = """
import pathlib, sys
from tests.servers import serve_folder
with serve_folder(pathlib.Path(sys.argv[1])) as server:
    print(server.url(""), flush=True)
    sys.stdin.read()
"""


@contextmanager
def served_elsewhere(folder: Path) -> Iterator[str]:
    """A web server in a process of its own, so that its work does not count as the driver's; its address."""
    command = [sys.executable, "-c", SERVER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


class Peak:
    """Samples the memory of this process and of all it started (proportional shares); a context manager."""

    def __enter__(self) -> Peak:
        self.own_mb = self.all_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            sizes = {pid: _pss_mb(pid) for pid in filter(str.isdigit, os.listdir("/proc")) if _is_ours(pid)}
            self.own_mb = max(self.own_mb, sizes.get(str(os.getpid()), 0.0))
            self.all_mb = max(self.all_mb, sum(sizes.values()))


def _is_ours(pid: str) -> bool:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return pid == str(os.getpid()) or any(word in line for word in (b"ray", b"gcs_server", b"hdvg"))


def _pss_mb(pid: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--cpus", type=int)
    args = parser.parse_args()
    print(
        f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(f"input: {args.videos} generated videos of 24 frames in two shots, over loopback HTTP; one run, no spread")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), videos=args.videos, cpus=args.cpus)))


if __name__ == "__main__":
    main()
