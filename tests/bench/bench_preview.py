"""What previews cost: bytes and CPU of a clip on real videos, and strips made of them and of keyframes.

Run: python -m tests.bench.bench_preview [--repeats 5] [--videos cockatoo.mp4,slides_1080p.mp4].
Each video is scanned into clips once. Then, in turns, all its clips' previews are taken and it is bare decoded,
thrifty too, on one decoder thread in this process; all times are CPU. Strips are made of packs with previews, and without.
The last line is one JSON object: `clips`, `videos`, `bytes_per_clip` (mean, by clip; also least, median and most), `bytes_per_frame`,
`frames_per_clip`, `share_of_keyframes` (bytes), `ms_per_clip` (median of the repeats, decode included), `spread` of the repeats, `ms_beside_decode`
(what is left less the bare decode), `strip_bytes`, `strip_ms`, `strip_ms_of_keyframes`, `clip_s` (mean length), and `tb_at_130m`:
bytes of the previews of 130 M clips of HD-VG-130M's mean length, by the bytes of a frame here.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.config.sections import Split
from hdvg.dataset.packs import add_sections
from hdvg.dataset.store import Store
from hdvg.media.decode import Decoder, open_video
from hdvg.media.measure_calls import PreviewSpan
from hdvg.media.pack_preview import keep_preview
from hdvg.media.scan import scan
from hdvg.published.figures import SAMPLE_MEAN_S
from hdvg.reports.strips import strips_of
from pipelines.previews import FPS, FRAMES_MOST
from schemas.keyframes import KEYFRAMES
from schemas.previews import PREVIEWS
from tests.bench.machine import BUNDLED_720P, MAX_PIXELS, describe, spread
from tests.footage import find

VIDEOS = (
    *BUNDLED_720P,
    *(
        "multishot_open_licence_720p.mp4",
        "bbb_0_30_720p.webm",
        "cityCC0.mpg",
        "cosmos_test_video_30s.mp4",
        "dog_1080p.mp4",
    ),
    *("intel_car-detection.mp4", "screencast_hello_720p.mp4", "slides_1080p.mp4", "androidx_portrait_4k60.mp4"),
)
CLIPS_OF_HD_VG = 130_000_000


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--repeats", type=int, default=5)
    made.add_argument("--videos", default=",".join(VIDEOS), help="files of the bundled and the shared media")
    return made


def main() -> None:
    """Measure, say, and end with one JSON line."""
    asked = parser().parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Path(scratch) / "d", run="bench")
        store.root.mkdir()
        store.begin()
        found = [one for name in asked.videos.split(",") if (path := find(name)) and (one := Video(path, store)).spans]
        report = measured(found, asked.repeats)
    print(json.dumps(report))


class Video:
    """A video with its clips, and packs of these in a store: `plain`, with keyframes alone, and `seen`, with previews too."""

    def __init__(self, path: Path, store: Store) -> None:
        self.path, self.store = path, store
        self._scratch = store.root / "tmp" / path.name
        self._scratch.mkdir(parents=True)
        clips = scan(str(path), str(self._scratch), Split().model_dump(), 1, MAX_PIXELS)["clips"]
        self.names = [f"{path.stem}-{number}" for number, _ in enumerate(clips)]
        self.lengths_s = [float((one["end_pts"] - one["start_pts"]) * Fraction(one["time_base"])) for one in clips]
        self.spans: list[PreviewSpan] = [
            {
                "start_pts": one["start_pts"],
                "end_pts": one["end_pts"],
                "step_s": max(1 / FPS, length_s / FRAMES_MOST),
                "most": FRAMES_MOST,
            }
            for one, length_s in zip(clips, self.lengths_s, strict=True)
        ]
        rows = [
            {**one, "clip_id": name, "jpeg": (self._scratch / one["file"]).read_bytes()}
            for name, clip in zip(self.names, clips, strict=True)
            for one in clip["keyframes"]
        ]
        self.keyframe_bytes = sum(len(row["jpeg"]) for row in rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=KEYFRAMES), self._scratch / "plain", compression="none")
        self.plain = store.put_media(self._scratch / "plain", "parquet")

    def take(self) -> list[list[bytes]]:
        """The frames of every clip's preview."""
        out = self._scratch / "previews"
        said = keep_preview(str(self.path), str(out), self.spans, 1, MAX_PIXELS)
        with out.open("rb") as file:
            return [[file.read(size) for size in one["sizes"]] for one in said]

    def decode(self) -> None:
        """The bare decode."""
        with open_video(str(self.path), threads=1, max_pixels=MAX_PIXELS, thrifty=True) as opened:
            for _ in Decoder(*opened):
                pass

    def pack(self, frames: list[list[bytes]]) -> str:
        """The pack with previews."""
        at_s = [[number / FPS for number, _ in enumerate(one)] for one in frames]
        rows = pa.table({"clip_id": self.names, "at_s": at_s, "frames": frames}, schema=PREVIEWS)
        plain = self.store.find_media(self.plain)
        assert plain is not None
        add_sections(plain, {"preview": ("1", rows)}, self._scratch / "seen")
        return self.store.put_media(self._scratch / "seen", "zip")


def measured(videos: list[Video], repeats: int) -> dict[str, Any]:
    """The figures of all videos together."""
    clips = sum(len(one.spans) for one in videos)
    taken, bare = [], []
    for _ in range(repeats):
        taken.append(1000 * cpu_s(lambda: [one.take() for one in videos]) / clips)
        bare.append(1000 * cpu_s(lambda: [one.decode() for one in videos]) / clips)
    frames = {one: one.take() for one in videos}
    sizes = [sum(map(len, clip)) for one in videos for clip in frames[one]]
    counts = [len(clip) for one in videos for clip in frames[one]]
    seen = {name: one.pack(frames[one]) for one in videos for name in one.names}
    plain = {name: one.plain for one in videos for name in one.names}
    store = videos[0].store
    strips = strips_of(store, seen)
    per_frame = sum(sizes) / sum(counts)
    print(f"{clips} clips of {len(videos)} videos, ms a clip with decode {spread(taken)}, bare decode {spread(bare)}")
    return {
        "clips": clips,
        "videos": len(videos),
        "bytes_per_clip": round(statistics.fmean(sizes)),
        "bytes_least_median_most": [min(sizes), round(statistics.median(sizes)), max(sizes)],
        "bytes_per_frame": round(per_frame),
        "frames_per_clip": round(statistics.fmean(counts), 1),
        "share_of_keyframes": round(sum(sizes) / sum(one.keyframe_bytes for one in videos), 3),
        "ms_per_clip": round(statistics.median(taken), 1),
        "spread": round((max(taken) - min(taken)) / statistics.median(taken), 3),
        "ms_beside_decode": round(statistics.median(taken) - statistics.median(bare), 1),
        "strip_bytes": round(statistics.fmean(map(len, strips.values()))),
        "strip_ms": strip_ms(lambda: strips_of(store, seen), clips),
        "strip_ms_of_keyframes": strip_ms(lambda: strips_of(store, plain), clips),
        "clip_s": round(statistics.fmean(length_s for one in videos for length_s in one.lengths_s), 2),
        "tb_at_130m": round(per_frame * math.ceil(FPS * SAMPLE_MEAN_S) * CLIPS_OF_HD_VG / 1e12, 2),
    }


def cpu_s(call: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    call()
    return time.process_time() - start


def strip_ms(call: Callable[[], object], clips: int) -> float:
    """CPU milliseconds a clip, the least of three."""
    return round(min(1000 * cpu_s(call) / clips for _ in range(3)), 1)


if __name__ == "__main__":
    main()
