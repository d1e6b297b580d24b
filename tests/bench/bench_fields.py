"""How right the fields of a clip are that tell what it shows, and what they cost: the camera's moves, the clean area, long texts.

Run: python -m tests.bench.bench_fields [--part held|tune] [--cases 210] [--tripods 120] [--crops 60] [--repeats 3] [--answers 1000] [--seed 0]. Moves of known
rates over real footage (tests/moves.py), marks, subtitles, tickers and bars planted in real footage (tests/planted.py); `held`
is the footage that no threshold was chosen on. The cost is that of the pass with all measures and without the camera's, CPU
seconds over those of the bare decode, of one bundled video, in turns. The last line is one JSON object: `camera_f1` (of the
worst label), `camera_f1_each`, `camera_f1_intervals` (95 %, cases drawn anew), `camera_exact` (share of cases with all labels
right and none else), `camera_cases`, `camera_false_static` (share of windows of tripod footage that is not told `static`),
`camera_false_static_interval` (95 %, Wilson), `camera_tripods`,
`clean_crop_iou` (mean), `clean_crop_iou_each` (by what was planted), `clean_left` (share of crops in which some of it is
left), `pass_over_decode`, `pass_over_decode_without_camera`, `sound_share_of_pass` (no speech is looked for), `speech_share_of_pass`
(what is measured apart, of the same video), `speech_s_per_min` (CPU seconds a minute of film, all of it sounding), `json_valid_share` and
`wrong_share` of captions field by field from a server half of whose answers are bad (bench_captions), `truncated_share`
(of detailed captions, the share that is longer than what is taken of a text by default, by the embedded text encoder; by how
many tokens are taken in `truncated_share_each`).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import imageio_ffmpeg
import numpy as np

from hdvg.config.sections import Measure, Split
from hdvg.keyframes import Shot
from hdvg.latents.encoders import load_text
from hdvg.latents.lengths import Lengths
from hdvg.latents.settings import Encoding
from hdvg.measures import pass_measures
from hdvg.measures.clean import Clean
from hdvg.measures.speech import Speech
from hdvg.media import features
from hdvg.media.clip_inputs import hear
from hdvg.media.measure_calls import ALL
from hdvg.media.remeasure import remeasure
from hdvg.media.scan import scan
from hdvg.media.soundtrack import read_track
from tests import moves, planted
from tests.bench import bench_captions
from tests.bench.bench_measures import decode_s
from tests.bench.machine import LONG_ENOUGH_S, MAX_PIXELS, describe, find, long_video, spread
from tests.detailed import DETAILED
from tests.truth import f1
from tests.voices import film_with, speech

TIMED = "bigbuckbunny_720p.mp4"


def camera(part: str, count: int, seed: int) -> dict[str, Any]:
    """Tell the moves of written shots; the figures, and a line for each that is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        told = [_told(case) for case in moves.cases(Path(folder), part, count, seed=seed)]
    drawn = np.random.default_rng(0).integers(count, size=(2000, count))
    each, intervals = {}, {}
    for label in moves.LABELS:
        tallies = np.array([(label in f and label in t, label in f - t, label in t - f) for t, f in told])
        right, wrong, missed = (int(one) for one in tallies.sum(axis=0))
        each[label] = round(f1(right, wrong, missed), 4)
        again = [f1(*(int(one) for one in some)) for some in tallies[drawn].sum(axis=1)]
        intervals[label] = [round(float(one), 3) for one in np.percentile(again, (2.5, 97.5))]
        print(f"{label:22} F1 {each[label]:.3f} {intervals[label]}  right, wrong, missed {right, wrong, missed}")
    return {
        "camera_f1": min(each.values()),
        "camera_f1_each": each,
        "camera_f1_intervals": intervals,
        "camera_exact": round(statistics.mean(found == truth for truth, found in told), 4),
        "camera_cases": count,
    }


def tripods(part: str, count: int, seed: int) -> dict[str, Any]:
    """Tell the moves of a camera that stands."""
    with tempfile.TemporaryDirectory() as folder:
        told = [_told(case) for case in moves.tripods(Path(folder), part, count, seed=seed)]
    wrong = sum(found != truth for truth, found in told)
    return {
        "camera_false_static": round(wrong / count, 4),
        "camera_false_static_interval": wilson(wrong, count),
        "camera_tripods": count,
    }


def _told(case: moves.Case) -> tuple[set[str], set[str]]:
    """The true labels of a shot, and those that the measure has for it."""
    truth, found = set(case.shot.labels), moves_of(case.path)
    case.path.unlink()
    if found != truth:
        print("wrong:", case.shot, case.look, sorted(found), flush=True)
    return truth, found


