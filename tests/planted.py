"""Videos with marks, subtitles, tickers and bars planted in real footage, whose largest clean rectangle is therefore known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from hdvg.keyframes import Shot
from hdvg.measures.rectangles import Rectangle, largest
from tests.footage import BUNDLED_SPANS, SHARED_SPANS, Footage, Picture
from tests.overlays import Mark, box, random_mark, text
from tests.reels import TUNE_FILES, Reel, Reels, over, shots

KINDS = (
    "logo",
    "words",
    "subtitles",
    "ticker",
    "bars",
    "logo and subtitles",
    "bars and logo",
    "logo and ticker",
    "nothing",
)
SENTENCES = (
    "we never thought that it would", "look at this for a moment", "the river runs behind the house",
    "nobody has seen them since", "that was many years ago", "come here and sit down with us",
    "what did she say about it", "this is how it all began", "there is nothing left to do",
)  # fmt: skip
WRITTEN = (
    "refine",
    "dots",
    "cc",
    "circle",
    "book",
    "globe",
    "red",
    "rights",
    "crowd",
    "icons",
    "hands",
    "cave",
    "screen",
    "bars",
    "board",
    "slide",
)
"""Looks with text, logos or frames of their own."""
NEAR_ENOUGH = 0.97
"""A rectangle of this share of the largest one's area is as good an answer."""


@dataclass(frozen=True)
class Case:
    """A video as its keyframes, what was planted in it and where, and what is not bars; in shares of the picture."""

    kind: str
    what: tuple[str, ...]
    shots: list[Shot]
    boxes: tuple[Rectangle, ...]
    inside: Rectangle
    aspect: float


def cases(part: str, count: int, *, seed: int = 0) -> Iterator[Case]:
    """So many videos, each kind in turn; the same arguments give the same videos."""
    spans = [span for span in BUNDLED_SPANS + SHARED_SPANS if (span.file in TUNE_FILES) == (part == "tune")]
    plain = Footage(span for span in spans if span.look not in WRITTEN)
    reels = Reels(plain, np.random.default_rng([seed, part == "held", 1]))
    for number in range(count):
        random = np.random.default_rng([seed, number, part == "held"])
        yield case(reels, KINDS[number % len(KINDS)], random, part=part)


def case(reels: Reels, kind: str, random: np.random.Generator, *, part: str) -> Case:
    """A video of several shots with all of a kind's things in it."""
    reel, boxes, what = reels.make("multi"), list[Rectangle](), list[str]()
    inside = 0.0, 0.0, 1.0, 1.0
    height, width = reel[0][0].shape[:2]
    for thing in kind.split(" and "):
        if thing in ("logo", "words"):
            mark = _corner_mark(reel, random, "text" if thing == "words" else "logo", part)
            reel = over(reel, mark)
            left, top, wide, tall = box(mark, width, height)
            boxes.append((left, top, left + wide, top + tall))
            what.append(f"{mark.what} {mark.place} {mark.size}")
        elif thing in ("subtitles", "ticker"):
            reel, band = (_with_subtitles if thing == "subtitles" else _with_ticker)(reel, random)
            boxes.append(band)
            what.append(thing)
    if "bars" in kind:
        reel, inside = _with_bars(reel, random)
        boxes = [_within(one, inside) for one in boxes]
        height, width = reel[0][0].shape[:2]
    return Case(kind, tuple(what), shots(reel), tuple(boxes), inside, width / height)


def sides(row: Mapping[str, Any]) -> Rectangle:
    """The rectangle of a row's columns."""
    left, top = row["clean_left"], row["clean_top"]
    return left, top, left + row["clean_width"], top + row["clean_height"]


def likeness(found: Rectangle, one: Case) -> float:
    """IoU with the largest clean rectangle, or with another that is nearly as large, whichever is nearer."""
    best = largest(one.inside, one.boxes, aspect=one.aspect, allowed=())
    assert best is not None
    near = [best]
    for gone in range(len(one.boxes)):  # the other side of a box: as large rectangles lie beyond its other edges
        for edge in range(4):
            grown = list(one.boxes)
            widened = list(grown[gone])
            widened[edge] = one.inside[edge]
            grown[gone] = (widened[0], widened[1], widened[2], widened[3])
            other = largest(one.inside, grown, aspect=one.aspect, allowed=())
            if other is not None and _area(other) >= NEAR_ENOUGH * _area(best):
                near.append(other)
    return max(_iou(found, other) for other in near)


def holds_some(found: Rectangle, one: Case) -> bool:
    """Whether more than a tenth of something planted is left in the rectangle."""
    return any(_shared(found, box) > 0.1 * _area(box) for box in one.boxes)


