"""What a cut must know of its source before it plans: the stream, its first picture, and whether packets may be copied."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av

from hdvg.errors import ItemError
from hdvg.media.calls import Shape
from hdvg.media.decode import Decoder, open_video
from hdvg.media.geometry import geometry, is_upright

SMART_CODECS = frozenset({"h264", "hevc", "vp9", "av1"})
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""By their number in ITU-T H.273."""
UNKNOWN = 2
"""H.273: colours, transfer and matrix that nobody stated."""


@dataclass(frozen=True)
class Source:
    """A video as its first frame shows it. `shape` is `geometry.geometry`'s, `colour` (primaries, transfer, matrix, range)."""

    path: str
    max_pixels: int
    codec: str
    pix_fmt: str
    time_base: Fraction
    rate: Fraction
    shape: Shape
    colour: tuple[int, int, int, int]
    interlaced: bool

    @property
    def hdr(self) -> bool:
        """Whether pictures are for an HDR display."""
        return self.colour[1] in HDR_TRANSFERS

    @property
    def coded_size(self) -> tuple[int, int]:
        """Width and height of the coded picture."""
        return self.shape["coded_width"], self.shape["coded_height"]

    @property
    def plain(self) -> bool:
        """Whether pictures may go into a clip as they are: upright, square pixels, even sides, 8-bit 4:2:0, progressive."""
        width, height = self.coded_size
        return (
            self.pix_fmt in ("yuv420p", "yuvj420p")
            and is_upright(self.shape)
            and self.shape["odd_turn"] is None
            and self.shape["sar"] == "1/1"
            and width % 2 == height % 2 == 0
            and not self.interlaced
        )


def look(path: str, max_pixels: int) -> Source:
    """Decode the first frame. Raises ItemError no_frames, and what `open_video` raises."""
    with open_video(path, max_pixels=max_pixels) as (container, stream):
        picture = Decoder(container, stream).first_picture()
        if picture is None:
            raise ItemError("no_frames", "no frame decodes")
        context = stream.codec_context
        name = context.name
        return Source(
            path=path,
            max_pixels=max_pixels,
            codec="av1" if "av1" in name else "vp9" if "vp9" in name else name,
            pix_fmt=picture.format.name,
            time_base=Fraction(stream.time_base),
            rate=Fraction(stream.average_rate or 25),
            shape=geometry(stream, picture),
            colour=_colour(picture),
            interlaced=picture.interlaced_frame,
        )


def _colour(picture: av.VideoFrame) -> tuple[int, int, int, int]:
    return (
        int(picture.color_primaries),
        int(picture.color_trc),
        int(picture.colorspace),
        int(picture.color_range),
    )
