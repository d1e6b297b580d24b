"""Copies of real footage as re-uploads make them, and the hashes of clips as the pass takes them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa

from hdvg.measures.phash import hash_pairs, moments, small
from tests.footage import Picture

FPS = 24
"""What the spans are taken to run at."""

HASHES = pa.list_(pa.uint64())
SCHEMA = pa.schema(
    {"clip_id": "string", "video_id": "string", "duration_s": "double", "phashes": HASHES, "phashes_inner": HASHES}
)


def crop(picture: Picture, margin: float = 0.05) -> Picture:
    """The picture without `margin` of its size on each side."""
    height, width = picture.shape[:2]
    y, x = round(height * margin), round(width * margin)
    return picture[y : height - y, x : width - x]


def logo(picture: Picture) -> Picture:
    """A red box with white words in the upper right corner, a sixth of the width."""
    picture = picture.copy()
    height, width = picture.shape[:2]
    side = width // 6
    x, y = width - side - width // 40, height // 30
    cv2.rectangle(picture, (x, y), (x + side, y + side // 3), (20, 20, 200), -1)
    place = (x + side // 20, y + side // 4)
    cv2.putText(
        picture,
        "NEWS 24",
        place,
        cv2.FONT_HERSHEY_SIMPLEX,
        side / 160,
        (255, 255, 255),
        max(side // 60, 1),
        cv2.LINE_AA,
    )
    return picture


def gamma(picture: Picture) -> Picture:
    """Darker tones lifted: levels to the power of 0.75."""
    levels = 255 * (np.arange(256) / 255) ** 0.75
    return np.asarray(cv2.LUT(picture, levels.astype(np.uint8)), dtype=np.uint8)


def brighter(picture: Picture) -> Picture:
    """Less contrast, more light."""
    return np.asarray(cv2.convertScaleAbs(picture, alpha=0.85, beta=25), dtype=np.uint8)


def half_size(picture: Picture) -> Picture:
    """The picture at half its width and height."""
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def reencoded(pictures: Sequence[Picture], *, crf: int = 35) -> list[Picture]:
    """The pictures through H.264."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": str(crf), "preset": "ultrafast"})
        stream.height, stream.width = (size // 2 * 2 for size in pictures[0].shape[:2])
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[: stream.height, : stream.width]), "bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]


def each(change: Callable[[Picture], Picture]) -> Callable[[Sequence[Picture]], list[Picture]]:
    """A change of a picture as one of a clip."""
    return lambda pictures: [change(picture) for picture in pictures]


COPIES: dict[str, Callable[[Sequence[Picture]], list[Picture]]] = {
    "re-encoded": reencoded,
    "half size": each(half_size),
    "cropped": each(crop),
    "logo": each(logo),
    "gamma": each(gamma),
    "brighter": each(brighter),
    "starts 1 s later": lambda pictures: list(pictures[FPS:]),
    "starts 0.7 s later": lambda pictures: list(pictures[round(0.7 * FPS) :]),
    "ends 1 s earlier": lambda pictures: list(pictures[:-FPS]),
    "small, cropped, re-encoded": lambda pictures: reencoded([crop(half_size(one), 0.04) for one in pictures], crf=30),
}


def row(clip_id: str, video_id: str, pictures: Sequence[Picture], *, fps: float = FPS) -> dict[str, Any]:
    """A clip's columns, hashed as the pass hashes it."""
    picks = moments(list(range(len(pictures))), len(pictures), fps)
    greys = []
    for picture in (pictures[pick] for pick in picks):
        height, width = picture.shape[:2]
        analysed = cv2.resize(picture, (256, round(256 * height / width)), interpolation=cv2.INTER_AREA)
        greys.append(small(cv2.cvtColor(analysed, cv2.COLOR_BGR2GRAY)))  # type: ignore[arg-type]  # cv2 types no uint8
    pairs = hash_pairs(np.array(greys, np.uint8))
    series = {"phashes": pairs[:, 0].tolist(), "phashes_inner": pairs[:, 1].tolist()}
    return {"clip_id": clip_id, "video_id": video_id, "duration_s": len(pictures) / fps} | series


def table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """The rows as `find_duplicates` takes them, with whatever columns they have more."""
    rows = list(rows)
    more = [name for name in (rows[0] if rows else {}) if name not in SCHEMA.names]
    columns = {name: pa.array([one[name] for one in rows], SCHEMA.field(name).type) for name in SCHEMA.names}
    return pa.table(columns | {name: pa.array([one[name] for one in rows]) for name in more})
