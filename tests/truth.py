"""The truth suite: edits of real footage whose every boundary is known, in many codecs, rates and sizes, and how to score against it.

`python -m tests.truth FOLDER [--parts small|full]` writes it, with a count of what is in it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np

from tests.footage import BUNDLED_SPANS, SHARED_SPANS, STILLS, Footage, Picture, Span, flash, occlude, window

os.environ.setdefault("SVT_LOG", "1")  # errors only: SVT-AV1 tells its life on stderr
Found = tuple[int, int]
"""A transition as a detector tells it: frames end of the shot before (exclusive), start of the shot after."""


@dataclass(frozen=True)
class Boundary:
    """Between two shots: `start` is the frame after the last clean one of the old shot, `end` the first clean one of the
    new; they are the same for a hard cut, and frames start..end-1 are blended for a gradual transition."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Sequence:
    """A written video with its truth. `distractors` are spans in which something happens that is no boundary; frame n
    stands at ticks[n] * time_base."""

    name: str
    path: Path
    boundaries: tuple[Boundary, ...]
    distractors: tuple[Boundary, ...]
    ticks: tuple[int, ...]
    time_base: Fraction

    @property
    def n_frames(self) -> int:
        """Frames in the video."""
        return len(self.ticks)


# Scoring


def pairs(found: Many[Found], truth: Many[Boundary], tolerance: int) -> list[tuple[int, int]]:
    """The largest one-to-one matching, as (index in found, index in truth).

    A found transition [a, b] and the truth [start, end] match if they overlap once widened by `tolerance` frames: for a
    hard cut found as a hard cut, if they are at most `tolerance` frames apart.
    """
    holder: dict[int, int] = {}

    def place(one: int, tried: set[int]) -> bool:
        a, b = found[one]
        for other, boundary in enumerate(truth):
            if other in tried or a - tolerance > boundary.end or b + tolerance < boundary.start:
                continue
            tried.add(other)
            if other not in holder or place(holder[other], tried):
                holder[other] = one
                return True
        return False

    for one in range(len(found)):
        place(one, set())
    return sorted((one, other) for other, one in holder.items())


def score(found: Many[Found], truth: Many[Boundary], tolerance: int) -> tuple[int, int, int]:
    """True positives, false positives, false negatives."""
    right = len(pairs(found, truth, tolerance))
    return right, len(found) - right, len(truth) - right


def precision(right: int, wrong: int, missed: int) -> float:
    """Share of what was found that is true; 1 if nothing was found."""
    return right / (right + wrong) if right + wrong else 1.0


def recall(right: int, wrong: int, missed: int) -> float:
    """Share of the truth that was found; 1 if there is nothing to find."""
    return right / (right + missed) if right + missed else 1.0


def f1(right: int, wrong: int, missed: int) -> float:
    """Harmonic mean of precision and recall; 1 if there was nothing to find and nothing was found."""
    return 2 * right / (2 * right + wrong + missed) if right + wrong + missed else 1.0


# Making


@dataclass(frozen=True)
class Format:
    """How a sequence is coded."""

    codec: str
    ending: str
    options: tuple[tuple[str, str], ...]


