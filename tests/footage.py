"""Real footage for made-up edits: spans that were looked at and hold one shot each, and what a camera may do to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
ROOT = Path(__file__).parent.parent
BUNDLED = ROOT / "pipelines" / "demo" / "media"
SHARED = ROOT.parent / "shared" / "media"
"""More real videos, with their origins; absent on most machines."""

STORED = (640, 360)
"""Size in which the spans are held, px."""

LONGEST = 96
"""Frames of a span that are held at most, from its first."""


@dataclass(frozen=True)
class Span:
    """Frames first <= index < last of a file, one shot; spans of one `look` resemble each other. `bars`: share of the
    picture's height that is a black bar at the top, and again at the bottom."""

    file: str
    first: int
    last: int
    look: str
    bars: float = 0.0


BUNDLED_SPANS = (
    Span("cockatoo.mp4", 0, 58, "cockatoo"),
    Span("cockatoo.mp4", 78, 154, "cockatoo"),
    Span("cockatoo.mp4", 156, 224, "cockatoo"),  # opens with the camera thrown about: one shot all the same
    Span("cockatoo.mp4", 228, 280, "cockatoo"),
    Span("bigbuckbunny_720p.mp4", 0, 62, "bunny"),
    Span("bigbuckbunny_720p.mp4", 62, 132, "bunny"),
    Span("oa4_launch.webm", 0, 73, "pad"),
    Span("oa4_launch.webm", 75, 194, "launch"),
    Span("birds_720p.mp4", 0, 31, "birds"),
    Span("wannaworktogether_30s.mp4", 222, 318, "refine"),
    Span("wannaworktogether_30s.mp4", 360, 560, "dots"),
    Span("wannaworktogether_30s.mp4", 845, 899, "cc"),
)
SHARED_SPANS = (
    Span("bbb_0_30_720p.webm", 60, 280, "meadow"),
    Span("bbb_0_30_720p.webm", 285, 374, "brook"),
    Span("bbb_0_30_720p.webm", 378, 486, "bird"),
    Span("bbb_0_30_720p.webm", 553, 592, "cave"),
    Span("bbb_0_30_720p.webm", 628, 684, "cave"),
    Span("cosmos_test_video_30s.mp4", 24, 66, "mountain", 0.14),
    Span("cosmos_test_video_30s.mp4", 110, 150, "snow", 0.14),
    Span("cosmos_test_video_30s.mp4", 254, 284, "smith", 0.14),
    Span("cosmos_test_video_30s.mp4", 288, 312, "girl", 0.14),
    Span("cosmos_test_video_30s.mp4", 412, 450, "alley", 0.14),
    Span("cosmos_test_video_30s.mp4", 496, 521, "fire", 0.14),
    Span("cosmos_test_video_30s.mp4", 525, 571, "roofs", 0.14),  # something flies past close by
    Span("cosmos_test_video_30s.mp4", 575, 608, "wings", 0.14),
    Span("cosmos_test_video_30s.mp4", 650, 708, "dragon", 0.14),  # a body fills the picture and leaves it again
    Span("wannaworktogether.mp4", 262, 362, "circle"),
    Span("wannaworktogether.mp4", 900, 972, "book"),
    Span("wannaworktogether.mp4", 1180, 1330, "globe"),
    Span("wannaworktogether.mp4", 1740, 1892, "red"),
    Span("wannaworktogether.mp4", 1940, 2024, "rights"),
    Span("wannaworktogether.mp4", 2424, 2494, "crowd"),
    Span("wannaworktogether.mp4", 2512, 2700, "icons"),
    Span("wannaworktogether.mp4", 2846, 2884, "hands"),
    Span("cityCC0.mpg", 0, 115, "towers"),
    Span("cityCC0.mpg", 117, 190, "tower"),  # the file holds a cut, at 116
    Span("intel_car-detection.mp4", 60, 106, "street"),
    Span("intel_car-detection.mp4", 186, 240, "street"),
    Span("intel_car-detection.mp4", 318, 346, "street"),
    Span("dog_1080p.mp4", 0, 41, "dog"),
    Span("screencast_hello_720p.mp4", 0, 249, "screen"),
    Span("androidx_720p_15fps.mp4", 0, 15, "bars"),
    Span("androidx_portrait_4k60.mp4", 0, 18, "board"),
    Span("slides_1080p.mp4", 260, 340, "slide"),
)
STILLS = ("birds", "pad", "bunny", "meadow", "brook", "towers", "tower", "street", "dog", "crowd", "globe")
"""Looks with detail all over, for moves of the camera over a picture."""


