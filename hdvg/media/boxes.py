"""The boxes of an MP4 file that say where its index is: few bytes of each are read, none of the media."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from hdvg.media.excerpt import Excerpt, HoleError

BOXES_MOST = 200
"""Boxes at the top that are looked at; a file without an index of its fragments has thousands."""
SIDX_MOST = 4 * 2**20
FIRST = frozenset({b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"sidx", b"pdin"})
"""Types of the box that a file may begin with."""


class Box(NamedTuple):
    """A box: its type, and [start, end) of it in the file."""

    kind: bytes
    start: int
    end: int


class Reference(NamedTuple):
    """A fragment as `sidx` describes it: when it begins, in seconds, and [start, end) of it in the file."""

    seconds: float
    start: int
    end: int


def top_boxes(source: Excerpt) -> Iterator[Box]:
    """The boxes of the file, one after the other. Raises HoleError where a head is not there, ValueError if it is none."""
    at = 0
    for _ in range(BOXES_MOST):
        if at + 8 > source.size:
            return
        head = read_exactly(source, at, min(16, source.size - at))
        size, kind = struct.unpack(">I4s", head[:8])
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:])
        elif size == 0:
            size = source.size - at
        if size < 8 or at + size > source.size:
            raise ValueError(f"a box of {size} bytes at {at} of {source.size}")
        yield Box(kind, at, at + size)
        at += size


def is_fragmented(source: Excerpt, moov: Box) -> bool:
    """Whether the media is in fragments: `moov` has a box `mvex`. Raises HoleError, ValueError."""
    at = moov.start + 8
    while at + 8 <= moov.end:
        size, kind = struct.unpack(">I4s", read_exactly(source, at, 8))
        if kind == b"mvex":
            return True
        if size < 8:
            raise ValueError(f"a box of {size} bytes in `moov`")
        at += size
    return False


def references(source: Excerpt, sidx: Box) -> list[Reference]:
    """The fragments of a `sidx` (ISO/IEC 14496-12, 8.16.3). Raises HoleError, ValueError for what is none, or an index of indexes."""
    if sidx.end - sidx.start > SIDX_MOST:
        raise ValueError(f"`sidx` of {sidx.end - sidx.start} bytes")
    data = read_exactly(source, sidx.start, sidx.end - sidx.start)
    try:
        (scale,) = struct.unpack_from(">I", data, 16)
        tick, first = struct.unpack_from(">QQ" if data[8] else ">II", data, 20)
        at = 36 if data[8] else 28
        (count,) = struct.unpack_from(">H", data, at + 2)
        rows = [struct.unpack_from(">II", data, at + 4 + 12 * number) for number in range(count)]
    except (struct.error, IndexError) as error:
        raise ValueError(f"a broken `sidx`: {error}") from error
    if not scale:
        raise ValueError("`sidx` without a time scale")
    found, start = [], sidx.end + first
    for size, ticks in rows:
        if size >> 31:
            raise ValueError("`sidx` is an index of indexes")
        if not size or start + size > source.size:
            raise ValueError("`sidx` points beyond the file")
        found.append(Reference(tick / scale, start, start + size))
        start, tick = start + size, tick + ticks
    if not found:
        raise ValueError("`sidx` of no fragments")
    return found


def read_exactly(source: Excerpt, at: int, size: int) -> bytes:
    """Those bytes. Raises HoleError if some are not there, ValueError where the file ends."""
    if at + size > source.size:
        raise ValueError("the file ends in a box")
    if not source.holds(at, at + size):
        source.missed.append(at)
        raise HoleError(f"byte {at} has not been fetched")
    source.seek(at)
    data = b""
    while len(data) < size:
        data += source.read(size - len(data))
    return data
