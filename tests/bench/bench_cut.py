"""What splitting and cutting a video costs in each of our modes, and whether the clips are the frames they promise.

Run: python -m tests.bench.bench_cut [--repeats 3] [--modes smart,encode,copy] [--videos NAME,NAME] [--truth small|full].
In turns, on the same 720p video of many shots: our scan and then our cut, in children as users run them; PySceneDetect's
`detect-adaptive split-video` at the same preset and crf, and with `--copy`; and ffmpeg encoding the whole video once.
Every clip is decoded and compared frame by frame with its source. With --truth, spans of every sequence of the truth suite
are cut in smart and encode mode too. The last line is one JSON object: `vs_split_video` and `vs_split_video_encode`
(split-video's seconds over ours: scan + smart, scan + encode), `size_ratio` (smart: bytes of the clips over the bytes of
the source's packets of the same spans), `off_by_one` (smart and encode, everywhere: frames that are another frame than
promised, and frames too many or too few; must be 0), `ssim_ours`, `ssim_peer` (encode, split-video), `peak_mb`, and
`modes`, `peers`, `truth` with figures of each. With several --videos, the figures are medians, `off_by_one` and `peak_mb`
the sum and the largest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from scenedetect import AdaptiveDetector, detect

from hdvg.config.cut import Cut
from hdvg.config.sections import Run, Split
from hdvg.media import calls
from hdvg.media.decode import Decoder, open_video
from tests.bench.likeness import Likeness, Thumbs, compare, ssim, thumbs
from tests.bench.machine import MAX_PIXELS, Child, clocked, describe, ffmpeg, multishot, scenedetect, spread
from tests.footage import find
from tests.truth import Sequence, make_suite

MODES = ("smart", "encode", "copy")
EXACT_MODES = ("smart", "encode")


@dataclass(frozen=True)
class Clip:
    """A cut file and the source frames start..end-1 that it promises."""

    path: Path
    start: int
    end: int


class Source:
    """A source video: thumbnails and pts of its frames, bytes of its packets by pts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thumbs: Thumbs = thumbs(path)
        with open_video(str(path), threads=2, max_pixels=MAX_PIXELS) as (container, stream):
            decoder = Decoder(container, stream)
            self.pts = [frame.pts for frame in decoder]
            self.end_pts = decoder.end_pts
            self.time_base = stream.time_base
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        self.packets = {packet.pts: packet.size for packet in packets if packet.pts is not None}

    def span(self, clip_id: str, start: int, end: int) -> dict[str, Any]:
        """Frames start..end-1 as the cutter is asked for them."""
        ticks = [*self.pts, self.end_pts]
        return {
            "clip_id": clip_id,
            "time_base": f"{self.time_base.numerator}/{self.time_base.denominator}",
            "start_pts": ticks[start],
            "end_pts": ticks[end],
            "start_frame": start,
            "end_frame": end,
            "n_frames": end - start,
        }

    def bytes_of(self, clip: Clip) -> int:
        """Bytes of the packets of a clip's frames."""
        return sum(self.packets.get(pts, 0) for pts in self.pts[clip.start : clip.end])

    def likeness(self, clips: Many[Clip]) -> list[Likeness]:
        """Each clip against this source."""
        return [compare(thumbs(clip.path), self.thumbs, clip.start, clip.end) for clip in clips]


def verdict(source: Source, clips: Many[Clip], *, quality: bool = True) -> dict[str, Any]:
    """Size, exactness and (if asked) quality of a set of clips."""
    found = source.likeness(clips)
    size = sum(clip.path.stat().st_size for clip in clips)
    row: dict[str, Any] = {
        "clips": len(clips),
        "exact_clips": sum(one.exact for one in found),
        "wrong_count": sum(one.frames_more != 0 for one in found),
        "wrong_first": sum(one.first_off != 0 for one in found),
        "wrong_last": sum(one.last_off != 0 for one in found),
        "shifted": sum(one.shift != 0 for one in found),
        "frames_off": sum(one.frames_off + abs(one.frames_more) for one in found),
        "bytes": size,
        "size_ratio": round(size / max(sum(source.bytes_of(clip) for clip in clips), 1), 3),
    }
    if quality:
        aligned = [
            (clip.path, max(clip.start + one.first_off, 0), clip.end) for clip, one in zip(clips, found, strict=True)
        ]
        value = ssim(aligned, source.path)
        row["ssim"] = None if value is None else round(value, 5)
    return row


