"""Features: what the one pass keeps of every frame: scores, measures, small pictures; and sampled pictures for keyframes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, VideoReformatter

from hdvg.measures import MEASURES, phash
from hdvg.measures.phash import SIDE_PX, hash_pairs, small
from hdvg.measures.series import Picture, Sight, Values, View
from hdvg.media.blocked import Pictures
from hdvg.media.decode import Frame
from hdvg.shots import NETWORKS
from hdvg.shots.scores import SCORES

THUMB = (48, 27)
"""Width and height of the picture that may be kept of every frame: TransNetV2's input."""

SAMPLES_PER_S = 2
PER_S: dict[Sight, float] = {"hash": 8, "glance": 2, "look": 1, "stare": 0.5}
"""How often measures look closer."""
FRESH_LEVELS = 12.0
LATELY = 3
"""A new shot may begin where a frame's score is over 12, and over twice that of so many before it."""
TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

LUMA_FIRST = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray")
"""Formats whose first plane is luminance, a byte a pixel."""

FULL_RANGE = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
"""Levels 0-255 of levels 16-235."""


@dataclass(frozen=True)
class Sample:
    """A picture that may become a keyframe: its frame, upright BGR (H, W, 3) or already a JPEG, and its perceptual hash."""

    index: int
    pts: int
    width: int
    height: int
    picture: Picture | bytes
    phash: str


def sample(index: int, pts: int, bgr: Picture) -> Sample:
    """A sample of an upright picture (H, W, 3)."""
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    return Sample(index, pts, bgr.shape[1], bgr.shape[0], bgr, phash(grey))  # type: ignore[arg-type]  # cv2 types no uint8


@dataclass(frozen=True)
class Chunk:
    """Features of n frames in a row; indices in `series` and `samples` count from the chunk's first frame."""

    pts: npt.NDArray[np.int64]
    looks: npt.NDArray[np.uint8]
    """(n, 64): the frame upright at 8 x 8 grey levels."""
    thumbs: npt.NDArray[np.uint8]
    """(n, 27, 48, 3) RGB, not turned; none if neither the detector nor the stitching looks at them."""
    hashes: npt.NDArray[np.uint64]
    """(m, 3): index of a frame and its two perceptual hashes, upright (measures.phash.hash_pairs); of about 8 frames a second."""
    scores: dict[str, npt.NDArray[np.float64]]
    series: dict[str, Values]
    samples: list[Sample] = field(default_factory=list)


class Features:
    """Sees frames in order, gives chunks; `shape` is media.decode.geometry's."""

    def __init__(self, shape: dict[str, Any], settings: dict[str, Any]) -> None:
        self._analysis = _Analysis(shape, settings)
        self._turn = shape["rotation"]
        width, height = (
            (shape["width"], shape["height"]) if self._turn in (0, 180) else (shape["height"], shape["width"])
        )
        scale = min(1.0, settings["keyframe_px"] / max(width, height))
        self._sample_size = max(round(width * scale), 1), max(round(height * scale), 1)
        self._scaler, self._sampler = _Scaler(), _Scaler()
        names = {"content", settings["detector"]} & set(SCORES)
        self._scores = {name: SCORES[name]() for name in sorted(names)}
        self._measures = [make() for make in MEASURES.values()]
        self._blocked = Pictures.of(settings)
        self._attention = _Attention()
        self._with_thumbs = settings["detector"] in NETWORKS or settings["stitch_levels"] > 0
        self._lately = deque([0.0] * LATELY, LATELY)
        self._sampled = -1
        self._clear()

    def _clear(self) -> None:
        self._pts: list[int] = []
        self._looks: list[Picture] = []
        self._thumbs: list[Picture] = []
        self._hashed: list[int] = []
        self._smalls: list[Picture] = []
        self._rows: dict[str, list[float]] = {name: [] for name in self._scores}
        self._samples: list[Sample] = []

    def __len__(self) -> int:
        return len(self._pts)

    def see(self, frame: Frame, seconds: float) -> None:
        """One frame; `seconds` since the video's first frame. Raises ItemError blocked_content."""
        row = len(self._pts)
        bgr, scored = self._analysis(frame.picture)
        for name, score in self._scores.items():
            self._rows[name].append(score(scored))
        content = self._rows["content"][-1]
        fresh = content >= FRESH_LEVELS and content >= 2 * max(self._lately)
        self._lately.append(content)
        grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        if self._blocked.hashes:
            self._blocked.refuse(phash(upright(grey, self._turn)))
        luma = Luminance(frame.picture, self._scaler)
        sights = self._attention(frame.picture, seconds, fresh=fresh)
        view = View(row, seconds, grey, bgr, luma.at_width, luma.full, luma.span, "look" in sights)  # type: ignore[arg-type]  # cv2 types no uint8
        for measure in self._measures:
            if measure.sees in sights:
                measure.see(view)
        self._pts.append(frame.pts)
        self._looks.append(self._look(grey))
        if "hash" in sights:
            self._hashed.append(row)
            self._smalls.append(upright(small(grey), self._turn))  # type: ignore[arg-type]  # cv2 types no uint8
        if self._with_thumbs:
            self._thumbs.append(_thumb(bgr))
        if fresh or int(seconds * SAMPLES_PER_S) != self._sampled:
            self._sampled = int(seconds * SAMPLES_PER_S)
            self._samples.append(self._sample(frame, row))

    def take(self) -> Chunk:
        """The frames seen since the last chunk."""
        chunk = Chunk(
            np.array(self._pts, np.int64),
            np.array(self._looks, np.uint8).reshape(-1, 64),
            np.array(self._thumbs, np.uint8).reshape(-1, THUMB[1], THUMB[0], 3),
            np.column_stack(
                [
                    np.array(self._hashed, np.uint64),
                    hash_pairs(np.array(self._smalls, np.uint8).reshape(-1, SIDE_PX, SIDE_PX)),
                ]
            ),
            {name: np.array(rows, np.float64) for name, rows in self._rows.items()},
            {name: series.take() for measure in self._measures for name, series in measure.series.items()},
            self._samples,
        )
        self._clear()
        return chunk

    def _look(self, grey: Any) -> Picture:
        look: Picture = cv2.resize(upright(grey, self._turn), (8, 8), interpolation=cv2.INTER_AREA)
        return look

    def _sample(self, frame: Frame, row: int) -> Sample:
        small = self._sampler(frame.picture, self._sample_size, "bgr24", "AREA")
        return sample(row, frame.pts, upright(small, self._turn))


