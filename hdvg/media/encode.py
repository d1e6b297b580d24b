"""Encode every frame of a span: upright, square pixels, even sides, one size, progressive, 8-bit 4:2:0."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.filter

from hdvg.config.child_settings import CutSettings
from hdvg.media.decode import Frame
from hdvg.media.edge_encoder import svt_params, x264_params
from hdvg.media.mp4 import ClipFile
from hdvg.media.source import UNKNOWN, Source

TURNS = {90: ("clock",), 180: ("clock", "clock"), 270: ("cclock",)}
NAMES = {9: "bt2020", 1: "bt709", 12: "smpte432", 16: "smpte2084", 18: "arib-std-b67"}
"""swscale's names of the primaries and transfers (H.273) that HDR video has."""
LIMITED = 1
Box = tuple[int, int, int, int]
"""x, y, width, height in the coded picture, all even."""


@dataclass(frozen=True)
class Look:
    """How the pictures of a clip shall look: size in px, the part of the coded picture that is kept, mapped from HDR or not."""

    size: tuple[int, int]
    box: Box | None
    tonemap: bool


def plan_look(source: Source, settings: CutSettings, box: Box | None = None) -> Look:
    """The clip's look by the settings max_height_px and hdr, and the box to crop to."""
    shape = source.shape
    width, height = source.coded_size if box is None else box[2:]
    width = max(round(width * Fraction(shape["sar"])), 1)
    if shape["rotation"] in (90, 270):
        width, height = height, width
    most = settings["max_height_px"]
    if most is not None and height > most:
        width, height = round(width * most / height), most
    size = max(width // 2 * 2, 2), max(height // 2 * 2, 2)
    return Look(size, box, source.hdr and settings["hdr"] == "tonemap")


def is_as_coded(source: Source, look: Look) -> bool:
    """Whether pictures need not be touched to look so."""
    return source.plain and look.size == source.coded_size and look.box is None and not look.tonemap


class Encoding:
    """Encodes frames, in display order, into a clip file."""

    def __init__(self, source: Source, look: Look, file: ClipFile, *, settings: CutSettings) -> None:
        self._source = source
        self._look = look
        self._file = file
        self._graph: Any = None
        self._waiting: deque[int] = deque()
        self._as_is = is_as_coded(source, look) and source.pix_fmt == "yuv420p" and source.colour[3] != 2
        self._encoder = _encoder(source, look, file.container, settings=settings)
        file.stream = self._encoder
        file.delay = self._encoder.codec_context.reorder_depth

    def add(self, frame: Frame, pts: int) -> None:
        """Encode a frame that is shown at `pts`, counted from the clip's start."""
        picture = frame.picture
        self._file.times.append(pts)
        picture.pts, picture.time_base = pts, self._source.time_base
        if self._graph is None and self._as_is and (picture.width, picture.height) == self._look.size:
            self._put(picture)
            return
        if self._graph is None:
            self._graph = _graph(self._source, self._look, picture)
        self._waiting.append(pts)
        self._graph.push(picture)
        self._pull()

    def finish(self) -> None:
        """Encode what is still on its way."""
        if self._graph is not None:
            self._graph.push(None)
            self._pull()
        self._write(self._encoder.encode(None))

    def _pull(self) -> None:
        while True:
            try:
                ready = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            ready.pts, ready.time_base = self._waiting.popleft(), self._source.time_base
            self._put(ready)

    def _put(self, picture: av.VideoFrame) -> None:
        picture.pict_type = 0  # the encoder's choice
        self._write(self._encoder.encode(picture))

    def _write(self, packets: list[Any]) -> None:
        for packet in packets:
            self._file.put(bytes(packet), packet.pts, is_keyframe=packet.is_keyframe)


def _encoder(source: Source, look: Look, container: Any, *, settings: CutSettings) -> Any:
    av1 = settings["codec"] == "av1"
    encoder = container.add_stream("libsvtav1" if av1 else "libx264", rate=source.rate)
    encoder.width, encoder.height = look.size
    encoder.pix_fmt = "yuv420p"
    context = encoder.codec_context
    encoder.time_base = context.time_base = source.time_base
    context.thread_count, context.thread_type = settings["threads"], "FRAME"  # PyAV's default is slices: slower, larger
    primaries, transfer, matrix, _ = (1, 1, 1, LIMITED) if look.tonemap else source.colour
    context.color_primaries, context.color_trc = primaries or UNKNOWN, transfer or UNKNOWN
    context.colorspace, context.color_range = matrix or UNKNOWN, LIMITED
    preset, crf = settings["preset"], str(settings["crf"])
    if av1:
        preset = preset if preset.isdigit() else "8"
        context.options = {
            "preset": preset,
            "crf": crf,
            "svtav1-params": svt_params(look.size, {"lp": settings["threads"]}),
        }
    else:
        preset = "veryfast" if preset.isdigit() else preset
        context.options = {"preset": preset, "crf": str(min(int(crf), 51)), "a53cc": "0", "flags": "+bitexact"}
        if params := x264_params(look.size, {}):
            context.options |= {"x264-params": params}
    context.open()
    return encoder


def _graph(source: Source, look: Look, picture: av.VideoFrame) -> Any:
    width, height = look.size
    graph = av.filter.Graph()
    last = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=source.time_base
    )
    steps = [("bwdif", "mode=send_frame:deint=interlaced")] if source.interlaced else []
    if look.box is not None:
        x, y, w, h = look.box
        steps += [("crop", f"w={w}:h={h}:x={x}:y={y}:exact=1")]
    steps += [("transpose", f"dir={way}") for way in TURNS.get(source.shape["rotation"], ())]
    steps += [("hflip", "")] if source.shape["mirrored"] else []
    flags = "flags=bicubic+accurate_rnd+bitexact"
    steps += [
        ("scale", f"w={width}:h={height}:{flags}:out_range=tv{_mapping(source) if look.tonemap else ''}"),
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


def _mapping(source: Source) -> str:
    """swscale's colour mapping from the source's HDR to SDR in BT.709; `perceptual` rolls highlights off, not clips them."""
    primaries, transfer, _, colour_range = source.colour
    return (
        f":in_primaries={NAMES.get(primaries, 'bt2020')}:in_transfer={NAMES[transfer]}:in_color_matrix=bt2020nc"
        f":in_range={'pc' if colour_range == 2 else 'tv'}"
        ":out_primaries=bt709:out_transfer=bt709:out_color_matrix=bt709:intent=perceptual"
    )
