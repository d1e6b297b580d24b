"""What the whole CPU pass of a video costs (decode, shots, every measure, keyframes, in a child as users run it).

Run: python -m tests.bench.bench_split [--repeats 5] [--videos slides_1080p.mp4,cockatoo.mp4]. In turns, on the same
videos (each repeated to a minute or more): our scan; a bare ffmpeg decode; PySceneDetect's command line, detection only;
and what peers do, PySceneDetect's detect() and then one more decode for each measure and a seek for each keyframe. The
last line is one JSON object of medians over the videos: `pass_over_decode` (ours over ffmpeg's wall clock),
`pass_over_decode_inside` (over ffmpeg's own clock, without the start of its process), `vs_scenedetect_detect` and
`vs_api_plus_passes` (theirs over ours), `peak_mb` (largest child), and `videos` with the seconds of each.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scenedetect import AdaptiveDetector, detect

from hdvg.config.sections import Run, Split
from hdvg.measures.luma import Luma
from hdvg.measures.measure import View
from hdvg.measures.motion import Motion
from hdvg.measures.sharpness import Sharpness
from hdvg.media.assemble import POSITIONS
from hdvg.media.calls import scan
from tests.bench.machine import (
    BUNDLED_720P,
    LONG_ENOUGH_S,
    MAX_PIXELS,
    MULTISHOT,
    Child,
    clocked,
    describe,
    ffmpeg,
    long_video,
    scenedetect,
    spread,
)

SHARED_VIDEOS = (MULTISHOT, "bbb_0_30_720p.webm", "slides_1080p.mp4", "dog_1080p.mp4")
WAYS = ("scan", "ffmpeg", "ffmpeg inside", "scenedetect", "api + passes")


class Ways:
    """The ways through a video; each returns seconds."""

    def __init__(self, child: Child, folder: Path, threads: int) -> None:
        self.child = child
        self.folder = folder
        self.threads = threads
        self.settings = Split().model_dump()
        self.peak_mb = 0.0

    def scan(self, path: Path) -> dict[str, float]:
        """Ours."""
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            _, seconds, peak_mb = self.child.call(scan(str(path), out, self.settings, self.threads, MAX_PIXELS))
        self.peak_mb = max(self.peak_mb, peak_mb)
        return {"scan": seconds}

    def bare_decode(self, path: Path) -> dict[str, float]:
        """ffmpeg's decoder and nothing else, by our clock and by its own (which starts after the process has)."""
        seconds, said = clocked(
            lambda: ffmpeg(
                "-benchmark", "-threads", str(self.threads), "-i", str(path), "-map", "0:v:0", "-f", "null", "-"
            )
        )
        found = re.search(r"rtime=([\d.]+)s", said)
        assert found is not None, said
        return {"ffmpeg": seconds, "ffmpeg inside": float(found[1])}

    def command_line(self, path: Path) -> dict[str, float]:
        """PySceneDetect's command line at its fastest: its default reader, no progress bar, nothing written."""
        return {"scenedetect": clocked(lambda: scenedetect("-i", str(path), "detect-adaptive", folder=self.folder))[0]}

    def peers(self, path: Path) -> dict[str, float]:
        """PySceneDetect's interface, then a decode for each measure with our sampling, then a seek for each keyframe."""
        return {"api + passes": clocked(lambda: peers_pass(path, self.settings))[0]}


def peers_pass(path: Path, settings: dict[str, Any]) -> None:
    """One tool after the other, as peers' pipelines call them."""
    scenes = detect(str(path), AdaptiveDetector())
    width = settings["analysis_width_px"]
    for measure in (Luma(), Motion(), Sharpness()):
        for view in views(path, width):
            if measure.sees == "frame" or (view.look and round(view.seconds) % 2 == 0):
                measure.see(view)
    capture = cv2.VideoCapture(str(path))
    last = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    for start, end in [(a.frame_num, b.frame_num) for a, b in scenes] or [(0, last)]:
        for share in POSITIONS.values():
            capture.set(cv2.CAP_PROP_POS_FRAMES, start + int(share * (end - 1 - start)))
            decoded, bgr = capture.read()
            if decoded:
                size = (settings["keyframe_px"], bgr.shape[0] * settings["keyframe_px"] // bgr.shape[1])
                small = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
                cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, settings["keyframe_quality"]])
    capture.release()