class _Attention:
    """Which frames are looked at more closely, by nothing but themselves and the frame before.

    Stares wait for an I or P picture: others may be decoded without deblocking (see `open_video`). A segment begins with
    one, so nothing waits across its start.
    """

    def __init__(self) -> None:
        self._before_s: float | None = None
        self._waits = True

    def __call__(self, picture: av.VideoFrame, seconds: float, *, fresh: bool) -> set[Sight]:
        """What the frame is to measures."""
        before_s, self._before_s = self._before_s, seconds
        sights: set[Sight] = {sight for sight, per_s in PER_S.items() if fresh or _passes(before_s, seconds, per_s)}
        self._waits |= "stare" in sights
        if self._waits and picture.pict_type != PictureType.B:
            self._waits = False
            return sights | {"frame", "stare"}
        return sights - {"stare"} | {"frame"}


def _passes(before_s: float | None, seconds: float, per_s: float) -> bool:
    return before_s is None or int(before_s * per_s) != int(seconds * per_s)


class Luminance:
    """The luminance of one frame, made when it is asked for."""

    def __init__(self, picture: av.VideoFrame, scaler: _Scaler) -> None:
        self._picture = picture
        self._scaler = scaler
        self._is_plane = picture.format.name in LUMA_FIRST
        self.span = 219.0 if self._is_plane and not _is_full_range(picture) else 255.0

    def full(self) -> Picture:
        """In full size; a view of the frame's memory where it can be."""
        if self._is_plane:
            return _plane(self._picture, 0)
        return self._scaler(self._picture, (self._picture.width, self._picture.height), "gray", "POINT")

    def at_width(self, width: int) -> Picture:
        """Reduced to a width, at most its own; black is 0, white 255."""
        width = min(width, self._picture.width)
        height = max(round(self._picture.height * width / self._picture.width), 1)
        small: Any = cv2.resize(self.full(), (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(small if self.span == 255 else cv2.LUT(small, FULL_RANGE), dtype=np.uint8)


def _is_full_range(picture: av.VideoFrame) -> bool:
    return picture.format.name.startswith(("yuvj", "gray")) or picture.color_range == ColorRange.JPEG


class _Analysis:
    """Makes the small picture of a frame, and the one that scores are taken of, which is the same but for 0.6.1."""

    def __init__(self, shape: dict[str, Any], settings: dict[str, Any]) -> None:
        width = max(min(settings["analysis_width_px"], shape["coded_width"]) // 2 * 2, 2)
        self._size = width, max(round(shape["coded_height"] * width / shape["coded_width"] / 2) * 2, 2)
        self._as_061 = settings["detector"] == "pyscenedetect-0.6.1"
        self._small, self._full = _Scaler(), _Scaler()
        self._planar: av.VideoFrame | None = None

    def __call__(self, picture: av.VideoFrame) -> tuple[Picture, Picture]:
        is_planar = picture.format.name == "yuv420p" and min(picture.width, picture.height) > 1
        small = self._reduced(picture) if is_planar else picture
        bgr = self._small(small, self._size, "bgr24", "FAST_BILINEAR")
        return bgr, (self._by_061(picture) if self._as_061 else bgr)

    def _reduced(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The picture at analysis size, half as dear as by swscale.

        Colours are left for swscale to mix: hues near grey depend on how it rounds, and so do the scores, and
        PySceneDetect's thresholds were chosen on these.
        """
        if self._planar is None:
            self._planar = av.VideoFrame(*self._size, "yuv420p")
        for number in range(3):
            target = _plane(self._planar, number)
            cv2.resize(_plane(picture, number), target.shape[::-1], dst=target, interpolation=cv2.INTER_LINEAR)
        self._planar.colorspace, self._planar.color_range = picture.colorspace, picture.color_range
        return self._planar

    def _by_061(self, picture: av.VideoFrame) -> Picture:
        """As SceneManager of 0.6.1 reduced it: by a whole factor to at least 256 px, linear, without anti-aliasing."""
        full = self._full(picture, (picture.width, picture.height), "bgr24", "BILINEAR")
        factor = full.shape[1] // 256
        if factor < 2:
            return full
        size = round(full.shape[1] / factor), round(full.shape[0] / factor)
        return cv2.resize(full, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]  # cv2 types no uint8


def _plane(picture: av.VideoFrame, number: int) -> Picture:
    """Luma (0) or a chroma plane of a 4:2:0 picture, as it lies in memory."""
    plane: Any = picture.planes[number]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


class _Scaler:
    """Scales and converts pictures of one shape after another; one thread, for more cost more than they save on these."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, picture: av.VideoFrame, size: tuple[int, int], pixels: str, how: str) -> Picture:
        width, height = size
        return as_array(
            self._reformatter.reformat(picture, width=width, height=height, format=pixels, interpolation=how, threads=1)
        )


def _thumb(bgr: Picture) -> Any:
    return cv2.cvtColor(cv2.resize(bgr, THUMB, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def upright(picture: Any, rotation: int) -> Any:
    """The picture turned clockwise by so many degrees."""
    return cv2.rotate(picture, TURNS[rotation]) if rotation else picture


def as_array(picture: av.VideoFrame) -> Picture:
    """The pixels of an 8-bit packed or grey picture, (H, W, 3) or (H, W)."""
    return np.asarray(picture.to_ndarray(), dtype=np.uint8)


def jpeg(picture: Picture | bytes, *, quality: int) -> bytes:
    """The picture as JPEG; bytes are one already."""
    if isinstance(picture, bytes):
        return picture
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def save_chunk(chunk: Chunk, path: Path, *, quality: int) -> None:
    """Write a chunk as .npz without pickles; samples become JPEGs."""
    pictures = [np.frombuffer(jpeg(one.picture, quality=quality), np.uint8) for one in chunk.samples]
    series = {
        f"series-{name}-{part}": array
        for name, pair in chunk.series.items()
        for part, array in zip("iv", pair, strict=True)
    }
    arrays: dict[str, Any] = series | {f"score-{name}": rows for name, rows in chunk.scores.items()}
    np.savez(
        path,
        pts=chunk.pts,
        looks=chunk.looks,
        thumbs=chunk.thumbs,
        hashes=chunk.hashes,
        sample_rows=np.array([[one.index, one.pts, one.width, one.height] for one in chunk.samples], np.int64).reshape(
            -1, 4
        ),
        sample_phash=np.array([one.phash for one in chunk.samples], "U16"),
        sample_ends=np.cumsum([len(picture) for picture in pictures], dtype=np.int64),
        sample_bytes=np.concatenate([np.empty(0, np.uint8), *pictures]),
        **arrays,
    )


def load_chunk(path: Path) -> Chunk:
    """Read what `save_chunk` wrote."""
    with np.load(path, allow_pickle=False) as held:
        arrays = dict(held)
    pictures = np.split(arrays["sample_bytes"], arrays["sample_ends"][:-1]) if len(arrays["sample_ends"]) else []
    samples = [
        Sample(int(index), int(pts), int(width), int(height), picture.tobytes(), str(name))
        for (index, pts, width, height), picture, name in zip(
            arrays["sample_rows"], pictures, arrays["sample_phash"], strict=True
        )
    ]
    names = [key.split("-", 1)[1][:-2] for key in arrays if key.startswith("series-") and key.endswith("-i")]
    return Chunk(
        arrays["pts"],
        arrays["looks"],
        arrays["thumbs"],
        arrays["hashes"],
        {key.split("-", 1)[1]: rows for key, rows in arrays.items() if key.startswith("score-")},
        {name: (arrays[f"series-{name}-i"], arrays[f"series-{name}-v"]) for name in names},
        samples,
    )