class Ours:
    """Scan and cut through the child."""

    def __init__(self, child: Child, threads: int, crf: int) -> None:
        self.child = child
        self.threads = threads
        self.crf = crf
        self.peak_mb: dict[str, float] = defaultdict(float)
        self.failures: list[str] = []

    def scan(self, path: Path) -> tuple[list[dict[str, Any]], float]:
        """Clips and seconds."""
        with tempfile.TemporaryDirectory() as out:
            asked = calls.scan(str(path), out, Split().model_dump(), self.threads, MAX_PIXELS)
            found, seconds, peak = self.child.call(asked)
        self.peak_mb["scan"] = max(self.peak_mb["scan"], peak)
        spans = [{key: value for key, value in clip.items() if key != "keyframes"} for clip in found["clips"]]
        more = {"decode_errors": found["video"]["decode_errors"]}
        return [{"clip_id": f"{number:04}"} | more | span for number, span in enumerate(spans)], seconds

    def cut(self, path: Path, mode: str, spans: list[dict[str, Any]], out: Path) -> tuple[list[dict[str, Any]], float]:
        """The cutter's rows and seconds."""
        out.mkdir()
        settings = Cut.model_validate({"mode": mode, "crf": self.crf}).model_dump()
        rows, seconds, peak = self.child.call(calls.cut(str(path), str(out), spans, settings, MAX_PIXELS))
        self.peak_mb[mode] = max(self.peak_mb[mode], peak)
        for row in rows:
            if "reason" in row:
                self.failures.append(f"{mode} {path.name} {row['clip_id']}: {row['reason']} {row.get('detail', '')}")
                print(f"FAILED {self.failures[-1]}", flush=True)
        return rows, seconds


def clips_of(rows: list[dict[str, Any]], spans: list[dict[str, Any]], source: Source, out: Path) -> list[Clip]:
    """The cut files with the frames they promise; `copy` may promise fewer than it was asked for."""
    by_id = {span["clip_id"]: span for span in spans}
    index = {pts: at for at, pts in enumerate(source.pts)}
    clips = []
    for row in rows:
        if "file" in row:
            span = by_id[row["clip_id"]]
            start = index[row.get("cut_start_pts", span["start_pts"])]
            clips.append(Clip(out / row["file"], start, start + row.get("cut_n_frames", span["n_frames"])))
    return clips


class Peers:
    """PySceneDetect's command line, and ffmpeg."""

    def __init__(self, folder: Path, crf: int, preset: str) -> None:
        self.folder = folder
        self.quality = ("-crf", str(crf), "-preset", preset)
        self.split_args = {
            "split-video": ("-q", "-crf", str(crf), "-p", preset),
            "split-video --copy": ("-q", "--copy"),
        }

    def split_video(self, path: Path, name: str, turn: str) -> tuple[Path, float]:
        """The folder of the clips, and seconds."""
        out = self.folder / f"{name.replace(' ', '')}-{turn}"
        out.mkdir()
        command = ("-i", str(path), "detect-adaptive", "split-video", *self.split_args[name], "-o", str(out))
        return out, clocked(lambda: scenedetect(*command, folder=out))[0]

    def whole(self, path: Path, turn: str) -> float:
        """Seconds to encode everything once."""
        target = self.folder / f"whole-{turn}.mp4"
        said = ("-i", str(path), "-map", "0:v:0", "-c:v", "libx264", *self.quality, str(target))
        seconds = clocked(lambda: ffmpeg(*said))[0]
        target.unlink()
        return seconds

    def clips(self, path: Path, out: Path) -> list[Clip]:
        """What split-video wrote, with the frames its detector promised."""
        scenes = detect(str(path), AdaptiveDetector())
        spans = [(start.frame_num, end.frame_num) for start, end in scenes]
        return [Clip(file, *span) for file, span in zip(sorted(out.iterdir()), spans, strict=True)]