def wilson(found: int, count: int) -> list[float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, found / count
    middle, half = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return [round(max(middle + way * half, 0.0) / (1 + z * z / count), 4) for way in (-1, 1)]


def moves_of(path: Path) -> set[str]:
    """The moves that the measure tells of a whole file."""
    asked = {"camera": {"made_by": "hdvg.measures.camera:Camera", "options": {}}}
    spans = [{"start_pts": 0, "end_pts": ALL}]
    (found,) = remeasure(str(path), spans, asked, Split().model_dump(), 2, MAX_PIXELS)  # type: ignore[arg-type]
    return set((found["camera"]["camera_moves"] or "").split(", "))


def clean(part: str, count: int, seed: int) -> dict[str, Any]:
    """Find clean rectangles in planted videos, each aspect allowed; IoU with the best rectangle that is near enough the largest."""
    measure = Clean(Measure())
    shares: dict[str, list[float]] = defaultdict(list)
    left = 0
    for case in planted.cases(part, count, seed=seed):
        for row in measure.measure(case.shots, []):
            found = planted.sides(row)
            shares[case.kind].append(planted.likeness(found, case))
            is_left = planted.holds_some(found, case)
            left += is_left
            if is_left or shares[case.kind][-1] < 0.8:
                print("far:", case.kind, case.what, [round(one, 3) for one in found], round(shares[case.kind][-1], 3))
    every = [one for some in shares.values() for one in some]
    for kind, some in shares.items():
        print(f"{kind:22} IoU {spread(some)} of {len(some)} clips, mean {statistics.mean(some):.3f}")
    return {
        "clean_crop_iou": round(statistics.mean(every), 4),
        "clean_crop_iou_each": {kind: round(statistics.mean(some), 4) for kind, some in shares.items()},
        "clean_left": round(left / len(every), 4),
    }


def pass_costs(repeats: int) -> dict[str, Any]:
    """What the pass costs over the bare decode, with the camera's measure and without it, in turns."""
    found: dict[str, list[float]] = {"pass_over_decode": [], "pass_over_decode_without_camera": []}
    with tempfile.TemporaryDirectory() as folder:
        path = long_video(TIMED, Path(folder), least_s=LONG_ENOUGH_S / 2)
        assert path is not None
        decode_s(path)
        for _ in range(repeats):
            bare = decode_s(path)
            found["pass_over_decode"].append(_scan_s(path) / bare)
            found["pass_over_decode_without_camera"].append(_without_camera(lambda: _scan_s(path)) / bare)
    for name, some in found.items():
        print(f"{name}: {spread(some)}")
    return {name: round(statistics.median(some), 4) for name, some in found.items()}


def sound_cost(repeats: int) -> dict[str, Any]:
    """What the sound takes of the pass, of one bundled video with its sound, four times over, in turns; and what speech takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "looped.mp4"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-stream_loop", "3", "-i", str(find(TIMED))]
        subprocess.run([*command, "-c", "copy", str(path)], check=True)
        voice, detector = film_with(Path(folder) / "voice.mp4", speech(60)), Speech()
        found: dict[str, list[float]] = {name: [] for name in ("sound_share_of_pass", "speech_share_of_pass", "speech_s_per_min")}  # fmt: skip
        for _ in range(repeats):
            start = time.process_time()
            assert len(read_track(str(path)).ends_s)
            heard = time.process_time() - start
            whole = _scan_s(path)
            found["sound_share_of_pass"].append(heard / whole)
            found["speech_share_of_pass"].append(_speech_s(path, detector) / whole)
            found["speech_s_per_min"].append(_speech_s(voice, detector))
    for name, some in found.items():
        print(f"{name}: {spread(some)}")
    return {name: round(statistics.median(some), 4) for name, some in found.items()}


def _speech_s(path: Path, detector: Speech) -> float:
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder, av.open(str(path)) as container:
        base, end = container.streams.video[0].time_base, container.duration / av.time_base
        spans = [{"start_pts": 0, "end_pts": int(end / base)}]
        hear(str(path), f"{folder}/heard", spans, str(base))  # type: ignore[arg-type]
        sound = np.fromfile(f"{folder}/heard", "<i2").astype(np.float32) / 32767
    detector.measure([Shot("", {}, {}, sound=sound)], [])
    return time.process_time() - start


def truncated() -> dict[str, Any]:
    """How many detailed captions (tests/detailed.py) are cut, at the default context and at others."""
    counts = load_text(Encoding()).lengths(DETAILED)  # type: ignore[attr-defined]  # MiniLM counts
    print("tokens of detailed captions:", sorted(counts))
    each = {most: Lengths.of(counts, most).truncated_share for most in (32, 77, 128, 160, 256)}
    now = Lengths.of(counts, Encoding().text_tokens)
    return {"truncated_share": now.truncated_share, "truncated_share_each": each, "text_tokens": now.most}


def _scan_s(path: Path) -> float:
    start = time.process_time()
    with tempfile.TemporaryDirectory() as out:
        scan(str(path), out, Split(segment_s=1e6).model_dump(), 1, MAX_PIXELS)  # type: ignore[arg-type]
    return time.process_time() - start


def _without_camera(call: Callable[[], float]) -> float:
    from hdvg.media import assemble

    held = pass_measures()
    less = {name: one for name, one in held.items() if name != "camera"}
    for module in (features, assemble):
        module.pass_measures = lambda: less  # type: ignore[attr-defined]
    try:
        return call()
    finally:
        for module in (features, assemble):
            module.pass_measures = pass_measures  # type: ignore[attr-defined]


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("held", "tune"), default="held")
    parser.add_argument("--cases", type=int, default=210, help="shots of the camera; 0 leaves them out")
    parser.add_argument("--tripods", type=int, default=120, help="windows of tripod footage; 0 leaves them out")
    parser.add_argument("--crops", type=int, default=60, help="videos with something planted; 0 leaves them out")
    parser.add_argument("--repeats", type=int, default=3, help="of the pass; 0 leaves it out")
    parser.add_argument(
        "--answers", type=int, default=1000, help="clips that a misbehaving server captions; 0 leaves them out"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main() -> None:
    args = parser().parse_args()
    cv2.setNumThreads(1)
    print(describe())
    figures: dict[str, Any] = {"part": args.part}
    figures |= camera(args.part, args.cases, args.seed) if args.cases else {}
    figures |= tripods(args.part, args.tripods, args.seed) if args.tripods else {}
    figures |= clean(args.part, args.crops, args.seed) if args.crops else {}
    figures |= pass_costs(args.repeats) | sound_cost(args.repeats) if args.repeats else {}
    if args.answers:
        answered = bench_captions.measure(args.answers, bad=0.5, seed=args.seed)
        figures |= {name: round(answered[name], 4) for name in ("json_valid_share", "wrong_share")}
    figures |= truncated()
    print(describe())
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