def _corner_mark(reel: Reel, random: np.random.Generator, kind: str, part: str) -> Mark:
    """A mark in a corner, plainly seen in all of the reel."""
    picture = np.mean([one for clip in reel for one in clip], axis=0)
    while True:
        opacity = float(random.choice([0.5, 0.7, 0.9]))
        size = float(random.choice([0.08, 0.12, 0.16]))
        mark = random_mark(random, kind, part=part, size=size, opacity=opacity)
        mark = replace(mark, place=str(random.choice(["top left", "top right", "bottom left", "bottom right"])))
        height, width = picture.shape[:2]
        left, top, wide, tall = box(mark, width, height)
        under = picture[
            round(top * height) : round((top + tall) * height), round(left * width) : round((left + wide) * width)
        ]
        if np.abs(under - mark.colour).mean() > 60:
            return mark


def _with_subtitles(reel: Reel, random: np.random.Generator) -> tuple[Reel, Rectangle]:
    """White lines with a dark edge, another in every picture, all in one band; the band over the whole width."""
    height, width = reel[0][0].shape[:2]
    tall, bottom = round(height * float(random.uniform(0.045, 0.07))), round(height * float(random.uniform(0.9, 0.96)))
    order, number = random.permutation(len(SENTENCES)), 0
    lefts, rights, marked = [], [], []
    for clip in reel:
        pictures = []
        for picture in clip:
            alpha = text(SENTENCES[order[number % len(order)]])
            number += 1
            wide = min(round(alpha.shape[1] * tall / alpha.shape[0]), round(width * 0.9))
            left = (width - wide) // 2
            lefts.append(left)
            rights.append(left + wide)
            pictures.append(_laid(picture, alpha, (left, bottom - tall, wide, tall)))
        marked.append(pictures)
    return marked, (min(lefts) / width, (bottom - tall) / height, max(rights) / width, bottom / height)


def _with_ticker(reel: Reel, random: np.random.Generator) -> tuple[Reel, Rectangle]:
    """A strip over the whole width in which a long line runs from picture to picture."""
    height, width = reel[0][0].shape[:2]
    tall = round(height * float(random.uniform(0.06, 0.09)))
    top = height - tall - round(height * float(random.choice([0.0, 0.03])))
    alpha = text("  +++  ".join(SENTENCES[one] for one in random.permutation(len(SENTENCES))))
    high = round(tall * 0.55)
    line = cv2.resize(alpha, (round(alpha.shape[1] * high / alpha.shape[0]), high), interpolation=cv2.INTER_AREA)
    at, marked = 0, []
    for clip in reel:
        pictures = []
        for picture in clip:
            out = picture.copy()
            out[top : top + tall] = (120, 40, 20)
            shown = np.roll(line, -at, axis=1)[:, :width]
            shown = np.pad(shown, ((0, 0), (0, width - shown.shape[1])))[:, :, None]
            under = out[top + (tall - high) // 2 :][:high]
            under[:] = np.rint(under * (1 - shown) + 255 * shown).astype(np.uint8)
            pictures.append(out)
            at += width // 3
        marked.append(pictures)
    return marked, (0.0, top / height, 1.0, (top + tall) / height)


def _with_bars(reel: Reel, random: np.random.Generator) -> tuple[Reel, Rectangle]:
    """Black bars above and below, or on both sides; what is between them."""
    share, is_pillar = float(random.uniform(0.06, 0.16)), bool(random.integers(2))
    height, width = reel[0][0].shape[:2]
    bar = round(share * (width if is_pillar else height))
    pad = ((0, 0), (bar, bar), (0, 0)) if is_pillar else ((bar, bar), (0, 0), (0, 0))
    part = bar / ((width if is_pillar else height) + 2 * bar)
    inside = (part, 0.0, 1 - part, 1.0) if is_pillar else (0.0, part, 1.0, 1 - part)
    return [[np.pad(one, pad) for one in clip] for clip in reel], inside


def _laid(picture: Picture, alpha: Any, at: tuple[int, int, int, int]) -> Picture:
    left, top, wide, tall = at
    letters = cv2.resize(alpha, (wide, tall), interpolation=cv2.INTER_AREA)
    edge = cv2.dilate(letters, np.ones((3, 3), np.uint8))[:, :, None]
    out = picture.copy()
    under = out[top : top + tall, left : left + wide]
    dark = under * (1 - edge)
    under[:] = np.rint(dark * (1 - letters[:, :, None]) + 255 * letters[:, :, None]).astype(np.uint8)
    return out


def _within(one: Rectangle, inside: Rectangle) -> Rectangle:
    wide, tall = inside[2] - inside[0], inside[3] - inside[1]
    left, top, right, bottom = one
    return inside[0] + left * wide, inside[1] + top * tall, inside[0] + right * wide, inside[1] + bottom * tall


def _area(one: Rectangle) -> float:
    return max(one[2] - one[0], 0.0) * max(one[3] - one[1], 0.0)


def _shared(one: Rectangle, other: Rectangle) -> float:
    return _area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))


def _iou(one: Rectangle, other: Rectangle) -> float:
    both = _shared(one, other)
    return both / (_area(one) + _area(other) - both)
