"""How well the watermark measure tells marked videos from clean ones, by opacity and size, and what it costs.

Run: python -m tests.bench.bench_watermark [--part held|tune] [--each 6] [--clean 100] [--seed 0]. The footage and the marks
of part `held` are other than those the measure was tuned on. Prints recall by opacity and size (a video is found if its
clips are at least 0.5 at the median), false alarms by kind of clean video, timers, and the real videos at hand. The last
line is one JSON object: `recall_at_50` (logos and text of opacity >= 0.5 and size >= 3 %; nulls count as missed),
`recall_at_50_told` (of those not null), `precision` (of these against the clean videos), `clip_recall_at_50` and
`clip_precision` (the same clip by clip, of clips not null), `curve` (recall by opacity), `curve_timers`, `told` (share of
marked videos of which anything is said), `ms_per_clip` and `ms_per_picture` (CPU).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hdvg.config.sections import Split
from hdvg.keyframes import Shot
from hdvg.measures.watermark import Watermark
from hdvg.media.scan import scan
from tests.bench.machine import BUNDLED_720P, MAX_PIXELS, MULTISHOT, describe, find
from tests.overlays import OPACITIES, SIZES, Mark
from tests.reels import Case, Reels, clean_cases, footage, marked_case

THRESHOLD = 0.5
REAL = (MULTISHOT, *BUNDLED_720P, "bbb_0_30_720p.webm", "cosmos_test_video_30s.mp4", "intel_car-detection.mp4")
REAL_MORE = ("wannaworktogether.mp4", "cityCC0.mpg", "dog_1080p.mp4", "screencast_hello_720p.mp4", "slides_1080p.mp4")


@dataclass(frozen=True)
class Outcome:
    """What the measure said of a case: a number or None a clip."""

    case: Case
    told: list[float | None]
    cpu_s: float

    @property
    def is_told(self) -> bool:
        """Whether anything is said of the video: a null is neither a hit nor an alarm."""
        return any(value is not None for value in self.told)

    @property
    def is_found(self) -> bool:
        """Whether at least half of the clips are over the threshold."""
        return statistics.median(value or 0.0 for value in self.told) >= THRESHOLD


def judge(case: Case) -> Outcome:
    """Measure one case."""
    start = time.process_time()
    rows = Watermark().measure(case.shots)
    return Outcome(case, [row["watermark"] for row in rows], time.process_time() - start)


def cases(part: str, *, each: int, clean: int, seed: int) -> Iterator[Case]:
    """The whole grid: `each` logos and texts and half as many timers for each opacity and size, and the clean ones."""
    random = np.random.default_rng([seed, part == "held"])
    reels = Reels(footage(part), random)
    yield from clean_cases(reels, clean)
    for cell, (opacity, size) in enumerate(product(OPACITIES, SIZES)):
        for number in range(each + each // 2):
            kind = "timer" if number >= each else ("logo", "text")[number % 2]
            asked = Mark(kind, "", size, opacity, "", (0, 0, 0))
            yield marked_case(reels, random, asked, part=part, number=cell + number)


def scanned(path: Path) -> list[Shot]:
    """The clips of a real file with their keyframes, by the true path."""
    with tempfile.TemporaryDirectory() as folder:
        clips = scan(str(path), folder, Split().model_dump(), 2, MAX_PIXELS)["clips"]
        return [
            Shot(
                f"{number:06}",
                {one["position"]: (Path(folder) / one["file"]).read_bytes() for one in clip["keyframes"]},
                {"start_pts": clip["start_pts"]},
            )
            for number, clip in enumerate(clips)
        ]


def report(outcomes: list[Outcome]) -> dict[str, Any]:
    """Print the tables; the figures of the last line."""
    clean = [one for one in outcomes if one.case.mark is None]
    timers = [one for one in outcomes if one.case.mark and one.case.mark.kind == "timer"]
    marked = [one for one in outcomes if one.case.mark and one.case.mark.kind != "timer"]
    for name, ones in (("logos and text", marked), ("timers", timers)):
        print(
            f"\nrecall, {name} ({len(ones)} videos)\nopacity  "
            + "  ".join(f"{size:>5.0%}" for size in SIZES)
            + "    all"
        )
        for opacity in OPACITIES:
            row = [one for one in ones if one.case.mark and one.case.mark.opacity == opacity]
            cells = [[one for one in row if one.case.mark and one.case.mark.size == size] for size in SIZES]
            print(f"{opacity:>7}  " + "  ".join(f"{_share(cell):5.2f}" for cell in [*cells, row]))
    _print_clean(clean)
    strong = [one for one in marked if one.case.mark and one.case.mark.opacity >= 0.5]
    alarms = sum(one.is_found for one in clean)
    found = sum(one.is_found for one in strong)
    values = [value for one in strong for value in one.told if value is not None]
    clean_values = [value for one in clean for value in one.told if value is not None]
    hits, wrong = (sum(value >= THRESHOLD for value in some) for some in (values, clean_values))
    cpu_ms = 1000 * sum(one.cpu_s for one in outcomes)
    return {
        "recall_at_50": round(_share(strong), 4),
        "recall_at_50_told": round(_share([one for one in strong if one.is_told]), 4),
        "precision": round(found / max(found + alarms, 1), 4),
        "clip_recall_at_50": round(hits / max(len(values), 1), 4),
        "clip_precision": round(hits / max(hits + wrong, 1), 4),
        "curve": _curve(marked),
        "curve_timers": _curve(timers),
        "told": round(sum(one.is_told for one in marked) / max(len(marked), 1), 4),
        "videos": len(strong),
        "clean": len(clean),
        "ms_per_clip": round(cpu_ms / sum(len(one.told) for one in outcomes), 1),
        "ms_per_picture": round(cpu_ms / sum(len(shot.keyframes) for one in outcomes for shot in one.case.shots), 2),
    }


def _print_clean(clean: list[Outcome]) -> None:
    by_kind: dict[str, list[Outcome]] = defaultdict(list)
    for one in clean:
        by_kind[one.case.kind].append(one)
    print("\nclean videos: kind, videos, false alarms, nothing told")
    for kind, ones in by_kind.items():
        silent = sum(not one.is_told for one in ones)
        print(f"{kind:>10} {len(ones):4} {sum(one.is_found for one in ones):4} {silent:4}")


def _share(ones: list[Outcome]) -> float:
    return sum(one.is_found for one in ones) / len(ones) if ones else 0.0


def _curve(ones: list[Outcome]) -> dict[str, float]:
    return {
        str(opacity): round(_share([one for one in ones if one.case.mark and one.case.mark.opacity == opacity]), 4)
        for opacity in OPACITIES
    }


def _print_real() -> None:
    print("\nreal videos as they are: clips, pictures, watermark (least, median, most), box of the surest")
    for name in (*REAL, *REAL_MORE):
        path = find(name)
        if path is None:
            continue
        shots = scanned(path)
        rows = Watermark().measure(shots)
        values = [row["watermark"] for row in rows if row["watermark"] is not None]
        surest = max(rows, key=lambda row: row["watermark"] or 0.0)["watermark_box"]
        said = (
            f"{min(values):.2f} {statistics.median(values):.2f} {max(values):.2f} {surest}"
            if values
            else "nothing told"
        )
        print(f"{name:>36} {len(shots):3} {sum(len(shot.keyframes) for shot in shots):4}  {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("held", "tune"), default="held")
    parser.add_argument("--each", type=int, default=6)
    parser.add_argument("--clean", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    print(describe())
    _print_real()
    outcomes = [judge(case) for case in cases(args.part, each=args.each, clean=args.clean, seed=args.seed)]
    figures = report(outcomes)
    for one in outcomes:
        if one.is_found != (one.case.mark is not None) and not (one.case.mark and one.case.mark.opacity < 0.5):
            print("wrong:", one.case.kind, one.case.mark, [value and round(value, 2) for value in one.told])
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
