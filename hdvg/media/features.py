"""Features: what the one pass keeps of every frame: scores, measures, small pictures; and sampled pictures for keyframes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hdvg.config.child_settings import SplitSettings
from hdvg.measures import pass_measures
from hdvg.measures.faults import SERIES as FAULTS
from hdvg.measures.measure import Picture
from hdvg.measures.phash import SIDE_PX, hash_pairs, phash, small
from hdvg.media.blocked import Pictures
from hdvg.media.calls import Shape
from hdvg.media.decode import Frame
from hdvg.media.geometry import coded_way, upright
from hdvg.media.pixels import Scaler, Shrink
from hdvg.media.watch import Watch
from hdvg.shots import looks_of
from hdvg.shots.chunk import Chunk, Sample

THUMB = (48, 27)
"""Width and height of the picture that may be kept of every frame: TransNetV2's input."""

LOOK_PX = 8
SAMPLES_PER_S = 2


def sample(index: int, pts: int, bgr: Picture) -> Sample:
    """A sample of an upright picture (H, W, 3)."""
    return Sample(index, pts, bgr.shape[1], bgr.shape[0], bgr)


def phash_of(one: Sample) -> str:
    """Its perceptual hash, taken when it is asked for: few samples become keyframes."""
    if isinstance(one.picture, bytes):
        return one.phash
    return phash(cv2.cvtColor(one.picture, cv2.COLOR_BGR2GRAY))  # type: ignore[arg-type]  # cv2 types no uint8


class Features:
    """Sees frames in order, gives chunks; `shape` is media.geometry.geometry's."""

    def __init__(self, shape: Shape, settings: SplitSettings) -> None:
        self._shape = shape
        width, height = coded_way(shape, (shape["width"], shape["height"]))
        scale = min(1.0, settings["keyframe_px"] / max(width, height))
        self._sample_size = max(round(width * scale), 1), max(round(height * scale), 1)
        self._sampler = Scaler()
        self._shrink = Shrink((LOOK_PX, LOOK_PX))
        self._measures = [make() for make in pass_measures().values()]
        self._watch = Watch(shape, settings, self._measures)
        self._blocked = Pictures.of(settings)
        self._with_thumbs = looks_of(settings["detector"]).thumbs or settings["stitch_levels"] > 0
        self._sampled = -1
        self._clear()

    def _clear(self) -> None:
        self._pts: list[int] = []
        self._looks: list[Picture] = []
        self._thumbs: list[Picture] = []
        self._hashed: list[int] = []
        self._smalls: list[Picture] = []
        self._rows: dict[str, list[float]] = {name: [] for name in self._watch.scores}
        self._samples: list[Sample] = []

    def __len__(self) -> int:
        return len(self._pts)

    def see(self, frame: Frame, seconds: float) -> None:
        """One frame; `seconds` since the video's first frame. Raises ItemError blocked_content."""
        row = len(self._pts)
        seen = self._watch(frame.picture, seconds, row)
        for name, score in seen.scores.items():
            self._rows[name].append(score)
        if self._blocked.hashes:
            self._blocked.refuse(phash(upright(seen.grey, self._shape)))
        self._pts.append(frame.pts)
        self._looks.append(self._look(seen.grey))
        if "hash" in seen.sights:
            self._hashed.append(row)
            self._smalls.append(upright(small(seen.grey), self._shape))
        if self._with_thumbs:
            self._thumbs.append(_thumb(seen.bgr))
        if seen.is_fresh or int(seconds * SAMPLES_PER_S) != self._sampled:
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
            {name: series.take() for measure in self._measures for name, series in measure.series.items()}
            | {FAULTS: self._watch.faults.series.take()},
            self._samples,
        )
        self._clear()
        return chunk

    def _look(self, grey: Any) -> Picture:
        return self._shrink(upright(grey, self._shape))

    def _sample(self, frame: Frame, row: int) -> Sample:
        small = self._sampler(frame.picture, self._sample_size, "bgr24", "AREA")
        return sample(row, frame.pts, upright(small, self._shape))


def _thumb(bgr: Picture) -> Any:
    return cv2.cvtColor(cv2.resize(bgr, THUMB, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


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
        sample_phash=np.array([phash_of(one) for one in chunk.samples], "U16"),
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
