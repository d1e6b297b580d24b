"""Which stream of a file is the film, and which its sound: one rule for every reader (docs/shots.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from av.error import FFmpegError
from av.stream import Disposition

from hdvg.errors import ItemError
from hdvg.media.excerpt import excerpt_of

PICTURES = Disposition.still_image | Disposition.timed_thumbnails
FOR_FEW = Disposition.comment | Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.descriptions
STILL_CODECS = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff", "jpeg2000", "jpegls", "ppm"})
PEEK_PACKETS, PEEK_BYTES = 256, 32 * 2**20
"""Of all video streams together: by then a film has shown its second frame."""


def find_film(container: Any, again: Callable[[], Any]) -> Any:
    """The stream that is the film, whatever its place: never an attached cover; of several the one that can be decoded, has
    more than one picture, is flagged as default, is largest, comes first, in this order.

    `again` opens the container once more: where its header does not say how many pictures a stream has, the first packets
    do. Raises ItemError no_video.
    """
    streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    streams = [one for one in streams if not one.disposition & PICTURES] or streams
    if not streams:
        raise ItemError("no_video", f"{container.format.name} without a video stream")
    if len(streams) == 1:
        return streams[0]
    seen = _peek(again) if excerpt_of(container) is None and not all(one.frames for one in streams) else None

    def rank(stream: Any) -> tuple[bool, bool, bool, int, int]:
        context = stream.codec_context
        name = context.name if context is not None else ""
        known = stream.frames or (seen[stream.index] if seen is not None else None)
        moves = known > 1 if known is not None else name not in STILL_CODECS
        size = context.width * context.height if context is not None else 0
        return bool(name), moves, bool(stream.disposition & Disposition.default), size, -stream.index

    return max(streams, key=rank)


def find_sound(container: Any, film: Any) -> Any:
    """The audio stream that belongs to the film, or None: of its own programme, flagged as default, for everybody rather
    than for few (a comment, a description), the first."""
    streams = list(container.streams.audio)
    if "mpegts" in container.format.name and len(streams) > 1 and len(container.streams.video) > 1:
        return container.streams.best("audio", film)

    def rank(stream: Any) -> tuple[bool, bool, int]:
        flags = stream.disposition
        return not flags & FOR_FEW, bool(flags & Disposition.default), -stream.index

    return max(streams, key=rank, default=None)


def _peek(again: Callable[[], Any]) -> Counter[int]:
    """How many packets each stream has among the first of a file; one that breaks off is counted so far."""
    seen: Counter[int] = Counter()
    size = 0
    with again() as container:
        try:
            for packet in container.demux(container.streams.video):
                if packet.size:
                    seen[packet.stream_index] += 1
                    size += packet.size
                if seen.total() >= PEEK_PACKETS or size >= PEEK_BYTES:
                    break
        except FFmpegError:
            pass
    return seen
