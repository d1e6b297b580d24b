"""Camera moves of known rates over real footage: windows that pan, tilt, zoom and roll over pictures larger than they, that
shake as a hand does, or stand, also before a subject that fills a third, with parallax, without much texture, on twos, with
noise, and coded coarsely.

The footage that thresholds were chosen on (`tune`) and that they are told by (`held`) have no file in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from tests.footage import BUNDLED_SPANS, SHARED_SPANS, Footage, Picture, Span

SIZE = (384, 216)
STEADY = ("pad", "launch", "bird", "crowd", "globe", "street", "screen", "hands")
"""Looks that a camera on a tripod took, or was drawn so: points of the ground stay within 0.2 px of 640."""
STANDS_UNTIL = {"launch": 147}
"""Frames of a file from which the camera follows what it shows."""
TRIPOD_KINDS = ("live", "noise", "subject", "coarse", "live", "twos", "live", "noise")
"""What stands in turn before a tripod."""
GRAPHICS = ("refine", "dots", "cc", "circle", "red", "rights", "icons", "slide", "bars", "book")
"""Looks that are flat colours, mostly: there is no camera in them."""
UNCLEAR = ("mountain", "snow", "smith", "girl", "alley", "board")
"""Looks too dark or misty for a truth, or of one pattern repeated."""
LIVE = ("live", "noise")
"""Kinds whose ground moves."""
BARE = ("street", "screen")
"""Looks that show nothing in most places: no move over them is seen, but that the camera stands is."""

MOVES = {
    "pan left": (-1, 0, 0, 0),
    "pan right": (1, 0, 0, 0),
    "tilt up": (0, 1, 0, 0),
    "tilt down": (0, -1, 0, 0),
    "zoom in": (0, 0, 1, 0),
    "zoom out": (0, 0, -1, 0),
    "roll clockwise": (0, 0, 0, 1),
    "roll counterclockwise": (0, 0, 0, -1),
}
LABELS = ("static", *MOVES, "handheld")
RATES = ((4, 50), (5, 60), (5, 40), (3, 30))
"""Least and largest: pan, % of the width a second; tilt, % of the height; zoom, %; roll, degrees."""
PLANS: tuple[tuple[str, ...], ...] = (
    ("static",),
    *((move,) for move in MOVES),
    ("handheld",),
    ("static",),
    ("handheld",),
    ("pan left", "tilt up"),
    ("pan right", "zoom in"),
    ("tilt down", "zoom out"),
    ("handheld", "pan right"),
    ("handheld", "pan left"),
    ("roll clockwise", "zoom in"),
    ("handheld", "tilt up"),
)
KINDS = ("still", "live", "subject", "parallax", "plain", "coarse", "twos", "still", "live")
"""Over a still; over footage in which something moves; with a subject that fills a third; with a nearer layer; with little
texture; at a high compression; every picture shown twice."""
FPS = (24, 25, 30, 50, 60)
SWAY, BROAD = "sway", "broad"
"""A hand's unrest: three waves, or waves of all frequencies from 0.5 to 10 Hz, which move it equally fast."""
SPEED = 0.074 * (2 / 24) ** 0.5
"""Of each of these 24, shares of the width a second."""


@dataclass(frozen=True)
class Shot:
    """A camera's plan: the signed rates of `RATES` and how much a hand shakes it, 0 for not at all: 1 is 7.4 % of the
    width, and of the height, a second, root mean square."""

    kind: str
    labels: tuple[str, ...]
    rates: tuple[float, float, float, float]
    hand: float
    fps: int
    seconds: float
    crf: int
    spectrum: str = SWAY


@dataclass(frozen=True)
class Case:
    """A written shot of the camera with its truth."""

    shot: Shot
    look: str
    path: Path


def footage(part: str) -> Footage:
    """What is moved over: of the bundled media (`held`), or of the shared ones where they are (`tune`)."""
    spans = [
        span for span in (BUNDLED_SPANS if part == "held" else SHARED_SPANS) if span.look not in GRAPHICS + UNCLEAR
    ]
    return Footage(replace(span, last=min(span.last, STANDS_UNTIL.get(span.look, span.last))) for span in spans)


