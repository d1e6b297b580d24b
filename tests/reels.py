"""Reels: videos as their keyframe packs hold them, made of real footage, with a mark over them or without.

A reel is a list of clips, each a list of pictures (BGR) in order of time. The marks and the footage that the measure was
tuned on (`tune`) and those it is judged by (`held`) have neither a file nor a shape nor a text in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hdvg.keyframes import Shot
from hdvg.media.assemble import ENOUGH_PICTURES, FEW_CLIPS
from tests.footage import BUNDLED_SPANS, SHARED_SPANS, STILLS, Footage, Picture, Span, window
from tests.overlays import Mark, box, draw, random_mark

Reel = list[list[Picture]]
TUNE_FILES = (
    "bbb_0_30_720p.webm",
    "cosmos_test_video_30s.mp4",
    "intel_car-detection.mp4",
    "slides_1080p.mp4",
    "dog_1080p.mp4",
    "cityCC0.mpg",
)
CONTRAST_LEVELS = 24.0
"""Least difference between a mark's colour and what is under it, in at least half of the pictures: what nobody sees is no mark."""


def over(reel: Reel, mark: Mark, *, clips: range | None = None) -> Reel:
    """The reel with the mark in all its clips, or in some of them; half a second between pictures."""
    marked, count = [], 0
    for number, clip in enumerate(reel):
        has = clips is None or number in clips
        marked.append([draw(one, mark, 0.53 * (count + at)) if has else one for at, one in enumerate(clip)])
        count += len(clip)
    return marked


def shots(reel: Reel, *, quality: int = 90, coded: int = 75) -> list[Shot]:
    """The reel as the pack holds it; before, every picture is coded once at quality `coded`, as videos are."""
    made = []
    for number, clip in enumerate(reel):
        names = ("first", "middle", "last", *(f"extra-{at}" for at in range(len(clip) - 3)))
        order = _thirds(clip)
        jpegs = [_jpeg(_decoded(_jpeg(one, coded)), quality) for one in order]
        measures = {"start_pts": number, "end_pts": number + 1}
        made.append(Shot(f"{number:032}", dict(zip(names, jpegs, strict=False)), measures))
    return made


def _thirds(clip: list[Picture]) -> list[Picture]:
    """First, middle, last, then the others."""
    at = (
        [min(round(share * (len(clip) - 1)), len(clip) - 1) for share in (1 / 6, 1 / 2, 5 / 6)]
        if len(clip) > 3
        else [*range(len(clip))]
    )
    return [clip[one] for one in at] + [one for number, one in enumerate(clip) if number not in at]


def _jpeg(picture: Picture, quality: int) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _decoded(jpeg: bytes) -> Picture:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


ASPECTS = ((768, 432), (768, 432), (768, 432), (640, 360), (768, 326), (768, 576), (432, 768))