def views(path: Path, width: int) -> Iterator[View]:
    """Every frame as our measures see it, from a decode of its own."""
    capture = cv2.VideoCapture(str(path))
    fps = capture.get(cv2.CAP_PROP_FPS) or 25.0
    index = 0
    while True:
        decoded, bgr = capture.read()
        if not decoded:
            break
        small = cv2.resize(bgr, (width, round(bgr.shape[0] * width / bgr.shape[1])))
        reduced, whole = (lambda wide, bgr=bgr: _at_width(bgr, wide)), (lambda bgr=bgr: _grey(bgr))
        yield View(index, index / fps, _grey(small), small, reduced, whole, look=index % round(fps) == 0)
        index += 1
    capture.release()


def _grey(bgr: Any) -> Any:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))


def _at_width(bgr: Any, width: int) -> Any:
    width = min(width, bgr.shape[1])
    size = width, round(bgr.shape[0] * width / bgr.shape[1])
    return cv2.resize(_grey(bgr), size, interpolation=cv2.INTER_AREA)


def measure(ways: Ways, path: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds of every way, in turns; the first turn reads the file into memory and is not counted."""
    calls: tuple[Callable[[Path], dict[str, float]], ...]
    calls = ways.scan, ways.bare_decode, ways.command_line, ways.peers
    ways.bare_decode(path)
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(repeats):
        for call in calls[turn % len(calls) :] + calls[: turn % len(calls)]:
            for name, seconds in call(path).items():
                times[name].append(seconds)
    return times


def ratios(times: dict[str, list[float]]) -> dict[str, float]:
    """One video's figures, from medians."""
    median = {name: statistics.median(some) for name, some in times.items()}
    return {
        "pass_over_decode": median["scan"] / median["ffmpeg"],
        "pass_over_decode_inside": median["scan"] / median["ffmpeg inside"],
        "vs_scenedetect_detect": median["scenedetect"] / median["scan"],
        "vs_api_plus_passes": median["api + passes"] / median["scan"],
    }


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--videos", type=lambda text: text.split(","), help="names in the shared or bundled media")
    parser.add_argument("--threads", type=int, default=Run().decode_threads, help="decoder threads, ours and ffmpeg's")
    parser.add_argument("--seconds", type=float, default=LONG_ENOUGH_S, help="repeat shorter videos to this length")
    return parser


def main() -> None:
    args = parser().parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as name, Child() as child:
        folder = Path(name)
        asked = args.videos or SHARED_VIDEOS
        videos = {file: path for file in asked if (path := long_video(file, folder, least_s=args.seconds))}
        if missing := [file for file in asked if file not in videos]:
            print(f"not here: {', '.join(missing)}; the bundled media instead (no 1080p among them)")
            for file in BUNDLED_720P[: max(4 - len(videos), 0)]:
                if path := long_video(file, folder, least_s=args.seconds):
                    videos[file] = path
        ways = Ways(child, folder, args.threads)
        print(f"seconds: median (least–largest) of {args.repeats}, in turns, {args.threads} decoder threads")
        print(f"{'video':36}" + "".join(f"{way:>22}" for way in WAYS))
        table: dict[str, dict[str, Any]] = {}
        for file, path in videos.items():
            times = measure(ways, path, args.repeats)
            print(f"{path.stem[:35]:36}" + "".join(f"{spread(times[way]):>22}" for way in WAYS), flush=True)
            table[file] = {"seconds": {way: [round(s, 3) for s in some] for way, some in times.items()}}
            table[file] |= {key: round(value, 3) for key, value in ratios(times).items()}
    summary: dict[str, Any] = {
        key: round(statistics.median(row[key] for row in table.values()), 3)
        for key in ("pass_over_decode", "pass_over_decode_inside", "vs_scenedetect_detect", "vs_api_plus_passes")
    }
    for key, value in summary.items():
        print(f"{key}: {value} (by video: {', '.join(str(row[key]) for row in table.values())})")
    print(describe())
    print(json.dumps(summary | {"peak_mb": round(ways.peak_mb), "videos": table}))


if __name__ == "__main__":
    main()
