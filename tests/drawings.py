"""Drawn pictures over real footage: user interfaces, subtitles and title cards, all of them as a keyframe's JPEG."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hdvg.keyframes import Shot
from tests.footage import Picture

SIZE = (768, 432)
"""Width and height of a keyframe, px."""

POSITIONS = ("first", "middle", "last")
WORDS = (
    *("File", "Edit", "View", "Window", "Help", "Inbox", "Sent", "Settings", "report", "of", "sales", "for", "spring"),
    *("message", "from", "Anna", "about", "our", "meeting", "on", "Monday", "save", "cancel", "network", "display"),
)
Colour = tuple[int, int, int]


def keyframe(picture: Picture) -> bytes:
    """A picture of any size as it is stored."""
    small = cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())


def shot(pictures: Sequence[Picture], *, clip_id: str = "clip") -> Shot:
    """A clip of one, two or three pictures."""
    return Shot(clip_id, dict(zip(POSITIONS, map(keyframe, pictures), strict=False)), {})


def written(
    picture: Picture, lines: Sequence[str], *, size_px: int, fill: Colour = (255, 255, 255), middle: float = 0.5
) -> Picture:
    """A keyframe with centred lines of text; `middle`: where their middle lies, in picture heights."""
    canvas = Image.fromarray(cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA)[:, :, ::-1].copy())
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size_px)
    for number, line in enumerate(lines):
        top = middle * SIZE[1] + (number - len(lines) / 2) * 1.35 * size_px
        draw.text(((SIZE[0] - draw.textlength(line, font=font)) / 2, top), line, fill=fill, font=font)
    return np.asarray(canvas)[:, :, ::-1].copy()


def ground(colour: Colour) -> Picture:
    """A plain picture, BGR."""
    return np.full((SIZE[1], SIZE[0], 3), colour, np.uint8)


class Interface:
    """A made-up screen with a look of its own, the same for every frame: windows, lists, buttons, a bar."""

    def __init__(self, seed: int, *, kind: str) -> None:
        """`kind`: `page` fills the screen, `player` shows the footage in a window, `windows` lie over the footage."""
        self._rng = np.random.default_rng(seed)
        self._seed, self._kind = seed, kind
        tone = int(self._rng.integers(225, 256) if self._rng.integers(2) else self._rng.integers(15, 60))
        shift = self._rng.integers(-12, 13, 3)
        self._paper = self._colour(tone + shift)
        self._ink = self._colour(30 + shift) if tone > 128 else self._colour(220 + shift)
        self._bar = self._colour(np.clip(tone + (-45 if tone > 128 else 45) + shift, 0, 255))
        self._accent = self._colour(self._rng.integers(40, 220, 3))

    def over(self, footage: Picture) -> Picture:
        """What a recording of the screen shows while the footage plays."""
        self._rng = np.random.default_rng(self._seed)
        wide, high = SIZE
        small = cv2.resize(footage, SIZE, interpolation=cv2.INTER_AREA)[:, :, ::-1].copy()
        if self._kind == "page":
            canvas = Image.new("RGB", SIZE)
            self._window(canvas, (0, 0, wide - 1, high - 1))
        elif self._kind == "player":
            canvas = Image.new("RGB", SIZE, self._bar)
            edge = int(self._rng.integers(420, 560))
            self._window(canvas, (12, 12, edge, high - 50), film=small)
            self._window(canvas, (edge + 12, 12, wide - 12, high - 50))
        else:
            canvas = Image.fromarray(small)
            for _ in range(int(self._rng.integers(1, 3))):
                left, top = int(self._rng.integers(10, 300)), int(self._rng.integers(10, 120))
                right, bottom = left + int(self._rng.integers(260, 430)), top + int(self._rng.integers(170, 270))
                self._window(canvas, (left, top, right, bottom))
        return np.asarray(canvas)[:, :, ::-1].copy()

    def _window(self, canvas: Image.Image, box: tuple[int, int, int, int], *, film: Picture | None = None) -> None:
        left, top, right, bottom = box
        draw = ImageDraw.Draw(canvas)
        draw.rectangle(box, fill=self._paper, outline=self._bar)
        draw.rectangle((left, top, right, top + 24), fill=self._bar)
        self._line(draw, (left + 10, top + 4), width=right - left - 60)
        if film is not None:
            inner = (right - left - 16, bottom - top - 40)
            canvas.paste(Image.fromarray(cv2.resize(film, inner, interpolation=cv2.INTER_AREA)), (left + 8, top + 32))
            return
        for y in range(top + 36, bottom - 40, 22):
            self._line(draw, (left + 14, y), width=int((right - left - 40) * self._rng.uniform(0.3, 1)))
        draw.rectangle((right - 92, bottom - 32, right - 14, bottom - 10), fill=self._accent)
        self._line(draw, (right - 84, bottom - 29), width=60)

    def _line(self, draw: ImageDraw.ImageDraw, at: tuple[int, int], *, width: int) -> None:
        font, text = ImageFont.load_default(13), ""
        while draw.textlength(text, font=font) < width - 40:
            text += " " + str(self._rng.choice(WORDS))
        draw.text(at, text.strip(), fill=self._ink, font=font)

    @staticmethod
    def _colour(levels: np.ndarray) -> Colour:
        red, green, blue = (int(level) for level in np.clip(levels, 0, 255))
        return red, green, blue
