"""Whether media is encrypted: what decodes of it, or of a part of it, is noise, or the clear part before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from hdvg.errors import ItemError
from hdvg.media.source_file import SourceFile, file_of

PACKET = 188
"""Bytes of an MPEG-TS packet; M2TS has 4 before each, broadcast 16 parity bytes behind."""
STRIDES = (188, 192, 204)
SYNC = 0x47
SCRAMBLED = 0x80
"""Of the packet's last head byte: its payload is scrambled with the even or the odd key."""
LOOKED_AT = 20
"""Packets by whose first bytes MPEG-TS is known."""
BLOCK = 204 * 188 * 16 * 4
"""Bytes looked at in one go: whole packets of every stride."""


def refuse_protected(stream: Any) -> None:
    """Raise ItemError encrypted if the stream's head says so: a track of Matroska or WebM."""
    if "enc_key_id" in stream.metadata:
        raise ItemError("encrypted", "the track's content encryption")


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