FORMATS = {
    "h264": Format("libx264", "mp4", (("preset", "veryfast"), ("crf", "23"), ("bf", "3"))),
    "h264_open_gop": Format(
        "libx264",
        "mkv",
        (("preset", "veryfast"), ("crf", "23"), ("x264-params", "open-gop=1:keyint=24:min-keyint=8:bframes=3")),
    ),
    "hevc": Format(
        "libx265",
        "mp4",
        (("preset", "ultrafast"), ("crf", "25"), ("x265-params", "log-level=none:keyint=60:open-gop=1")),
    ),
    "vp9": Format("libvpx-vp9", "webm", (("crf", "32"), ("b", "0"), ("deadline", "realtime"), ("cpu-used", "8"))),
    "av1": Format("libsvtav1", "mp4", (("preset", "12"), ("crf", "35"))),
    "mpeg4": Format("mpeg4", "mp4", (("b", "2500000"),)),
}
RATES = tuple(
    Fraction(*rate) for rate in ((25, 1), (24000, 1001), (30, 1), (60000, 1001), (24, 1), (30000, 1001), (50, 1))
)
SIZES = ((320, 180), (480, 270), (426, 240), (640, 360))
KINDS: dict[str, tuple[str, ...]] = {
    "cuts": ("cut",) * 9,
    "mixed": ("cut", "dissolve", "cut", "fade_black", "wipe", "cut", "dissolve", "cut"),
    "fades": ("fade_black", "fade_white", "fade_black", "fade_black", "fade_white"),
    "flashes": ("flash", "cut", "flash", "flash", "cut", "strobe", "dissolve", "flash", "cut"),
    "camera": ("pan", "cut", "shake", "cut", "zoom", "cut", "pan", "zoom", "dissolve"),
    "passing": ("occlusion", "cut", "occlusion", "dissolve", "cut", "occlusion", "cut"),
    "dissolves": ("dissolve",) * 6,
    "wipes": ("wipe",) * 6,
    "quick": ("cut",) * 12,
}
DISTRACTORS = ("flash", "strobe", "pan", "zoom", "shake", "occlusion")
SMALL = ("cuts", "mixed", "fades", "flashes", "camera", "passing")
ROUNDS = 6
VFR_EVERY = 5
SHOT_FRAMES = {"quick": (16, 22)}
SHOT_FRAMES_ELSE = (22, 50)
UNLIKE_LEVELS = 12.0
"""Least mean difference between the thumbnails on both sides of a boundary, levels 0-255."""


def make_suite(
    folder: Path, *, parts: Literal["small", "full"] = "small", seed: int = 0, bundled: Footage | None = None
) -> list[Sequence]:
    """Write the sequences into `folder`; the same arguments (and media) give the same edits. `bundled`: their footage, if
    it is read already.

    `small` needs only the bundled media; `full` uses the shared ones too, where they are.
    """
    footage = bundled or Footage(BUNDLED_SPANS)
    footage = footage if parts == "small" else footage.and_of(SHARED_SPANS)
    kinds = SMALL if parts == "small" else tuple(KINDS) * ROUNDS
    sequences = []
    for number, kind in enumerate(kinds):
        round_, names = number // len(KINDS), list(FORMATS)
        format_ = names[(number + round_) % len(names)]
        rate, size = RATES[number % len(RATES)], SIZES[(number + round_) % (2 if parts == "small" else len(SIZES))]
        edit = Edit(footage, kind, size=size, random=np.random.default_rng([seed, number]))
        vfr = number % VFR_EVERY == VFR_EVERY - 1
        name = f"{number:02}_{kind}_{format_}_{size[1]}p_{'vfr' if vfr else f'{float(rate):.2f}'}"
        sequences.append(_write(folder, name, edit, format_=FORMATS[format_], rate=None if vfr else rate))
    return sequences


class _Shot:
    """The frames of a span through a window that a camera points."""

    def __init__(self, footage: Footage, span: Span, *, at: int, size: tuple[int, int], mirror: bool) -> None:
        self.span = span
        self.x, self.y, self.scale = 0.5, 0.5, 1.0
        self.still = False
        self._footage, self._size, self._mirror, self._at = footage, size, mirror, at

    def look(self) -> Picture:
        """The picture now."""
        picture = self._footage.frame(self.span, self._at)
        picture = picture[:, ::-1] if self._mirror else picture
        return window(picture, self._size, x=self.x, y=self.y, scale=self.scale)

    def next(self) -> Picture:
        """The picture now; the next one is one frame on."""
        picture = self.look()
        self._at += not self.still
        return picture


