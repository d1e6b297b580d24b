"""What measures cost: those of the one decode pass against the decode itself, those of keyframes, and what-ifs.

Run: python -m tests.bench.bench_measures [--repeats 3] [--videos cockatoo.mp4,slides_1080p.mp4] [--rows 10000000].
Each video, repeated to `--seconds`, is scanned and bare decoded in turns, one decoder thread, in this process; all times
are CPU. A measure's is that of its `see` over the pass and of its `of_clip`, less what the clock itself takes; `phashes` are
the hashes over time. Keyframe measures see the keyframes of all clips of a video, model loaded. Then tests/bench/bench_whatif.py.
The last line is one JSON object: `ms_per_clip` (by measure, mean over the videos' clips), `cheap_share_of_decode` (those of
the pass over the bare decode; median of the repeats, by video and their median), `spread` of the latter, `whatif_10m_s`,
`whatif_peak_mb`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hdvg.config.sections import Measure, Split
from hdvg.keyframes import Shot
from hdvg.measures import pass_measures
from hdvg.measures.keyframed import KEYFRAME_MEASURES, load
from hdvg.media import features
from hdvg.media.decode import Decoder, open_video
from hdvg.media.scan import scan
from tests.bench.bench_whatif import bench_whatif
from tests.bench.machine import LONG_ENOUGH_S, MAX_PIXELS, MULTISHOT, describe, long_video, spread

NEED_A_MODEL = ("aesthetic", "classifier")
VIDEOS = (MULTISHOT, "bigbuckbunny_720p.mp4", "cockatoo.mp4")


class Costs:
    """CPU seconds of every measure of the pass, while `watched`."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._tick_s = min(_ticks() for _ in range(5))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Put a clock around every measure, and take it away again."""
        held = {name: (measure.see, measure.of_clip) for name, measure in pass_measures().items()}
        hashing = features.hash_pairs, features.small
        features.hash_pairs, features.small = (self._clocked("phashes", call) for call in hashing)
        for name, measure in pass_measures().items():
            measure.see = self._clocked(name, measure.see)  # type: ignore[method-assign]  # put back below
            measure.of_clip = staticmethod(self._clocked(name, measure.of_clip))  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            features.hash_pairs, features.small = hashing
            for name, (see, of_clip) in held.items():
                pass_measures()[name].see = see  # type: ignore[method-assign]
                pass_measures()[name].of_clip = staticmethod(of_clip)  # type: ignore[method-assign,assignment]

    def _clocked(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*arguments: Any) -> Any:
            start = time.thread_time()
            result = call(*arguments)
            self.seconds[name] += max(time.thread_time() - start - self._tick_s, 0.0)
            return result

        return clocked


def _ticks(count: int = 2000) -> float:
    """Seconds that reading the clock takes."""
    start = time.thread_time()
    for _ in range(count):
        time.thread_time()
    return (time.thread_time() - start) / count


def decode_s(path: Path) -> float:
    """CPU seconds of decoding every frame as the pass does, and nothing else."""
    start = time.process_time()
    with open_video(str(path), max_pixels=MAX_PIXELS, thrifty=True) as (container, stream):
        for _ in Decoder(container, stream):
            pass
    return time.process_time() - start


def pass_costs(path: Path) -> tuple[dict[str, float], int]:
    """CPU seconds of each measure over one pass, and the clips found."""
    costs = Costs()
    with tempfile.TemporaryDirectory() as out, costs.watched():
        found = scan(str(path), out, Split(segment_s=1e6).model_dump(), 1, MAX_PIXELS)
    return dict(costs.seconds), len(found["clips"])


def in_pass(videos: dict[str, Path], repeats: int) -> dict[str, Any]:
    """Print a table of the measures of the pass; what the last line says of them."""
    ms: dict[str, list[float]] = {name: [] for name in (*pass_measures(), "phashes")}
    shares: dict[str, list[float]] = {}
    for file, path in videos.items():
        decode_s(path)
        for _ in range(repeats):
            bare = decode_s(path)
            costs, clips = pass_costs(path)
            bare = (bare + decode_s(path)) / 2
            shares.setdefault(file, []).append(sum(costs.values()) / bare)
            for name in ms:
                ms[name].append(1000 * costs.get(name, 0.0) / clips)
        print(f"{file}: {clips} clips, decode {bare:.2f} s, measures over decode {spread(shares[file])}", flush=True)
    for name, some in ms.items():
        print(f"  {name:12} {spread(some)} ms a clip")
    means = {name: round(statistics.mean(some), 3) for name, some in ms.items()}
    medians = {file: round(statistics.median(some), 4) for file, some in shares.items()}
    share = round(statistics.median(medians.values()), 4)
    every = [one for some in shares.values() for one in some]
    extremes = [round(min(every), 4), round(max(every), 4)]
    return {"ms_per_clip": means, "cheap_share_of_decode": share, "spread": extremes, "by_video": medians}


def shots_of(path: Path) -> list[Shot]:
    """The clips of a video with their keyframes."""
    with tempfile.TemporaryDirectory() as out:
        clips = scan(str(path), out, Split(segment_s=1e6).model_dump(), 2, MAX_PIXELS)["clips"]
        return [
            Shot(
                f"{number:04}",
                {one["position"]: Path(out, one["file"]).read_bytes() for one in clip["keyframes"]},
                {"start_pts": clip["start_pts"]},
            )
            for number, clip in enumerate(clips)
        ]


def of_keyframes(videos: dict[str, Path], repeats: int) -> dict[str, float]:
    """Print a table of the keyframe measures that need no model of the user's; ms of CPU per clip of each."""
    shots = {file: shots_of(path) for file, path in videos.items()}
    clips = sum(map(len, shots.values()))
    found: dict[str, float] = {}
    for name in (name for name in KEYFRAME_MEASURES if name not in NEED_A_MODEL):
        measure = load(name, Measure())
        times = []
        for turn in range(repeats + 1):
            start = time.process_time()
            for some in shots.values():
                measure.measure(some, [])
            if turn:
                times.append(1000 * (time.process_time() - start) / clips)
        print(f"  {name:12} {spread(times)} ms a clip of {clips}", flush=True)
        found[name] = round(statistics.median(times), 3)
    return found


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--videos", type=lambda text: text.split(","), default=VIDEOS, help="of tests.footage's tables")
    parser.add_argument("--rows", type=int, default=10_000_000, help="clips of the what-ifs; 0 leaves them out")
    parser.add_argument("--seconds", type=float, default=LONG_ENOUGH_S, help="repeat shorter videos to this length")
    return parser


def main() -> None:
    args = parser().parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        asked = {file: long_video(file, Path(name), least_s=args.seconds) for file in args.videos}
        videos = {file: path for file, path in asked.items() if path is not None}
        print(f"videos: {', '.join(videos)}; not here: {', '.join(set(asked) - set(videos)) or 'none'}")
        summary = in_pass(videos, args.repeats)
        summary["ms_per_clip"] |= of_keyframes(videos, args.repeats)
    if args.rows:
        summary |= bench_whatif(args.rows)
    print(describe())
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