class Reels:
    """Makes reels of real footage; the same seed gives the same reels."""

    def __init__(self, footage: Footage, random: np.random.Generator) -> None:
        self._footage, self._random = footage, random

    def make(self, kind: str) -> Reel:
        """A reel of one of CLEAN_KINDS."""
        reel: Reel = getattr(self, f"_{kind}")()
        return reel

    def _multi(self, least: int = 4, most: int = 10) -> Reel:
        """Several shots, few looks twice."""
        size = ASPECTS[self._random.integers(len(ASPECTS))]
        count = int(self._random.integers(least, most))
        return [self.shot(span, size) for span in self._choose(count)]

    def _few(self) -> Reel:
        """Two or three shots with their extra pictures."""
        size = ASPECTS[self._random.integers(len(ASPECTS))]
        spans = self._choose(int(self._random.integers(2, FEW_CLIPS + 1)))
        return [self.shot(span, size, pictures=ENOUGH_PICTURES // len(spans)) for span in spans]

    def _letterbox(self) -> Reel:
        """Several shots between black bars."""
        share = float(self._random.uniform(0.08, 0.14))
        return [[_bars_around(one, share) for one in clip] for clip in self._multi()]

    def _moving(self) -> Reel:
        """One shot with a moving camera."""
        spans = [one for one in self._footage.spans if one.look in STILLS]
        span = spans[self._random.integers(len(spans))]
        size = ASPECTS[self._random.integers(len(ASPECTS))]
        zoom = float(self._random.uniform(0.5, 0.8))
        ends = self._random.uniform(0, 1, (2, 2))
        while np.abs(ends[0] - ends[1]).max() < 0.5:
            ends = self._random.uniform(0, 1, (2, 2))
        length, clip = self._footage.length(span), []
        for number in range(ENOUGH_PICTURES):
            share = number / (ENOUGH_PICTURES - 1)
            x, y = ends[0] * (1 - share) + ends[1] * share
            scale = zoom * (1 + 0.2 * share)
            clip.append(window(self._footage.frame(span, round(share * (length - 1))), size, x=x, y=y, scale=scale))
        return [clip]

    def _still(self) -> Reel:
        """One shot of a camera that stands."""
        spans = [one for one in self._footage.spans if one.look in (*STILLS, "screen", "slide", "board")]
        span = spans[self._random.integers(len(spans))]
        picture = self._footage.frame(span, 0)
        noise = [self._random.normal(0, 2, picture.shape) for _ in range(ENOUGH_PICTURES)]
        return [[np.clip(picture + one, 0, 255).astype(np.uint8) for one in noise]]

    def _talk(self) -> Reel:
        """Two or three standing cameras in turn, as in an interview: each view comes back again and again."""
        size = ASPECTS[self._random.integers(len(ASPECTS))]
        views = [self.shot(span, size) for span in self._choose(int(self._random.integers(2, 4)))]
        clips = []
        for number in range(int(self._random.integers(6, 12))):
            view = views[number % len(views)][0]
            clips.append([np.clip(view + self._random.normal(0, 2, view.shape), 0, 255).astype(np.uint8)] * 3)
        return clips

    def _studio(self) -> Reel:
        """A camera that stands, and before it a screen on which footage plays."""
        back, front = self._choose(2)
        picture = self.shot(back, (768, 432))[0]
        clip = []
        for moving in self.shot(front, (320, 180), pictures=ENOUGH_PICTURES):
            one = np.clip(picture + self._random.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
            one[120:300, 220:540] = moving
            clip.append(one)
        return [clip]

    def _choose(self, count: int) -> list[Span]:
        spans = self._footage.spans
        chosen: list[Span] = []
        while len(chosen) < count:
            span = spans[self._random.integers(len(spans))]
            if not chosen or span.look != chosen[-1].look:
                chosen.append(span)
        return chosen

    def shot(self, span: Span, size: tuple[int, int], pictures: int = 3) -> list[Picture]:
        """Pictures of a part of the span, cropped to the shape of `size`, without distortion."""
        length = self._footage.length(span)
        most = max(min(length, int(self._random.integers(24, 97))), 2)
        start = int(self._random.integers(length - most + 1))
        shares = [(2 * number + 1) / (2 * pictures) for number in range(pictures)]
        return [_cropped(self._footage.frame(span, start + round(share * (most - 1))), size) for share in shares]


MARKED_KINDS = ("multi", "few", "letterbox", "multi", "moving")
CLEAN_KINDS = ("multi", "few", "letterbox", "moving", "still", "talk", "studio")


def _cropped(picture: Picture, size: tuple[int, int]) -> Picture:
    height, width = picture.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    wide, tall = round(size[0] / scale), round(size[1] / scale)
    left, top = (width - wide) // 2, (height - tall) // 2
    part = picture[top : top + tall, left : left + wide]
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8)


def _bars_around(picture: Picture, share: float) -> Picture:
    height, width = picture.shape[:2]
    bar = round(share * height)
    page = np.full((height + 2 * bar, width, 3), 0, np.uint8)
    page[bar : bar + height] = picture
    return page


@dataclass(frozen=True)
class Case:
    """A reel as the measure gets it, with the mark that lies over all of its clips, or None."""

    kind: str
    mark: Mark | None
    shots: list[Shot]


def footage(part: str) -> Footage:
    """The footage to tune on or the held-out footage, as far as it is there."""
    return Footage(span for span in BUNDLED_SPANS + SHARED_SPANS if (span.file in TUNE_FILES) == (part == "tune"))


def clean_cases(reels: Reels, count: int) -> Iterator[Case]:
    """Reels without a mark, of each kind in turn."""
    for number in range(count):
        kind = CLEAN_KINDS[number % len(CLEAN_KINDS)]
        yield Case(kind, None, shots(reels.make(kind)))


def marked_case(reels: Reels, random: np.random.Generator, asked: Mark, *, part: str, number: int) -> Case:
    """A reel with a mark of the kind, size and opacity asked for, elsewhere of its own choice."""
    kind = MARKED_KINDS[number % len(MARKED_KINDS)]
    reel = reels.make(kind)
    while True:
        mark = random_mark(random, asked.kind, part=part, size=asked.size, opacity=asked.opacity)
        if _shows(reel, mark):
            return Case(kind, mark, shots(over(reel, mark), coded=int(random.integers(50, 90))))


def _shows(reel: Reel, mark: Mark) -> bool:
    pictures = [one for clip in reel for one in clip]
    height, width = pictures[0].shape[:2]
    left, top, wide, tall = box(mark, width, height)
    rows = slice(round(top * height), round((top + tall) * height))
    columns = slice(round(left * width), round((left + wide) * width))
    apart = [float(np.abs(one[rows, columns].astype(np.int16) - mark.colour).mean()) for one in pictures]
    return float(np.median(apart)) >= CONTRAST_LEVELS


def shared(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes (left, top, width, height)."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    tall = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(wide, 0.0) * max(tall, 0.0)
    return both / (one[2] * one[3] + other[2] * other[3] - both)