class Edit:
    """Cuts footage together by a plan; iterate for its frames, then read what was done from `boundaries`."""

    def __init__(self, footage: Footage, kind: str, *, size: tuple[int, int], random: np.random.Generator) -> None:
        self.size = size
        self.random = random
        self.boundaries: list[Boundary] = []
        self.distractors: list[Boundary] = []
        self._footage = footage
        self._events = KINDS[kind]
        self._shot_frames = SHOT_FRAMES.get(kind, SHOT_FRAMES_ELSE)
        self._shot: _Shot
        self._count = 0

    def __iter__(self) -> Iterator[Picture]:
        """The pictures, BGR."""
        for picture in self._frames():
            self._count += 1
            yield picture

    def _frames(self) -> Iterator[Picture]:
        self._shot = self._choose(self._events, after=None)
        for number, event in enumerate(self._events):
            start = self._count
            if event in DISTRACTORS:
                yield from self._plain(8, 13)
                start = self._count
                yield from getattr(self, f"_{event}")()
                self.distractors.append(Boundary(event, start, self._count))
                yield from self._plain(8, 13)
                continue
            yield from self._plain(*self._shot_frames)
            start = self._count
            new = self._choose(self._events[number + 1 :], after=self._shot)
            if event != "cut":
                yield from getattr(self, f"_{event}")(new)
            self.boundaries.append(Boundary(event, start, self._count))
            self._shot = new
        yield from self._plain(*self._shot_frames)

    def _plain(self, least: int, most: int) -> Iterator[Picture]:
        for _ in range(int(self.random.integers(least, most))):
            yield self._shot.next()

    def _choose(self, coming: tuple[str, ...], *, after: _Shot | None) -> _Shot:
        """A shot that looks unlike the one before, fit for what comes before the next transition."""
        inside = []
        for event in coming:
            if event not in DISTRACTORS:
                break
            inside.append(event)
        moves = [event for event in inside if event in ("pan", "zoom", "shake")]
        spans = [span for span in self._footage.spans if not moves or span.look in STILLS]
        while True:
            span = spans[int(self.random.integers(len(spans)))]
            at = int(self.random.integers(self._footage.length(span)))
            shot = _Shot(self._footage, span, at=at, size=self.size, mirror=bool(self.random.integers(2)))
            if moves:
                shot.still = "shake" not in moves
                shot.x, shot.scale = 0.05, 0.55
            if after is None or (span.look != after.span.look and _unlike(after.look(), shot.look())):
                return shot

    # transitions

    def _dissolve(self, new: _Shot) -> Iterator[Picture]:
        frames = int(self.random.integers(4, 41))
        for share in _ramp(frames):
            yield _blend(self._shot.next(), new.next(), share)

    def _fade_black(self, new: _Shot) -> Iterator[Picture]:
        yield from self._fade(new, level=0)

    def _fade_white(self, new: _Shot) -> Iterator[Picture]:
        yield from self._fade(new, level=255)

    def _fade(self, new: _Shot, *, level: int) -> Iterator[Picture]:
        out, hold, into = (int(self.random.integers(*span)) for span in ((4, 17), (0, 7), (4, 17)))
        plain = np.full((self.size[1], self.size[0], 3), level, dtype=np.uint8)
        for share in _ramp(out):
            yield _blend(self._shot.next(), plain, share)
        for _ in range(hold):
            yield plain
        for share in _ramp(into):
            yield _blend(plain, new.next(), share)

    def _wipe(self, new: _Shot) -> Iterator[Picture]:
        way = int(self.random.integers(4))
        for share in _ramp(int(self.random.integers(8, 31))):
            under, over = np.rot90(self._shot.next(), way), np.rot90(new.next(), way)
            edge = round(under.shape[1] * share)
            yield np.rot90(np.concatenate([over[:, :edge], under[:, edge:]], axis=1), -way)

    # what is no boundary

    def _flash(self) -> Iterator[Picture]:
        strength = float(self.random.uniform(0.6, 1.0))
        for _ in range(int(self.random.integers(1, 4))):
            yield flash(self._shot.next(), strength)

    def _strobe(self) -> Iterator[Picture]:
        for at in range(4 * int(self.random.integers(4, 8))):
            picture = self._shot.next()
            yield flash(picture, 0.8) if at % 4 < 2 else picture

    def _pan(self) -> Iterator[Picture]:
        start, goal = self._shot.x, 1 - self._shot.x
        for share in _ramp(int(self.random.integers(7, 15))):
            self._shot.x = start + (goal - start) * _eased(share)
            yield self._shot.next()
        self._shot.x = goal

    def _zoom(self) -> Iterator[Picture]:
        start, goal = self._shot.scale, float(self.random.choice([0.3, 1.0]))
        for share in _ramp(int(self.random.integers(7, 15))):
            self._shot.scale = start + (goal - start) * _eased(share)
            yield self._shot.next()
        self._shot.scale = goal

    def _shake(self) -> Iterator[Picture]:
        rest = self._shot.x, self._shot.y
        for _ in range(int(self.random.integers(15, 30))):
            self._shot.x, self._shot.y = (
                rest[0] + float(self.random.uniform(0, 0.2)),
                float(self.random.uniform(0.4, 0.6)),
            )
            yield self._shot.next()
        self._shot.x, self._shot.y = rest

    def _occlusion(self) -> Iterator[Picture]:
        for share in _ramp(int(self.random.integers(8, 22))):
            yield occlude(self._shot.next(), share)


