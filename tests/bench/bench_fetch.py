"""What a fetch costs, over many small videos on loopback: CPU a video and videos a second, beside the yt-dlp command itself.

Run: python -m tests.bench.bench_fetch [--videos 120] [--repeats 3] [--part cost,rate,sections]. Parts: `cost` fetches every
video once, then the same ones with `yt-dlp`, one process each, as many at once; `rate` is a host that takes so many fetches
a minute; `sections` are lists of HD-VG's shape. The last line is one JSON object: `fetch_cpu_ms_per_video`,
`videos_per_s_loopback`, `cpu_over_yt_dlp` (below 1: less CPU than the command), `settled_rate_error`, `bytes_saved_share`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from hdvg.config.fetch import Fetch
from hdvg.errors import ItemError
from hdvg.sandbox import Sandbox
from hdvg.sources.fetch import PRELOAD, fetch
from hdvg.sources.hosts import HostGate
from tests.bench.bench_run import served_elsewhere
from tests.bench.machine import describe, spread
from tests.bench.sections import STATED, saved
from tests.servers import HostileServer, body, page, throttled

AT_ONCE = 4
FILE_KB = 200
ACCEPTED_PER_MIN = (60, 120, 240)
SPENT_S = 60.0


def cpu_s() -> float:
    """CPU seconds of this process and of its children that are over."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def timed(do: Callable[[int], object], videos: int) -> tuple[float, float]:
    """CPU milliseconds a video, and videos a second, of `AT_ONCE` at once."""
    before, start = cpu_s(), time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(do, range(videos)))
    return 1000 * (cpu_s() - before) / videos, videos / (time.perf_counter() - start)


def cost(folder: Path, *, videos: int) -> dict[str, tuple[float, float]]:
    """(CPU ms a video, videos a second) of ours and of the command, over the same files."""
    served = folder / "served"
    served.mkdir()
    for number in range(videos):
        data = random.Random(number).randbytes(FILE_KB * 1024)
        (served / f"{number}.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + data)
    with served_elsewhere(served) as base:
        ours = _ours(folder, base, videos)
        theirs = timed(lambda number: _command(folder, f"{base}/{number}.mp4"), videos)
    return {"hdvg": ours, "yt-dlp": theirs}


def _ours(folder: Path, base: str, videos: int) -> tuple[float, float]:
    """The sandbox's server ends with the fetches, so that its children's CPU counts; its start counts too."""
    sandbox, gate, settings = Sandbox(preload=PRELOAD), HostGate(AT_ONCE, 0.0, 60.0), Fetch(per_host=AT_ONCE)

    def one(number: int) -> None:
        got = fetch(f"{base}/{number}.mp4", scratch=folder, settings=settings, sandbox=sandbox, gate=gate)
        shutil.rmtree(got.path.parent)

    before, start = cpu_s(), time.perf_counter()
    timed(one, videos)
    seconds = time.perf_counter() - start
    sandbox.close()
    return 1000 * (cpu_s() - before) / videos, videos / seconds


def _command(folder: Path, link: str) -> None:
    out = folder / f"out-{link.rpartition('/')[2]}"
    asked = [sys.executable, "-m", "yt_dlp", "--ignore-config", "--quiet", "--no-playlist", "-o", str(out), link]
    subprocess.run(asked, check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    out.unlink()


def settled(folder: Path, *, per_min: float) -> tuple[float, int]:
    """How far from `per_min` the fetches are that a host which takes so many accepts, behind the first third of
    `SPENT_S`, as a share of it; and how many fetches failed."""
    with HostileServer() as server, closing(Sandbox(preload=PRELOAD)) as sandbox:
        server.add("/ok.mp4", body(b"\0\0\0\x18ftypmp42" + bytes(50_000)))
        film = page('<video src="/ok.mp4"></video>')
        link = server.add("/film", throttled(film, per_min=per_min, burst=5, Retry_After="1"))
        settings = Fetch(per_host=AT_ONCE)
        gate, begin, failed = HostGate.of(settings), time.monotonic(), 0

        def fetch_on(_: int) -> int:
            lost = 0
            while time.monotonic() - begin < SPENT_S:
                try:
                    got = fetch(link, scratch=folder, settings=settings, sandbox=sandbox, gate=gate)
                    shutil.rmtree(got.path.parent)
                except ItemError:
                    lost += 1
            return lost

        with ThreadPoolExecutor(AT_ONCE + 2) as pool:
            failed = sum(pool.map(fetch_on, range(AT_ONCE + 2)))
        late = [at for at in server.accepted if SPENT_S / 3 <= at - begin < SPENT_S]
    return abs(60 * len(late) / (SPENT_S * 2 / 3) / per_min - 1), failed


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", default="cost,rate,sections")
    return parser


def main() -> None:
    args = parser().parse_args()
    parts = args.part.split(",")
    print(describe())
    figures: dict[str, float] = {}
    if "cost" in parts:
        print(
            f"cost: {args.videos} files of {FILE_KB} kB over loopback HTTP, {AT_ONCE} at once, {args.repeats} repeats"
        )
        runs = []
        for _ in range(args.repeats):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(cost(Path(folder), videos=args.videos))
        for name in ("hdvg", "yt-dlp"):
            cpu, pace = zip(*(run[name] for run in runs), strict=True)
            print(f"  {name}: {spread(cpu)} ms of CPU a video, {spread(pace)} videos/s")
        figures["fetch_cpu_ms_per_video"] = statistics.median(run["hdvg"][0] for run in runs)
        figures["videos_per_s_loopback"] = statistics.median(run["hdvg"][1] for run in runs)
        figures["cpu_over_yt_dlp"] = statistics.median(run["hdvg"][0] / run["yt-dlp"][0] for run in runs)
    if "sections" in parts:
        with tempfile.TemporaryDirectory() as folder:
            found = saved(Path(folder), lists=args.repeats)
        for name, shares in found.items():
            told = ", ".join(f"{rest:.0%} where scenes cover {share:.0%}" for share, rest in shares.items())
            print(f"sections: {name}: of its bytes not fetched {told}")
        figures["bytes_saved_share"] = statistics.mean(shares[STATED] for shares in found.values())
    if "rate" in parts:
        errors = []
        for per_min in ACCEPTED_PER_MIN:
            with tempfile.TemporaryDirectory() as folder:
                error, failed = settled(Path(folder), per_min=per_min)
            errors.append(error)
            print(f"rate: a host that takes {per_min} fetches a minute: {error:.0%} off, {failed} fetches failed")
        figures["settled_rate_error"] = max(errors)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
