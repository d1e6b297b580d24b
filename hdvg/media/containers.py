"""Open containers: which ones, and never a picture larger than is allowed, not even while a file is looked at."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
from av.error import FFmpegError

from hdvg.errors import ItemError, shortage
from hdvg.media.excerpt import Excerpt, HoleError, is_excerpt, open_excerpt
from hdvg.media.protection import refuse_all_scrambled
from hdvg.media.source_file import SourceFile, check_was_read

FORMATS = (
    "mov,mp4,matroska,webm,mpegts,mpeg,mpegvideo,avi,flv,asf,ogg,mxf,ivf,gif,apng,yuv4mpegpipe,rm,nut,dv,h264,hevc"
)
"""Containers that are opened. None of their demuxers opens another file or a connection, which playlists, concatenations,
image sequences, compositions (IMF) and network descriptions do."""

OPTIONS = {
    "format_whitelist": FORMATS,
    "protocol_whitelist": "file",
    "probesize": "5000000",
    "analyzeduration": "10000000",
}
TEXTS = """
    ass aqtitle concat dash ffmetadata hls imf jacosub lrc microdvd mpl2 mpsub pjs realtext rtp rtsp sami scc sdp srt stl
    subviewer subviewer1 sup tty txd vplayer webm_dash_manifest webvtt xbin image2 image2pipe data
"""
"""FFmpeg's names of texts, lists of other files and descriptions of streams."""
SOUNDS = """
    aac ac3 aiff amr ape au caf dsf dts dtshd eac3 flac mp3 mpc mpc8 oma tak truehd tta voc w64 wav wv
"""
LATE = (b"FLV", b"\0\0\1\xba")
"""How files begin whose streams FFmpeg finds only while it decodes them, with no limit: FLV and MPEG programme streams."""
MOST_PIXELS = 36_000_000
"""Of a picture where no setting says it; pictures are not asked for there."""
STRIDE = 128
LARGEST = 2**31 - 1
"""That FFmpeg can be told."""
TOO_LARGE = re.compile(r"Picture size (\d+)x(\d+) exceeds")


def open_container(path: str | Excerpt, *, max_pixels: int = MOST_PIXELS) -> Any:
    """The container of a source: a file, an excerpt, or one that is being looked at.

    Raises ItemError not_media, no_video (a file of sound alone), unsupported (a format that is not opened), too_large, encrypted.
    """
    limited = OPTIONS | {"max_pixels": str(most_pixels(max_pixels))}
    try:
        if _starts_late(path):
            container = _open(path, OPTIONS | {"codec_whitelist": "none"})
            sizes = [(one.codec_context.width, one.codec_context.height) for one in _decodable(container)]
            if not sizes or any(0 in size for size in sizes):  # decoded later, behind the limit
                return container
            container.close()
            check_size(max(sizes, key=math.prod), max_pixels)
        return _open(path, limited)
    except HoleError:
        raise
    except (FFmpegError, ValueError, OSError) as error:
        raise _refused(path, error) from error


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raises ItemError too_large."""
    if math.prod(size) > max_pixels:
        raise ItemError("too_large", f"{size[0]}x{size[1]}")


def most_pixels(max_pixels: int, size: tuple[int, int] = (0, 0)) -> int:
    """What FFmpeg must allow so that pictures of so many pixels decode, whose memory is wider than they are."""
    if size == (0, 0):
        return min(max_pixels + 2 * STRIDE * math.isqrt(max_pixels), LARGEST)
    return min(max(max_pixels, (size[0] + STRIDE) * size[1]), LARGEST)


def refused_size(path: str | Excerpt, max_pixels: int) -> tuple[int, int] | None:
    """The size of pictures that FFmpeg would not decode because of it, though the container may say another; or None."""
    if isinstance(path, Excerpt):
        return None
    with _overheard() as logs, open_container(path, max_pixels=max_pixels) as container:
        context = container.streams.video[0].codec_context
        if context is not None and not context.width:
            context.options = {"max_pixels": str(most_pixels(max_pixels))}
            with contextlib.suppress(FFmpegError, StopIteration):
                next(container.decode(video=0))
    found = [match for _, _, message in logs if (match := TOO_LARGE.search(message))]
    return (int(found[0][1]), int(found[0][2])) if found else None


@contextmanager
def _overheard() -> Iterator[list[Any]]:
    """What FFmpeg logs as an error meanwhile, on this thread: (level, name, message)."""
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as logs:
            yield logs
    finally:
        av.logging.set_level(before[0])
        av.logging.set_skip_repeated(before[1])


def _open(path: str | Excerpt, options: dict[str, str]) -> Any:
    file = path if isinstance(path, Excerpt) else open_excerpt(path) if is_excerpt(path) else SourceFile(path)
    try:
        return av.open(file, options=options, metadata_errors="replace")
    except (FFmpegError, ValueError, OSError):
        check_was_read(file)
        refuse_all_scrambled(file)
        raise


def _starts_late(path: str | Excerpt) -> bool:
    if isinstance(path, Excerpt):  # its format is one with an index, or segments of MPEG-TS
        return False
    with open(path, "rb") as file:
        return file.read(4).startswith(LATE)


def _decodable(container: Any) -> list[Any]:
    return [one for one in container.streams.video if one.codec_context is not None]


def _refused(path: str | Excerpt, error: Exception) -> Exception:
    """Why a file was not opened."""
    name = "" if isinstance(path, Excerpt) or not isinstance(error, av.ArgumentError) else _format_of(path)
    if shortage(error) or not name:
        return ItemError("not_media", str(error))
    if name in TEXTS.split():
        return ItemError("not_media", f"a text or a list of other files ({name})")
    if name in SOUNDS.split():
        return ItemError("no_video", f"a file of sound ({name})")
    return ItemError("unsupported", f"files of the format {name} are not opened")


def _format_of(path: str) -> str:
    """FFmpeg's name of a file's format that is not among those opened; "" if that is not why it was refused."""
    with _overheard() as logs, contextlib.suppress(FFmpegError, ValueError, OSError):
        av.open(path, options=OPTIONS).close()
    return next((name for _, name, message in logs if "not on whitelist" in message), "")