def cases(folder: Path, part: str, count: int, *, seed: int = 0, given: Footage | None = None) -> Iterator[Case]:
    """Write so many shots, each plan and each kind in turn; the same arguments give the same shots."""
    held = given or footage(part)
    for number in range(count):
        random = np.random.default_rng([seed, number, part == "held"])
        labels = PLANS[number % len(PLANS)]
        kind = KINDS[(number // len(PLANS) + number) % len(KINDS)]
        yield _written(folder, held, plan(labels, kind, random), random)


def tripods(folder: Path, part: str, count: int, *, seed: int = 0) -> Iterator[Case]:
    """Write so many shots of a camera that stands: windows of all sizes and times, of footage from a tripod where it is live."""
    given = footage(part)
    for number in range(count):
        random = np.random.default_rng([seed, number, part == "held", 1])
        kind = TRIPOD_KINDS[number % len(TRIPOD_KINDS)]
        yield _written(folder, given, plan(("static",), kind, random), random)


def _written(folder: Path, held: Footage, shot: Shot, random: np.random.Generator) -> Case:
    view = Scenery(held, shot, random)
    path = folder / f"{random.integers(2**40):x}.mp4"
    write(path, view, shot)
    return Case(shot, view.span.look, path)


def plan(labels: tuple[str, ...], kind: str, random: np.random.Generator) -> Shot:
    """Draw a shot's rates: of two moves neither hides the other."""
    rates = np.zeros(4)
    strength = random.uniform(0, 1)
    for label in labels:
        if label in MOVES:
            share = np.clip(strength + random.uniform(-0.1, 0.1), 0, 1)
            low, high = np.array(RATES).T
            rates += np.array(MOVES[label]) * low * (high / low) ** share
    hand = float(random.uniform(0.6, 2.0)) if "handheld" in labels else 0.0
    if len(labels) > 1 and hand:  # a pan that is seen beside the hand's sway
        rates, hand = np.sign(rates) * random.uniform(14, 25), min(hand, 1.3)
    fps = int(random.choice(FPS)) if kind != "twos" else 24
    crf = int(random.integers(32, 36)) if kind == "coarse" else int(random.integers(18, 26))
    seconds = float(random.uniform(3, 6))
    first, second, third, fourth = (float(one) for one in rates)
    spectrum = str(random.choice([SWAY, BROAD]))
    return Shot(kind, labels, (first, second, third, fourth), hand, fps, seconds, crf, spectrum)


class Scenery:
    """The pictures that a shot's camera takes; iterate for them."""

    def __init__(self, held: Footage, shot: Shot, random: np.random.Generator) -> None:
        self._held, self._shot, self._random = held, shot, random
        steady = STEADY if shot.kind in LIVE else [span.look for span in held.spans]
        bare = () if shot.kind in LIVE and shot.labels == ("static",) else BARE
        spans = [span for span in held.spans if span.look in steady and span.look not in bare]
        self.span: Span = spans[int(random.integers(len(spans)))]
        self._at = int(random.integers(held.length(self.span)))
        self._other = held.frame(held.spans[int(random.integers(len(held.spans)))], 5)
        self._hand = _hand(_waves(shot.spectrum, random))
        self._room = float(random.uniform(0.5, 0.65) if shot.labels != ("static",) else random.uniform(0.4, 1.0))
        zoom = shot.rates[2] / 100
        if zoom < 0:  # so that it ends where others begin
            self._room *= np.exp(max(zoom * shot.seconds, -1.2))
        self._turn = float(random.uniform(0, 2 * np.pi))
        self._noise = float(random.uniform(4, 16))

    def __iter__(self) -> Iterator[Picture]:
        step = 2 if self._shot.kind == "twos" else 1
        for number in range(round(self._shot.fps * self._shot.seconds)):
            yield self._taken(number // step * step)

    def _taken(self, number: int) -> Picture:
        seconds, shot = number / shot_fps(self._shot), self._shot
        ground = self._held.frame(self.span, self._at + (number if shot.kind in LIVE else 0))
        if shot.kind == "plain":
            ground = _plain(ground)
        picture = self._window(ground, seconds, depth=1.0)
        if shot.kind == "parallax":
            near = self._window(self._other, seconds, depth=1.5)
            rows = round(SIZE[1] * 0.7)
            picture = picture.copy()
            picture[rows:] = near[rows:]
        if shot.kind == "subject":
            picture = self._with_subject(picture, seconds)
        if shot.kind == "noise":
            noise = self._random.normal(0, self._noise, picture.shape)
            picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
        return picture

    def _window(self, ground: Picture, seconds: float, *, depth: float) -> Picture:
        """What is seen of a picture; of one that is nearer all moves but a zoom's are `depth` times as fast."""
        pan, tilt, zoom, roll = self._shot.rates
        hand = self._hand(seconds) * self._shot.hand
        scale = self._room * np.exp(-zoom / 100 * seconds)
        gone = self._room * (1 - np.exp(-zoom / 100 * seconds)) / (zoom / 100) if zoom else self._room * seconds
        x = ground.shape[1] * (0.5 + depth * (pan / 100 * gone + hand[0] * scale))
        y = ground.shape[0] * (0.5 - depth * (tilt / 100 * gone + hand[1] * scale))
        angle = np.radians(roll * seconds) + hand[2]
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
        turn *= ground.shape[1] / SIZE[0]
        centre = np.array([x, y]) - turn @ (np.array(SIZE) / 2)
        matrix = np.column_stack([turn, centre])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(ground, matrix, SIZE, flags=flags, borderMode=cv2.BORDER_REFLECT_101), np.uint8
        )

    def _with_subject(self, picture: Picture, seconds: float) -> Picture:
        """A body with a texture of its own goes to and fro before the camera, and fills a third of the picture."""
        width, height = SIZE
        centre = round(width * (0.5 + 0.3 * np.sin(self._turn + 1.2 * seconds))), round(height * 0.55)
        mask = np.zeros((height, width), np.uint8)
        cv2.ellipse(mask, centre, (round(width * 0.2), round(height * 0.5)), 0, 0, 360, 255, -1)
        body = cv2.warpAffine(
            cv2.resize(self._other, SIZE),
            np.array([[1.0, 0.0, centre[0] - width / 2], [0.0, 1.0, 4 * np.sin(9 * seconds)]]),
            SIZE,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return np.asarray(np.where(mask[:, :, None] > 0, body, picture), np.uint8)


def shot_fps(shot: Shot) -> float:
    """Pictures a second."""
    return float(shot.fps)


def _waves(spectrum: str, random: np.random.Generator) -> list[npt.NDArray[np.float64]]:
    """Frequency, amplitude and phase of the waves, (n, 3), by which a hand moves a camera across, down and about."""
    if spectrum == SWAY:
        bands = np.array([(0.4, 1.0, 0.012), (1.2, 2.5, 0.006), (4.0, 8.0, 0.0015)])
        some = [random.uniform(bands[:, 0], bands[:, 1]) for _ in range(3)]
        return [np.column_stack([hz, bands[:, 2], random.uniform(0, 2 * np.pi, 3)]) for hz in some]
    some = [np.exp(random.uniform(np.log(0.5), np.log(10), 24)) for _ in range(3)]
    return [np.column_stack([hz, SPEED / (2 * np.pi * hz), random.uniform(0, 2 * np.pi, len(hz))]) for hz in some]


def _hand(waves: list[npt.NDArray[np.float64]]) -> Any:
    """What a hand does by time: shares of the width and of the height, and radians."""
    transposed = [some.T for some in waves]

    def at(seconds: float) -> npt.NDArray[np.float64]:
        sums = [np.sum(most * np.sin(2 * np.pi * hz * seconds + phase)) for hz, most, phase in transposed]
        return np.array([sums[0], sums[1], sums[2] * 0.5])

    return at


def _plain(picture: Picture) -> Picture:
    blurred = cv2.GaussianBlur(picture, (0, 0), 5)
    return np.asarray(cv2.convertScaleAbs(blurred, alpha=0.6, beta=50), np.uint8)


def write(path: Path, view: Iterable[Picture], shot: Shot) -> None:
    """Encode what the camera sees."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            "libx264", rate=shot.fps, options={"preset": "veryfast", "crf": str(shot.crf)}
        )
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(view):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, shot.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
