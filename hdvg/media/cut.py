"""Cut spans out of a video as H.264 mp4, exact to the frame, and prove each by reading it back."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import cv2

from hdvg.media.decode import Decoder, Frame, geometry, open_video

TURNS = {90: ("clock",), 180: ("clock", "clock"), 270: ("cclock",)}
CPU_AVX_512F = 13
"""OpenCV's number for it; the Python module has no name."""


def cut(
    path: str, out: str, spans: list[dict[str, Any]], settings: dict[str, Any], max_pixels: int
) -> list[dict[str, Any]]:
    """Write every span {clip_id, start_pts, end_pts, n_frames} to `out`/<clip_id>.mp4 in one way through the source.

    Clips are upright, with square pixels and even sides, 8-bit 4:2:0, without audio; frame times are the source's,
    from zero. `settings` are config.Cut's. Returns per span {clip_id, file, width, height, codec}, or
    {clip_id, reason: "cut_mismatch", detail} if the written clip does not hold exactly the span's frames.
    """
    results = []
    with open_video(path, threads=2, max_pixels=max_pixels) as (container, stream):
        time_base = Fraction(stream.time_base)
        frames = _Source(iter(Decoder(container, stream)))
        for span in sorted(spans, key=lambda one: int(one["start_pts"])):
            target = Path(out) / f"{span['clip_id']}.mp4"
            written = _encode(
                frames.between(span["start_pts"], span["end_pts"]), stream, target, span=span, settings=settings
            )
            problem = _mismatch(target, written, span, time_base=time_base)
            found = {"clip_id": span["clip_id"]}
            if problem:
                results.append(found | {"reason": "cut_mismatch", "detail": problem})
            else:
                results.append(found | {"file": target.name, "codec": "h264"} | _size(target))
    return results


class _Source:
    """The frames of a source, span after span. It is decoded straight through: a seek may land on a keyframe that does
    not decode alone, and then gives damaged pictures at the right times."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._ahead: Frame | None = None

    def between(self, start_pts: int, end_pts: int) -> Iterator[Frame]:
        """Frames with start_pts <= pts < end_pts; spans must come in order and not overlap."""
        while (frame := self._ahead or next(self._frames, None)) is not None:
            self._ahead = frame
            if frame.pts >= end_pts:
                return
            self._ahead = None
            if frame.pts >= start_pts:
                yield frame


def _encode(
    frames: Iterator[Frame], stream: Any, target: Path, *, span: dict[str, Any], settings: dict[str, Any]
) -> list[int]:
    """Encode the frames with their times from the span's start; returns their pts, relative to it."""
    written: list[int] = []
    time_base = Fraction(stream.time_base)
    options = {"movflags": "+faststart", "fflags": "+bitexact", "video_track_timescale": str(time_base.denominator)}
    with av.open(str(target), "w", format="mp4", options=options) as container:
        graph: Any = None
        encoder: Any = None
        for frame in frames:
            picture = frame.picture
            if graph is None:
                graph = _graph(stream, picture)
                size = _upright_size(stream, picture)
                encoder = _encoder(container, stream, size=size, settings=settings)
            picture.pts = frame.pts - span["start_pts"]
            picture.time_base = time_base
            written.append(picture.pts)
            graph.push(picture)
            ready = graph.pull()
            ready.pict_type = 0
            container.mux(encoder.encode(ready))
        if encoder is not None:
            container.mux(encoder.encode(None))
    return written


def _upright_size(stream: Any, picture: av.VideoFrame) -> tuple[int, int]:
    shape = geometry(stream, picture)
    return max(shape["width"] // 2 * 2, 2), max(shape["height"] // 2 * 2, 2)


def _encoder(container: Any, stream: Any, *, size: tuple[int, int], settings: dict[str, Any]) -> Any:
    rate = stream.average_rate or 25
    encoder = container.add_stream("libx264", rate=rate)
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = encoder.codec_context.time_base = Fraction(stream.time_base)
    encoder.codec_context.thread_count = settings["threads"]
    encoder.options = {"crf": str(settings["crf"]), "preset": settings["preset"], "flags": "+bitexact"} | _same_bytes()
    return encoder


def _same_bytes() -> dict[str, str]:
    """x264's AVX-512 code for macroblock trees reads memory it never wrote, so equal input gives unequal bytes (seen with
    the build in PyAV 18.1: 24 different files in 30 encodes). Its AVX2 code gives the bytes of plain C, every time."""
    return {"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(CPU_AVX_512F) else {}


def _graph(stream: Any, picture: av.VideoFrame) -> Any:
    """Upright, square pixels, even sides, one size whatever the stream does, 8-bit 4:2:0."""
    shape = geometry(stream, picture)
    width, height = _upright_size(stream, picture)
    graph = av.filter.Graph()
    last = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(stream.time_base)
    )
    steps = [("transpose", f"dir={way}") for way in TURNS.get(shape["rotation"], ())]
    steps += [
        ("scale", f"w={width}:h={height}:flags=bicubic+accurate_rnd+bitexact"),
        ("setsar", "1"),
        ("format", "yuv420p"),
    ]
    for name, arguments in steps:
        node = graph.add(name, arguments)
        last.link_to(node)
        last = node
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _mismatch(target: Path, written: list[int], span: dict[str, Any], *, time_base: Fraction) -> str | None:
    """What is wrong with a written clip, or None: as many frames as the span, each at its exact time."""
    if len(written) != span["n_frames"]:
        return f"the span has {span['n_frames']} frames, {len(written)} were decoded for it"
    with open_video(str(target), max_pixels=2**31 - 1) as (container, stream):
        decoder = Decoder(container, stream)
        times = [frame.pts * Fraction(stream.time_base) for frame in decoder]
    if times != [pts * time_base for pts in written] or decoder.errors:
        return f"{len(times)} frames read back of {len(written)}, with other times or {decoder.errors} errors"
    return None


def _size(target: Path) -> dict[str, int]:
    with open_video(str(target), max_pixels=2**31 - 1) as (_, stream):
        return {"width": stream.codec_context.width, "height": stream.codec_context.height}
