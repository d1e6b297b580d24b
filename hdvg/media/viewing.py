"""A clip as a browser takes it: a small H.264 copy of one that it does not play, and single frames."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image

from hdvg.errors import ItemError
from hdvg.measures.measure import Picture
from hdvg.media import viewing_calls
from hdvg.media.decode import Decoder, open_video
from hdvg.media.geometry import coded_way, geometry, upright
from hdvg.media.pixels import Scaler

CRF, PRESET = "28", "veryfast"
QUALITY = 85
BT709, LIMITED = 1, 1


@viewing_calls.write_proxy.serves
def write_proxy(path: str, out: str, height: int, max_pixels: int) -> int:
    """Write the pictures as H.264, 8-bit 4:2:0, at most `height` px high, with their times and without sound; returns how many.

    Runs in the sandbox's child. Raises ItemError corrupt if none decodes, and what `open_video` raises.
    """
    cv2.setNumThreads(1)
    count = 0
    options = {"movflags": "+faststart"}
    opened = open_video(path, max_pixels=max_pixels)
    with opened as (container, stream), av.open(out, "w", format="mp4", options=options) as file:
        encoder: Any = None
        for pts, picture in _pictures(container, stream, height, even=True):
            if encoder is None:
                first = pts
                encoder = _encoder(file, stream, picture)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            coded = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            coded.pts, coded.time_base = pts - first, Fraction(stream.time_base)
            file.mux(encoder.encode(coded))
            count += 1
        if encoder is not None:
            file.mux(encoder.encode(None))
    if not count:
        raise ItemError("corrupt", "no frame decodes")
    return count


@viewing_calls.write_picture.serves
def write_picture(path: str, out: str, number: int, height: int, max_pixels: int) -> list[int]:
    """Write frame `number`, in the order they are shown, as WebP, at most `height` px high; returns its height and width.

    Runs in the sandbox's child. Raises ItemError corrupt if there are not so many that decode, and what `open_video` raises.
    """
    cv2.setNumThreads(1)
    with open_video(path, max_pixels=max_pixels) as (container, stream):
        for at, (_, picture) in enumerate(_pictures(container, stream, height, even=False, only=number)):
            if at == number and picture is not None:
                Image.fromarray(picture).save(out, "WEBP", quality=QUALITY)
                return list(picture.shape[:2])
    raise ItemError("corrupt", f"no frame {number} decodes")


def _pictures(
    container: Any, stream: Any, height: int, *, even: bool, only: int | None = None
) -> Iterator[tuple[int, Any]]:
    """(pts, RGB picture as it is shown, all in the first one's size); of others than `only`, if it is given, no picture."""
    scaler, size = Scaler(), (0, 0)
    for at, frame in enumerate(Decoder(container, stream)):
        if only is not None and at != only:
            yield frame.pts, None
            continue
        shape = geometry(stream, frame.picture)
        if size == (0, 0):
            high = min(height, shape["height"])
            wide = max(round(shape["width"] * high / shape["height"]), 1)
            size = (max(wide // 2 * 2, 2), max(high // 2 * 2, 2)) if even else (wide, high)
        whole: Picture = upright(scaler(frame.picture, coded_way(shape, size), "rgb24", "AREA"), shape)
        yield frame.pts, np.ascontiguousarray(whole)


def _encoder(file: Any, stream: Any, picture: Picture) -> Any:
    encoder = file.add_stream("libx264", rate=stream.average_rate or 25)
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt = "yuv420p"
    context = encoder.codec_context
    encoder.time_base = context.time_base = Fraction(stream.time_base)
    context.thread_count = 1
    context.options = {"crf": CRF, "preset": PRESET, "g": "48"}
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = LIMITED
    return encoder
