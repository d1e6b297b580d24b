"""How well and how fast each detector finds the boundaries of the truth suite, through the whole one-pass scan.

Run: python -m tests.bench.bench_shots [--detectors cascade,transnetv2] [--parts small] [--repeats 3] [--videos 9]. Prints
precision, recall and F1 at tolerance 0 and 2 frames, recall by kind, false positives by what fooled the detector, and
frames a second. The last line is one JSON object: `f1_cascade`, `f1_network` (tolerance 2), `cascade_speedup` (seconds the
network adds to the scans of unedited videos, over those the cascade adds: they hold as many shots as videos do),
`cascade_speedup_suite` (the same over the suite: a boundary every two seconds, four in ten of them slow), `off_by_one` (hard
cuts found at exactly ±1 frame by the cascade, or by the first detector that works), `boundaries`, `errors`, and `detectors`
with figures of each. A detector that fails is named and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from hdvg.config.sections import Run, Split
from hdvg.errors import ItemError
from hdvg.media import calls
from hdvg.shots import DETECTORS as OURS
from hdvg.shots import NETWORKS
from tests.bench.machine import MAX_PIXELS, MULTISHOT, Child, describe, find, multishot
from tests.truth import Boundary, Found, Sequence, f1, make_suite, pairs, precision, recall, score

DETECTORS = tuple(OURS)
BASE, NETWORK, CASCADE = "adaptive", "transnetv2", "cascade"
REAL = (MULTISHOT, "bbb_0_30_720p.webm", "cosmos_test_video_30s.mp4", "wannaworktogether.mp4")
TOLERANCES = (0, 2)


@dataclass
class Tally:
    """What one detector did over the suite."""

    counts: dict[int, list[int]] = field(default_factory=lambda: {tolerance: [0, 0, 0] for tolerance in TOLERANCES})
    found_kinds: Counter[str] = field(default_factory=Counter)
    all_kinds: Counter[str] = field(default_factory=Counter)
    fooled_by: Counter[str] = field(default_factory=Counter)
    off_by_one: int = 0
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    peak_mb: float = 0.0

    def add(self, sequence: Sequence, found: Many[Found]) -> None:
        """Count what was found in a sequence."""
        truth = sequence.boundaries
        for tolerance in TOLERANCES:
            outcome = score(found, truth, tolerance)
            self.counts[tolerance] = [a + b for a, b in zip(self.counts[tolerance], outcome, strict=True)]
        matched = pairs(found, truth, max(TOLERANCES))
        self.all_kinds.update(one.kind for one in truth)
        self.found_kinds.update(truth[other].kind for _, other in matched)
        used = {one for one, _ in matched}
        self.fooled_by.update(_fooled(sequence, one) for at, one in enumerate(found) if at not in used)
        self.off_by_one += off_by_one(found, truth)

    def scan_s(self) -> float:
        """Seconds of the whole scan over the suite: the sum of the sequences' medians."""
        return sum(statistics.median(times) for times in self.seconds.values())


def _fooled(sequence: Sequence, found: Found) -> str:
    """What a false positive stands in, or close behind."""
    near = [one for one in sequence.distractors if one.start - 2 <= found[1] and found[0] <= one.end + 2]
    if near:
        return near[0].kind
    near = [one for one in sequence.boundaries if one.start - 4 <= found[1] and found[0] <= one.end + 4]
    return f"beside a {near[0].kind}" if near else "footage"


def transitions(clips: list[dict[str, Any]]) -> list[Found]:
    """What lies between neighbouring clips of one scan; where a long shot was merely divided lies nothing."""
    return [(one["end_frame"], two["start_frame"]) for one, two in pairwise(clips) if two.get("opens_with") != "part"]


def off_by_one(found: Many[Found], truth: Many[Boundary]) -> int:
    """Hard cuts that were found as a hard cut exactly one frame early or late, and not at their own frame."""
    cuts = {one.start for one in truth if one.kind == "cut"}
    sharp = {a for a, b in found if a == b}
    return sum(cut not in sharp and bool(sharp & {cut - 1, cut + 1}) for cut in cuts)


def detection_seconds(scan_s: dict[str, float], detector: str) -> float | None:
    """What a detector costs alone: seconds of its scan over those of the base scan, which decodes, measures and runs
    PySceneDetect's adaptive detector. None without both figures."""
    if detector not in scan_s or BASE not in scan_s:
        return None
    return max(scan_s[detector] - scan_s[BASE], 0.0)


def speedup(scan_s: dict[str, float]) -> float | None:
    """The network's own seconds over the cascade's own seconds; None if there is nothing to divide by."""
    network, cascade = detection_seconds(scan_s, NETWORK), detection_seconds(scan_s, CASCADE)
    return round(network / cascade, 2) if network is not None and cascade else None