class Footage:
    """The spans' frames, held as JPEG (about 60 kB each), so that any sequence can be put together from them."""

    def __init__(self, spans: Iterable[Span]) -> None:
        by_file: dict[Path, list[Span]] = {}
        for span in spans:
            if (path := find(span.file)) is not None:
                by_file.setdefault(path, []).append(span)
        self._held: dict[Span, list[Picture]] = {}
        for path, wanted in by_file.items():
            for span in wanted:
                self._held[span] = []
            self._read(path, wanted)

    def and_of(self, spans: Iterable[Span]) -> Footage:
        """These frames and those of more spans."""
        more = Footage(spans)
        more._held = self._held | more._held
        return more

    @property
    def spans(self) -> list[Span]:
        """The spans whose files are there."""
        return list(self._held)

    def length(self, span: Span) -> int:
        """Frames held of a span."""
        return len(self._held[span])

    def frame(self, span: Span, at: int) -> Picture:
        """A frame of the span, BGR; over the end it runs back, then forth again, so that no end makes a cut."""
        held = self._held[span]
        turn = at % max(2 * len(held) - 2, 1)
        return np.asarray(cv2.imdecode(held[min(turn, 2 * len(held) - 2 - turn)], cv2.IMREAD_COLOR), dtype=np.uint8)

    def _read(self, path: Path, wanted: Sequence[Span]) -> None:
        last = max(min(span.last, span.first + LONGEST) for span in wanted)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for index, picture in enumerate(container.decode(stream)):
                if index >= last:
                    break
                for span in wanted:
                    if span.first <= index < min(span.last, span.first + LONGEST):
                        self._held[span].append(_packed(picture, span.bars))


def find(file: str) -> Path | None:
    """Where a video of the tables lies, if it does."""
    return next((folder / file for folder in (BUNDLED, SHARED) if (folder / file).exists()), None)


def _packed(picture: av.VideoFrame, bars: float) -> Picture:
    width, height = STORED
    bgr = picture.reformat(width=width, height=round(height / (1 - 2 * bars)), format="bgr24").to_ndarray()
    top = (bgr.shape[0] - height) // 2
    jpeg = cv2.imencode(".jpg", bgr[top : top + height], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return np.asarray(jpeg, dtype=np.uint8)


def window(picture: Picture, size: tuple[int, int], *, x: float, y: float, scale: float) -> Picture:
    """The part of a picture that a camera sees: `scale` of its width and height, at x, y (0-1, of the room there is)."""
    height, width = picture.shape[:2]
    matrix = np.array(
        [
            [scale * width / size[0], 0, x * width * (1 - scale)],
            [0, scale * height / size[1], y * height * (1 - scale)],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, dtype=np.uint8)


def flash(picture: Picture, strength: float) -> Picture:
    """A flash of light: everything near white at strength 1."""
    return np.asarray(cv2.addWeighted(picture, 1 - 0.8 * strength, picture, 0, 250 * 0.8 * strength), dtype=np.uint8)


def occlude(picture: Picture, at: float) -> Picture:
    """Something dark and out of focus passes close to the lens, from the left (at 0) to the right (at 1)."""
    height, width = picture.shape[:2]
    shade = _shade(width, height)
    left = round((width + shade.shape[1]) * at) - shade.shape[1]
    low, high = max(left, 0), min(left + shade.shape[1], width)
    out = picture.copy()
    if high > low:
        part = shade[:, low - left : high - left, None]
        out[:, low:high] = (out[:, low:high] * (1 - part) + 14 * part).astype(np.uint8)
    return out


@cache
def _shade(width: int, height: int) -> npt.NDArray[np.float32]:
    """How much of the light is kept off: a body wider than three quarters of the picture, with soft sides."""
    across = np.linspace(-1, 1, round(0.9 * width), dtype=np.float32)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    edge = np.clip((0.85 + 0.1 * np.sin(5 * down) - np.abs(across)[None, :]) / 0.12, 0, 1)
    return np.asarray(edge, dtype=np.float32)
