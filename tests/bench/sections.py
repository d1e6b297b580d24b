"""What fetching in part saves, by the share of a video that its scenes cover: parents and scenes of HD-VG's shape, of one film."""

from __future__ import annotations

import random
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

from hdvg.config.fetch import Fetch
from hdvg.sandbox import Sandbox
from hdvg.sources.fetch import PRELOAD, fetch
from hdvg.sources.hosts import HostGate
from hdvg.sources.wanted import Wanted
from tests.bench.bench_run import served_elsewhere
from tests.sources import FFMPEG

SECONDS = 200
SHARES = (0.05, 0.1, 0.25, 0.5)
STATED = 0.1
"""The share of which the figure is told."""
PIXELS = 36_000_000
ENCODED = {
    "film.mp4": "-c:v libx264 -preset ultrafast -b:v 500k -g 125 -bf 2 -c:a aac -movflags +faststart",
    "fragments.mp4": "-c:v libx264 -preset ultrafast -b:v 500k -g 125 -bf 2 -c:a aac -movflags +dash+global_sidx+frag_keyframe",
    "film.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k -g 125 -c:a libopus",
}
"""A key frame in 5 s, as the large site has them."""


def draw_scenes(share: float, *, seed: int) -> list[dict[str, Any]]:
    """Scenes that are whole parents, 10.7 s on average as HD-VG's, at random places, which cover just that share of the film."""
    draw, lengths = random.Random(seed), []
    left = round(1000 * SECONDS * share)
    while left > 0:
        lengths.append(min(left, 600 + int(draw.expovariate(1 / 10_100))))
        left -= lengths[-1]
    free = round(1000 * SECONDS * (1 - share))
    places = sorted(draw.randrange(free) for _ in lengths)
    scenes, before = [], 0
    for place, length in zip(places, lengths, strict=True):
        start = place + before
        parent = {
            "parent": "p",
            "parent_start_ms": start,
            "parent_end_ms": start + length,
            "start_frame": 0,
            "end_frame": -1,
        }
        scenes.append({"start_ms": None, "end_ms": None} | parent)
        before += length
    return scenes


def saved(folder: Path, *, lists: int) -> dict[str, dict[float, float]]:
    """By file and share, how much of its bytes was not fetched, over so many lists of scenes."""
    served = folder / "served"
    served.mkdir()
    for name, options in ENCODED.items():
        drawn = f"testsrc2=size=320x180:rate=25:duration={SECONDS},noise=alls=12:allf=t"
        sound = f"sine=frequency=440:duration={SECONDS}"
        command = [
            FFMPEG,
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            drawn,
            "-f",
            "lavfi",
            "-i",
            sound,
            "-pix_fmt",
            "yuv420p",
        ]
        subprocess.run([*command, *options.split(), str(served / name)], check=True)
    sandbox, settings = Sandbox(preload=PRELOAD), Fetch()
    take = partial(fetch, scratch=folder, settings=settings, sandbox=sandbox, gate=HostGate(4, 0.0, 60.0))
    found: dict[str, dict[float, float]] = {}
    with served_elsewhere(served) as base:
        for name in ENCODED:
            for share in SHARES:
                rest = []
                for seed in range(lists):
                    wanted = Wanted(draw_scenes(share, seed=seed), "published", PIXELS)
                    got = take(f"{base}/{name}", wanted=wanted)
                    parts = got.excerpt["ranges"] if got.excerpt else [(0, got.excerpt is None)]
                    size = got.excerpt["size"] if got.excerpt else 1
                    rest.append(1 - sum(end - start for start, end in parts) / size)
                    shutil.rmtree(got.path.parent)
                found.setdefault(name, {})[share] = sum(rest) / len(rest)
    sandbox.close()
    return found
