"""Pixels of decoded pictures: reduced and mixed; by swscale and OpenCV, on one thread."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, VideoReformatter

from hdvg.config.child_settings import SplitSettings
from hdvg.measures.measure import Picture
from hdvg.media.calls import Shape

LUMA_FIRST = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray")
"""Formats whose first plane is luminance, a byte a pixel."""

FULL_RANGE = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
"""Levels 0-255 of levels 16-235."""


class Luminance:
    """The luminance of one frame, made when it is asked for."""

    def __init__(self, picture: av.VideoFrame, scaler: Scaler) -> None:
        self._picture = picture
        self._scaler = scaler
        self._is_plane = picture.format.name in LUMA_FIRST
        self.span = 219.0 if self._is_plane and not _is_full_range(picture) else 255.0

    def full(self) -> Picture:
        """In full size; a view of the frame's memory where it can be."""
        if self._is_plane:
            return plane(self._picture, 0)
        return self._scaler(self._picture, (self._picture.width, self._picture.height), "gray", "POINT")

    def at_width(self, width: int) -> Picture:
        """Reduced to a width, at most its own; black is 0, white 255."""
        width = min(width, self._picture.width)
        height = max(round(self._picture.height * width / self._picture.width), 1)
        small: Any = cv2.resize(self.full(), (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(small if self.span == 255 else cv2.LUT(small, FULL_RANGE), dtype=np.uint8)


def _is_full_range(picture: av.VideoFrame) -> bool:
    return picture.format.name.startswith(("yuvj", "gray")) or picture.color_range == ColorRange.JPEG


class Analysis:
    """Makes the small picture of a frame, and the one that scores are taken of, which is the same but for 0.6.1."""

    def __init__(self, shape: Shape, settings: SplitSettings) -> None:
        width = max(min(settings["analysis_width_px"], shape["coded_width"]) // 2 * 2, 2)
        self._size = width, max(round(shape["coded_height"] * width / shape["coded_width"] / 2) * 2, 2)
        self._as_061 = settings["detector"] == "pyscenedetect-0.6.1"
        self._small, self._full = Scaler(), Scaler()
        self._planar = av.VideoFrame(*self._size, "yuv420p")
        self._targets = [plane(self._planar, number) for number in range(3)]

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
        for number, target in enumerate(self._targets):
            cv2.resize(plane(picture, number), target.shape[::-1], dst=target, interpolation=cv2.INTER_LINEAR)
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


class Shrink:
    """Reduces grey pictures of one shape to a few pixels, each the mean of what it covers, as OpenCV's INTER_AREA does."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._means: tuple[Any, Any] | None = None

    def __call__(self, grey: Picture) -> Picture:
        (width, height), (rows, columns) = self._size, grey.shape
        if not rows % height and not columns % width:
            return cv2.resize(grey, self._size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]  # cv2 types no uint8
        if self._means is None or (self._means[0].shape[1], self._means[1].shape[0]) != grey.shape:
            self._means = _means(rows, height), _means(columns, width).T
        down, across = self._means  # seven times as quick as OpenCV, where no whole number of pixels is covered
        return np.rint(down @ grey.astype(np.float32) @ across).astype(np.uint8)


def _means(many: int, few: int) -> npt.NDArray[np.float32]:
    """(few, many): the share that each of many pixels in a row has in each of a few that cover them."""
    edges = np.arange(few + 1) * many / few
    pixels = np.arange(many)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.maximum(covered, 0) * few / many, dtype=np.float32)


def plane(picture: av.VideoFrame, number: int) -> Picture:
    """Luma (0) or a chroma plane of a 4:2:0 picture, as it lies in memory."""
    held: Any = picture.planes[number]
    return np.frombuffer(held, np.uint8).reshape(-1, held.line_size)[: held.height, : held.width]


class Scaler:
    """Scales and converts pictures of one shape after another; one thread, for more cost more than they save on these."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, picture: av.VideoFrame, size: tuple[int, int], pixels: str, how: str) -> Picture:
        width, height = size
        return as_array(
            self._reformatter.reformat(picture, width=width, height=height, format=pixels, interpolation=how, threads=1)
        )


def as_array(picture: av.VideoFrame) -> Picture:
    """The pixels of an 8-bit packed or grey picture, (H, W, 3) or (H, W)."""
    return np.asarray(picture.to_ndarray(), dtype=np.uint8)
