"""What a pack of clips costs beside a file a clip: files and operations of publishing one video's clips, and reading one.

Run: python -m tests.bench.bench_packs [--clips 87] [--mb 2] [--videos 5]. SYNTHETIC: random bytes in the number of HD-VG's clips a
video. Published as the cut stage does it; read as shards do it, hash and all, out of the page cache. CPU seconds, for the disk
is another on every machine, and what that has to do: fsyncs. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.clip_files import cut_file
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.store import FileOps, Store
from hdvg.planning import make_plan
from pipelines.clip_media import kept_clips
from tests.bench.machine import describe

READS = 300


class Counted(FileOps):
    """Counts what a disk has to make durable."""

    fsyncs = 0

    def fsync(self, path: Path) -> None:
        self.fsyncs += 1
        super().fsync(path)


def bench_packs(clips: int = 87, *, mb: float = 2.0, videos: int = 5) -> dict[str, Any]:
    """The figures of both ways, see above."""
    found: dict[str, Any] = {"clips": clips, "clip_mb": mb}
    for way in ("files", "packs"):
        with tempfile.TemporaryDirectory() as folder:
            found[way] = _of_way(way, Path(folder), clips, int(mb * 2**20), videos)
            print(f"{way}: {found[way]}", flush=True)
    return found


def _of_way(way: str, root: Path, clips: int, size: int, videos: int) -> dict[str, Any]:
    ops = Counted()
    recipe = parse_recipe({"name": "bench", "caption": {"captioner": "none"}, "storage": {"clips": way}})
    dataset = Dataset(root, make_plan(recipe), Store(root, ops))
    dataset.store.begin()
    rows, cpu_s = [], []
    for video in range(videos):
        with dataset.store.scratch() as scratch:
            made = []
            for number in range(clips):
                path = scratch / f"{video}-{number}.mp4"
                path.write_bytes(os.urandom(size))
                made.append(({"clip_id": path.stem, "clip_bytes": size, "clip_pack": None, "clip_offset": None}, path))
            start = time.process_time()
            rows += kept_clips(dataset, made)
            cpu_s.append(time.process_time() - start)
    chosen = random.Random(0).choices(rows, k=READS)
    start = time.process_time()
    for row in chosen:
        assert cut_file(dataset.store, row) is not None
    read_ms = (time.process_time() - start) / READS * 1000
    return {
        "files_a_video": sum(path.is_file() for path in root.glob("media/*/*")) / videos,
        "fsyncs_a_video": ops.fsyncs / videos,
        "publish_cpu_s_a_video": round(statistics.median(cpu_s), 3),
        "read_ms_a_clip": round(read_ms, 2),
    }


def parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--clips", type=int, default=87)
    made.add_argument("--mb", type=float, default=2.0)
    made.add_argument("--videos", type=int, default=5)
    return made


if __name__ == "__main__":
    asked = parser().parse_args()
    print(describe())
    print(json.dumps(bench_packs(asked.clips, mb=asked.mb, videos=asked.videos)))
