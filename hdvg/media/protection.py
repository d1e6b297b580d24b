"""Whether media is encrypted: what decodes of it, or of a part of it, is noise, or the clear part before it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from hdvg.errors import ItemError
from hdvg.media.source_file import SourceFile, file_of

PACKET = 188
"""Bytes of an MPEG-TS packet; M2TS has 4 before each, broadcast 16 parity bytes behind."""
STRIDES = (188, 192, 204)
PROTECTED = frozenset({b"encv", b"drmi"})
"""Types of a sample entry of pictures that are encrypted, by Common Encryption or FairPlay."""
BOXES_MOST = 2000
"""Boxes side by side that are looked at: a fragmented file has two for each fragment, behind the one that is sought."""
SYNC = 0x47
SCRAMBLED = 0x80
"""Of the packet's last head byte: its payload is scrambled with the even or the odd key."""
LOOKED_AT = 20
"""Packets by whose first bytes MPEG-TS is known."""
BLOCK = 204 * 188 * 16 * 4
"""Bytes looked at in one go: whole packets of every stride."""


def refuse_protected(container: Any, stream: Any) -> None:
    """Raise ItemError encrypted if the stream's head says so: a track of Matroska or WebM, or one of a whole MP4 file with a
    protected sample entry. FFmpeg leaves out a second one, with all that is behind a clear lead."""
    if "enc_key_id" in stream.metadata:
        raise ItemError("encrypted", "the track's content encryption")
    file = file_of(container)
    if "mp4" in container.format.name and isinstance(file, SourceFile) and PROTECTED & set(entries_of(file, stream.id)):
        raise ItemError("encrypted", "a protected sample entry, of Common Encryption or FairPlay")


def refuse_scrambled(container: Any, stream: Any) -> None:
    """Raise ItemError encrypted if a whole file is MPEG-TS with scrambled packets of the stream: FFmpeg says nothing of it."""
    file = file_of(container)
    if container.format.name == "mpegts" and isinstance(file, SourceFile) and is_scrambled(file, stream.id):
        raise ItemError("encrypted", "scrambled packets")


def refuse_all_scrambled(file: Any) -> None:
    """Raise ItemError encrypted if a file that FFmpeg does not know is MPEG-TS with scrambled packets."""
    if isinstance(file, SourceFile) and not file.closed and is_scrambled(file):
        raise ItemError("encrypted", "scrambled packets")


def refuse_packet(packet: Any) -> None:
    """Raise ItemError encrypted if a packet says so (Common Encryption in MP4, also of a part: clear lead, then encrypted)."""
    if packet.has_sidedata("encryption_info"):
        raise ItemError("encrypted", "Common Encryption (cenc, cbcs)")


def entries_of(file: Any, track: int) -> list[bytes]:
    """The types of the sample entries of an MP4 file's track, such as `avc1`; none where the file is broken. Goes back to
    where it was read."""
    here = file.tell()
    try:
        size = file.seek(0, os.SEEK_END)
        for trak in _boxes(file, 0, size, b"moov", b"trak"):
            heads = list(_boxes(file, *trak, b"tkhd"))
            stsd = list(_boxes(file, *trak, b"mdia", b"minf", b"stbl", b"stsd"))
            if heads and stsd and _track(file, heads[0][0]) == track:
                return [kind for kind, _, _ in _children(file, stsd[0][0] + 8, stsd[0][1])]
        return []
    finally:
        file.seek(here)


def _boxes(file: Any, start: int, end: int, *path: bytes) -> Iterator[tuple[int, int]]:
    """[start, end) of what is in the boxes of that path within a range of the file."""
    for kind, inner, stop in _children(file, start, end):
        if kind == path[0]:
            yield from _boxes(file, inner, stop, *path[1:]) if path[1:] else [(inner, stop)]


def _children(file: Any, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type and [start, end) of the content of the boxes in a range of the file, as far as they are whole."""
    for _ in range(BOXES_MOST):
        file.seek(start)
        head = file.read(16)
        if start + 8 > end or len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        inner = start + 8
        if size == 1 and len(head) == 16:
            (size,), inner = struct.unpack_from(">Q", head, 8), start + 16
        stop = end if size == 0 else start + size
        if not inner <= stop <= end:
            return
        yield kind, inner, stop
        start = stop


def _track(file: Any, tkhd: int) -> int | None:
    """The track's id, which stands behind two times of four or eight bytes each."""
    file.seek(tkhd)
    head = file.read(24)
    place = 20 if head[:1] == b"\1" else 12
    return struct.unpack_from(">I", head, place)[0] if len(head) == 24 else None


def is_scrambled(file: Any, pid: int | None = None) -> bool:
    """Whether a file is MPEG-TS that has a scrambled packet, of the stream `pid`; reads it from its start, and goes back."""
    here = file.tell()
    try:
        file.seek(0)
        head = np.frombuffer(file.read(BLOCK), np.uint8)
        found = _stride(head)
        if found is None:
            return False
        stride, first = found
        file.seek(first)
        while data := file.read(BLOCK):
            whole = np.frombuffer(data[: len(data) // stride * stride], np.uint8).reshape(-1, stride)
            pids = (whole[:, 1].astype(np.int32) & 0x1F) << 8 | whole[:, 2]
            if ((whole[:, 0] == SYNC) & ((pids == pid) | (pid is None)) & (whole[:, 3] >= SCRAMBLED)).any():
                return True
        return False
    finally:
        file.seek(here)


def _stride(head: Any) -> tuple[int, int] | None:
    """Bytes from packet to packet, and where the first begins."""
    for stride in STRIDES:
        for first in np.flatnonzero(head[:stride] == SYNC):
            starts = head[first : first + LOOKED_AT * stride : stride]
            if len(starts) == LOOKED_AT and (starts == SYNC).all():
                return stride, int(first)
    return None