def _ramp(frames: int) -> Iterator[float]:
    """Shares that rise evenly, neither 0 nor 1."""
    return ((number + 1) / (frames + 1) for number in range(frames))


def _eased(share: float) -> float:
    return share * share * (3 - 2 * share)


def _blend(old: Picture, new: Picture, share: float) -> Picture:
    return np.asarray(cv2.addWeighted(old, 1 - share, new, share, 0), dtype=np.uint8)


def _unlike(one: Picture, other: Picture) -> bool:
    small = [cv2.resize(picture, (32, 18), interpolation=cv2.INTER_AREA) for picture in (one, other)]
    return float(cv2.absdiff(*small).mean()) >= UNLIKE_LEVELS


def _write(folder: Path, name: str, edit: Edit, *, format_: Format, rate: Fraction | None) -> Sequence:
    """Encode an edit; without a rate, its frames come at irregular times (and some are lost, as phones do)."""
    path = folder / f"{name}.{format_.ending}"
    millis = rate is None or format_.ending != "mp4"
    time_base = Fraction(1, 1000) if millis or rate is None else Fraction(1, rate.numerator)
    ticks: list[int] = []
    options = {"video_track_timescale": str(time_base.denominator)} if format_.ending == "mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(format_.codec, rate=rate or 30, options=dict(format_.options))
        stream.width, stream.height, stream.pix_fmt = *edit.size, "yuv420p"
        stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.thread_count = 2
        for picture in edit:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame.pts, frame.time_base = _next_tick(ticks, rate, time_base, random=edit.random), time_base
            ticks.append(frame.pts)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Sequence(name, path, tuple(edit.boundaries), tuple(edit.distractors), tuple(ticks), time_base)


def _next_tick(ticks: list[int], rate: Fraction | None, time_base: Fraction, *, random: np.random.Generator) -> int:
    if rate is not None:
        return round(len(ticks) / rate / time_base)
    return ticks[-1] + int(random.choice([33, 33, 34, 40, 17, 67])) if ticks else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", choices=("small", "full"), default="small")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    suite = make_suite(args.folder, parts=args.parts, seed=args.seed)
    for sequence in suite:
        print(f"{sequence.name}: {sequence.n_frames} frames, {len(sequence.boundaries)} boundaries")
    for what, kinds in (("boundaries", "boundaries"), ("distractors", "distractors")):
        counts = Counter(one.kind for sequence in suite for one in getattr(sequence, kinds))
        print(f"{what}: {counts.total()}: " + ", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    frames = sum(sequence.n_frames for sequence in suite)
    print(f"{len(suite)} sequences, {frames} frames, written in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