def bench_video(ours: Ours, peers: Peers, path: Path, *, modes: Many[str], repeats: int) -> dict[str, Any]:
    """Everything about one video: seconds of each way, in turns, then the figures of the last turn's clips."""
    source = Source(path)
    times: dict[str, list[float]] = defaultdict(list)
    outs: dict[str, Path] = {}
    cut_rows: dict[str, list[dict[str, Any]]] = {}
    spans: list[dict[str, Any]] = []
    for turn in range(repeats):
        spans, seconds = ours.scan(path)
        times["scan"].append(seconds)
        for mode in modes:
            outs[mode] = peers.folder / f"{path.stem}-{mode}-{turn}"
            cut_rows[mode], seconds = ours.cut(path, mode, spans, outs[mode])
            times[mode].append(seconds)
        for name in peers.split_args:
            outs[name], seconds = peers.split_video(path, name, f"{path.stem}-{turn}")
            times[name].append(seconds)
        times["ffmpeg whole"].append(peers.whole(path, f"{path.stem}-{turn}"))
    table: dict[str, Any] = {"modes": {}, "peers": {}, "seconds": {key: spread(some) for key, some in times.items()}}
    median = {name: statistics.median(some) for name, some in times.items()}
    for mode in modes:
        clips = clips_of(cut_rows[mode], spans, source, outs[mode])
        total = median["scan"] + median[mode]
        row = {"seconds": total, "cut_seconds": median[mode], "seconds_per_clip": total / max(len(clips), 1)}
        row = {key: round(value, 3) for key, value in row.items()} | verdict(source, clips)
        row["as"] = dict(Counter(one.get("cut_mode", "not said") for one in cut_rows[mode]))
        row["copied_frames"] = sum(one.get("copied_frames", 0) or 0 for one in cut_rows[mode])
        row["peak_mb"] = round(max(ours.peak_mb["scan"], ours.peak_mb[mode]))
        table["modes"][mode] = row | {"failed": sum("reason" in one for one in cut_rows[mode])}
    for name in peers.split_args:
        clips = peers.clips(path, outs[name])
        seconds = round(median[name], 3)
        row = {"seconds": seconds, "seconds_per_clip": round(seconds / max(len(clips), 1), 3)}
        table["peers"][name] = row | verdict(source, clips)
    table["peers"]["ffmpeg whole"] = {"seconds": round(median["ffmpeg whole"], 3)}
    return table


def bench_truth(ours: Ours, suite: Many[Sequence], folder: Path, modes: Many[str]) -> dict[str, dict[str, Any]]:
    """Cut the clean shots of every sequence; exactness by mode."""
    table: dict[str, dict[str, Any]] = {mode: Counter() for mode in modes}
    for sequence in suite:
        source = Source(sequence.path)
        edges = [0, *(at for one in sequence.boundaries for at in (one.start, one.end)), sequence.n_frames]
        shots = list(zip(edges[::2], edges[1::2], strict=True))
        spans = [source.span(f"{number:04}", *shot) for number, shot in enumerate(shots)]
        for mode in modes:
            out = folder / f"{sequence.name}-{mode}"
            rows, seconds = ours.cut(sequence.path, mode, spans, out)
            row = verdict(source, clips_of(rows, spans, source, out), quality=False)
            del row["size_ratio"]
            extra = {"asked": len(spans), "seconds": round(seconds, 3)}
            extra["copied_frames"] = sum(one.get("copied_frames", 0) or 0 for one in rows)
            table[mode].update(row | extra)  # type: ignore[attr-defined]
            if row["exact_clips"] != len(spans):
                print(f"{mode} {sequence.name}: {row['exact_clips']} of {len(spans)} clips exact")
    return {mode: dict(row) for mode, row in table.items()}


