"""Look whether a file is a video at all, by decoding its first frame."""

from __future__ import annotations

from typing import Any

from hdvg.errors import ItemError
from hdvg.media import calls
from hdvg.media.calls import Probed, Stream
from hdvg.media.decode import Decoder, open_video
from hdvg.media.geometry import geometry
from hdvg.media.protection import refuse_scrambled


@calls.probe.serves
def probe(path: str, max_pixels: int) -> Probed:
    """What the stream is; headers' frame counts and rates are not reported, for they are not to be trusted.

    Raises ItemError not_media, no_video, no_frames, unsupported, encrypted or too_large.
    """
    with open_video(path, max_pixels=max_pixels) as (container, stream):
        refuse_scrambled(container, stream)
        picture = Decoder(container, stream).first_picture()
        if picture is None:
            raise ItemError("no_frames", "no frame decodes")
        return {**describe(container, stream), **geometry(stream, picture)}


def describe(container: Any, stream: Any) -> Stream:
    """Container, codec, pixel format and time base."""
    return {
        "container": container.format.name,
        "codec": stream.codec_context.name,
        "pix_fmt": stream.codec_context.pix_fmt,
        "time_base": f"{stream.time_base.numerator}/{stream.time_base.denominator}",
    }
