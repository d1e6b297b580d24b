"""How long an mp4 says its pictures are shown: its edit list, which is what players follow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction

INSIDE = {b"moov", b"trak", b"edts", b"mdia"}
MOOV_MOST = 64 * 2**20


def shown_length(path: str) -> Fraction | None:
    """Seconds of the video track's edit list, without leading emptiness; to a tick of the movie. None if it has none.

    Raises ValueError for a file without an index, or a broken one.
    """
    moov = _index(path)
    scale, _ = _times(next((data for kind, data in _boxes(moov) if kind == b"mvhd"), b""))
    for kind, track in _boxes(moov):
        if kind != b"trak" or _handler(track) != b"vide":
            continue
        edits = [
            data for name, edts in _boxes(track) if name == b"edts" for one, data in _boxes(edts) if one == b"elst"
        ]
        if not edits or not scale:
            return None
        return Fraction(sum(length for length, media in _edits(edits[0]) if media >= 0), scale)
    raise ValueError("no video track")


def _index(path: str) -> bytes:
    with open(path, "rb") as file:
        while head := file.read(8):
            size, kind = struct.unpack(">I4s", head.ljust(8, b"\0"))
            large = size == 1
            if large:
                (size,) = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))
            left = size - (16 if large else 8)
            if left < 0:
                break
            if kind == b"moov":
                return file.read(min(left, MOOV_MOST))
            file.seek(left, 1)
    raise ValueError("no index")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            raise ValueError(f"a box of {size} bytes")
        yield kind, data[at + 8 : at + size]
        at += size


def _times(header: bytes) -> tuple[int, int]:
    """Ticks a second and length, of `mvhd` or `mdhd`."""
    try:
        found: tuple[int, int] = struct.unpack_from(*((">IQ", header, 20) if header[0] else (">II", header, 12)))
    except (struct.error, IndexError) as error:
        raise ValueError(f"a broken header: {error}") from error
    return found


def _handler(track: bytes) -> bytes:
    return next(
        (d[8:12] for kind, mdia in _boxes(track) if kind == b"mdia" for name, d in _boxes(mdia) if name == b"hdlr"), b""
    )


def _edits(data: bytes) -> Iterator[tuple[int, int]]:
    """(length in ticks of the movie, start in the media or -1) of each edit."""
    try:
        (count,) = struct.unpack_from(">I", data, 4)
        form = ">QqI" if data[0] else ">IiI"
        for number in range(count):
            length, media, _ = struct.unpack_from(form, data, 8 + number * struct.calcsize(form))
            yield length, media
    except (struct.error, IndexError) as error:
        raise ValueError(f"a broken edit list: {error}") from error