class Bench:
    """Scans in a child, one that has loaded the network where a detector needs it, and keeps what became of each."""

    def __init__(self, child: Child, network_child: Child, *, detectors: Many[str], threads: int) -> None:
        self.child = child
        self.network_child = network_child
        self.threads = threads
        self.tallies = {name: Tally() for name in detectors}
        self.errors: dict[str, str] = {}

    def scan(self, detector: str, path: Path) -> tuple[list[Found], float, float] | None:
        """Transitions, seconds and peak memory; None if the detector failed, now or before."""
        if detector in self.errors:
            return None
        try:
            settings = Split(detector=detector).model_dump()
            with tempfile.TemporaryDirectory() as out:
                child = self.network_child if detector in NETWORKS else self.child
                asked = calls.scan(str(path), out, settings, self.threads, MAX_PIXELS)
                result, seconds, peak = child.call(asked)
        except ItemError as error:
            lines = str(error).strip().splitlines()
            self.errors[detector] = lines[-1] if lines else repr(error)
            print(f"FAILED {detector}: {self.errors[detector]}", flush=True)
            return None
        return transitions(result["clips"]), seconds, peak

    def suite(self, suite: Many[Sequence], repeats: int) -> None:
        """Every detector over every sequence, in turns."""
        for turn in range(repeats):
            for sequence in suite:
                for name, tally in self.tallies.items():
                    if (done := self.scan(name, sequence.path)) is None:
                        continue
                    found, seconds, peak = done
                    tally.seconds[sequence.name].append(seconds)
                    tally.peak_mb = max(tally.peak_mb, peak)
                    if turn == 0:
                        tally.add(sequence, found)

    def real(self, paths: Many[Path], repeats: int) -> dict[str, float]:
        """Seconds of each detector's scans of real videos: the sum of the videos' medians."""
        total: dict[str, float] = defaultdict(float)
        for path in paths:
            times: dict[str, list[float]] = defaultdict(list)
            for _ in range(repeats):
                for name, tally in self.tallies.items():
                    if (done := self.scan(name, path)) is not None:
                        times[name].append(done[1])
                        tally.peak_mb = max(tally.peak_mb, done[2])
            for name, some in times.items():
                total[name] += statistics.median(some)
        return {name: seconds for name, seconds in total.items() if name not in self.errors}


def figures(bench: Bench, frames: int) -> dict[str, dict[str, Any]]:
    """Each working detector's numbers."""
    working = {name: tally for name, tally in bench.tallies.items() if name not in bench.errors}
    scan_s = {name: tally.scan_s() for name, tally in working.items()}
    table: dict[str, dict[str, Any]] = {}
    for name, tally in working.items():
        row: dict[str, Any] = {}
        for tolerance, counts in tally.counts.items():
            row |= {
                f"p{tolerance}": precision(*counts),
                f"r{tolerance}": recall(*counts),
                f"f1_{tolerance}": f1(*counts),
            }
        alone = detection_seconds(scan_s, name)
        row = {key: round(value, 4) for key, value in row.items()}
        row |= {"off_by_one": tally.off_by_one, "frames_per_s": round(frames / scan_s[name], 1)}
        row |= {"scan_s": round(scan_s[name], 2), "detection_s": None if alone is None else round(alone, 2)}
        row |= {"detection_frames_per_s": round(frames / alone, 1) if alone else None, "peak_mb": round(tally.peak_mb)}
        row["recall_by_kind"] = {
            kind: round(tally.found_kinds[kind] / count, 4) for kind, count in sorted(tally.all_kinds.items())
        }
        row["false_by_cause"] = dict(tally.fooled_by.most_common())
        table[name] = row
    return table


def show(table: dict[str, dict[str, Any]]) -> None:
    """The table, for people."""
    columns = ("p0", "r0", "f1_0", "p2", "r2", "f1_2", "off_by_one", "frames_per_s", "detection_s", "peak_mb")
    print(f"{'detector':20}" + "".join(f"{name:>13}" for name in columns))
    for name, row in table.items():
        print(f"{name:20}" + "".join(f"{row[column] if row[column] is not None else '-':>13}" for column in columns))
    for name, row in table.items():
        print(f"{name}: recall " + ", ".join(f"{kind} {share:.2f}" for kind, share in row["recall_by_kind"].items()))
        print(f"{name}: false " + (", ".join(f"{n} {why}" for why, n in row["false_by_cause"].items()) or "none"))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detectors", type=lambda text: text.split(","), default=list(DETECTORS), metavar="A,B,C")
    parser.add_argument("--parts", choices=("small", "full"), default="full")
    parser.add_argument("--repeats", type=int, default=1, help="more make the seconds surer; the rest is the same")
    parser.add_argument("--videos", type=int, help="only that many sequences of the suite")
    parser.add_argument("--threads", type=int, default=Run().decode_threads, help="decoder threads")
    return parser


def main() -> None:
    args = parser().parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as folder, Child() as child, Child(NETWORK) as network_child:
        suite = make_suite(Path(folder), parts=args.parts)[: args.videos]
        frames, boundaries = (
            sum(map(len, some)) for some in zip(*((s.ticks, s.boundaries) for s in suite), strict=True)
        )
        print(f"input: {len(suite)} sequences, {frames} frames, {boundaries} boundaries; {args.repeats} repeats")
        bench = Bench(child, network_child, detectors=args.detectors, threads=args.threads)
        bench.suite(suite, args.repeats)
        videos = [path for name in REAL if (path := find(name))] or [multishot(Path(folder))[0]]
        real_s = bench.real(videos, args.repeats)
    table = figures(bench, frames)
    show(table)
    print(f"unedited videos {', '.join(path.name for path in videos)}, seconds of the scans: ", end="")
    print(", ".join(f"{name} {seconds:.2f}" for name, seconds in real_s.items()))
    chosen = CASCADE if CASCADE in table else next(iter(table), None)
    summary = {
        "f1_cascade": table.get(CASCADE, {}).get("f1_2"),
        "f1_network": table.get(NETWORK, {}).get("f1_2"),
        "cascade_speedup": speedup(real_s),
        "cascade_speedup_suite": speedup({name: row["scan_s"] for name, row in table.items()}),
        "off_by_one": table[chosen]["off_by_one"] if chosen else None,
        "off_by_one_of": chosen,
        "boundaries": boundaries,
        "frames": frames,
        "errors": bench.errors,
        "detectors": table,
    }
    print(json.dumps(summary))
    sys.exit(1 if bench.errors else 0)


if __name__ == "__main__":
    main()
