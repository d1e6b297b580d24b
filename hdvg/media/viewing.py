"""A clip as a browser takes it: a small H.264 copy of one that it does not play, and single frames."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from PIL import Image

from hdvg.errors import ItemError
from hdvg.measures.measure import Picture
from hdvg.media import viewing_calls
from hdvg.media.decode import Decoder, open_video
from hdvg.media.geometry import coded_way, geometry, upright
from hdvg.media.pixels import Scaler
from hdvg.sandbox.child import ask

CODING = {"crf": "28", "preset": "superfast", "tune": "zerolatency", "g": "48"}
GROWING = {"movflags": "empty_moov+default_base_moof", "frag_duration": "200000", "flush_packets": "1"}
"""Fragments of 0.2 s, so that the first picture is there soon."""
THREADS = 2
QUALITY = 85
BT709, LIMITED = 1, 1


@viewing_calls.write_proxy.serves
def write_proxy(path: str, live: str, out: str, height: int, max_pixels: int) -> int:
    """Write the pictures as H.264, 8-bit 4:2:0, at most `height` px high, with their times and without sound; returns how many.

    `live` can be played while it grows; `out`, written at the end, can be sought in. After each fragment of `live` the caller
    is asked whether to go on; if not, there is no `out`.
    Runs in the sandbox's child. Raises ItemError corrupt if no picture decodes, and what `open_video` raises.
    """
    cv2.setNumThreads(1)
    count, first, said = 0, 0, 0
    opened = open_video(path, threads=THREADS, max_pixels=max_pixels, thrifty=True)
    with opened as (container, stream), av.open(live, "w", format="mp4", options=GROWING) as file:
        small, encoder = _Small(stream, height), None
        for frame in Decoder(container, stream):
            picture = small(frame.picture)
            if encoder is None:
                first, encoder = frame.pts, _encoder(file, stream, small.size)
            picture.pts, picture.time_base = frame.pts - first, Fraction(stream.time_base)
            picture.pict_type = 0  # the encoder's choice
            file.mux(encoder.encode(picture))
            count += 1
            if (written := os.stat(live).st_size) > said and not ask({"bytes": written}):
                return count
            said = written
        if encoder is not None:
            file.mux(encoder.encode(None))
    if not count:
        raise ItemError("corrupt", "no frame decodes")
    _make_seekable(live, out)
    return count


def _make_seekable(live: str, out: str) -> None:
    """The same packets, with one index of all of them in front."""
    with av.open(live) as container, av.open(out, "w", format="mp4", options={"movflags": "+faststart"}) as file:
        stream = file.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                packet.stream = stream
                file.mux_one(packet)


class _Small:
    """Pictures of a stream as an encoder takes them: upright, even sides, all in the first one's size."""

    def __init__(self, stream: Any, height: int) -> None:
        self._stream, self._height = stream, height
        self._scaler, self._reformat = Scaler(), VideoReformatter()
        self.size = (0, 0)

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        shape = geometry(self._stream, picture)
        if self.size == (0, 0):
            high = min(self._height, shape["height"])
            wide = round(shape["width"] * high / shape["height"])
            self.size = max(wide // 2 * 2, 2), max(high // 2 * 2, 2)
        if shape["rotation"] or shape["mirrored"]:
            turned = upright(self._scaler(picture, coded_way(shape, self.size), "rgb24", "AREA"), shape)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(turned), format="rgb24")
        return self._reformat.reformat(
            picture,
            *self.size,
            "yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation="BILINEAR",
        )


@viewing_calls.write_picture.serves
def write_picture(path: str, out: str, number: int, height: int, max_pixels: int) -> list[int]:
    """Write frame `number`, in the order they are shown, as WebP, at most `height` px high; returns its height and width.

    Runs in the sandbox's child. Raises ItemError corrupt if there are not so many that decode, and what `open_video` raises.
    """
    cv2.setNumThreads(1)
    scaler = Scaler()
    with open_video(path, max_pixels=max_pixels) as (container, stream):
        for at, frame in enumerate(Decoder(container, stream)):
            if at == number:
                shape = geometry(stream, frame.picture)
                high = min(height, shape["height"])
                size = max(round(shape["width"] * high / shape["height"]), 1), high
                picture: Picture = upright(scaler(frame.picture, coded_way(shape, size), "rgb24", "AREA"), shape)
                Image.fromarray(np.ascontiguousarray(picture)).save(out, "WEBP", quality=QUALITY)
                return list(picture.shape[:2])
    raise ItemError("corrupt", f"no frame {number} decodes")


def _encoder(file: Any, stream: Any, size: tuple[int, int]) -> Any:
    encoder = file.add_stream("libx264", rate=stream.average_rate or 25)
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    context = encoder.codec_context
    encoder.time_base = context.time_base = Fraction(stream.time_base)
    context.thread_count = THREADS
    context.options = CODING
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = LIMITED
    return encoder