def show(table: dict[str, Any]) -> None:
    """One video's figures, for people."""
    print("seconds: " + ", ".join(f"{name} {some}" for name, some in table["seconds"].items()))
    columns = (
        "seconds",
        "seconds_per_clip",
        "clips",
        "exact_clips",
        "wrong_count",
        "wrong_first",
        "wrong_last",
        "shifted",
    )
    columns += ("frames_off", "size_ratio", "ssim", "copied_frames", "peak_mb")
    print(f"{'':20}" + "".join(f"{name[:12]:>13}" for name in columns))
    for name, row in (table["modes"] | table["peers"]).items():
        print(f"{name:20}" + "".join(f"{row.get(column, '-'):>13}" for column in columns))


def summary(tables: Many[dict[str, Any]], truth: dict[str, dict[str, Any]], peak_mb: float) -> dict[str, Any]:
    """The figures of the last line."""

    def median(pick: Any) -> float | None:
        values = [pick(table) for table in tables if _has(pick, table)]
        return round(statistics.median(values), 4) if values else None

    split = "split-video"
    wrong = sum(t["modes"][mode]["frames_off"] for t in tables for mode in EXACT_MODES if mode in t["modes"])
    wrong += sum(row.get("frames_off", 0) for mode, row in truth.items() if mode in EXACT_MODES)
    return {
        "vs_split_video": median(lambda t: t["peers"][split]["seconds"] / t["modes"]["smart"]["seconds"]),
        "vs_split_video_encode": median(lambda t: t["peers"][split]["seconds"] / t["modes"]["encode"]["seconds"]),
        "size_ratio": median(lambda t: t["modes"]["smart"]["size_ratio"]),
        "off_by_one": wrong,
        "ssim_ours": median(lambda t: t["modes"]["encode"]["ssim"]),
        "ssim_smart": median(lambda t: t["modes"]["smart"]["ssim"]),
        "ssim_peer": median(lambda t: t["peers"][split]["ssim"]),
        "peak_mb": round(peak_mb),
    }


def _has(pick: Any, table: dict[str, Any]) -> bool:
    try:
        return pick(table) is not None
    except KeyError:
        return False


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--videos", type=lambda text: text.split(","), default=[], help="names in the media folders")
    parser.add_argument("--modes", type=lambda text: text.split(","), default=list(MODES))
    parser.add_argument("--truth", choices=("small", "full"), nargs="?", const="full", help="cut the truth suite too")
    parser.add_argument("--threads", type=int, default=Run().decode_threads, help="decoder threads of our scan")
    parser.add_argument("--crf", type=int, default=Cut().crf, help="of all encodes, ours and theirs")
    return parser


def main() -> None:
    args = parser().parse_args()
    print(describe())
    tables, truth = {}, {}
    with tempfile.TemporaryDirectory() as name, Child() as child:
        folder = Path(name)
        ours, peers = Ours(child, args.threads, args.crf), Peers(folder, args.crf, Cut().preset)
        videos = [(path, "as asked") for file in args.videos if (path := find(file))] or [multishot(folder)]
        for path, origin in videos:
            print(f"input: {path.name} ({origin}), {args.repeats} repeats, in turns; all at crf {args.crf}")
            tables[path.name] = bench_video(ours, peers, path, modes=args.modes, repeats=args.repeats)
            show(tables[path.name])
        if args.truth:
            made = folder / "truth"
            made.mkdir()
            modes = [mode for mode in args.modes if mode in EXACT_MODES]
            truth = bench_truth(ours, make_suite(made, parts=args.truth), folder, modes)
            for mode, row in truth.items():
                print(f"truth suite ({args.truth}), {mode}: " + ", ".join(f"{k} {v}" for k, v in row.items()))
    print(describe())
    line = summary(list(tables.values()), truth, max(ours.peak_mb.values()))
    print(json.dumps(line | {"failures": ours.failures, "videos": tables, "truth": truth}))


if __name__ == "__main__":
    main()
