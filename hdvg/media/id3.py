"""The clock of HLS audio that has no times of its own: an ID3 tag before its first frame says when it begins (RFC 8216, 3.4)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

OWNER = b"com.apple.streaming.transportStreamTimestamp\0"
TICKS = 90_000
"""Of MPEG's clock, in a second."""

CLOCK_TURN_S = Fraction(2**33, TICKS)
"""After which MPEG's clock begins at zero again."""

MOST_BYTES = 1 << 16


def stream_time_s(path: Path) -> Fraction | None:
    """When the sound begins, in seconds of MPEG's clock; None if the file does not begin with such a tag."""
    with path.open("rb") as file:
        head = file.read(MOST_BYTES)
    if head[:3] != b"ID3":
        return None
    size = sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    tag = head[10 : 10 + size]
    at = tag.find(OWNER)
    time = tag[at + len(OWNER) :][:8]
    if at < 0 or len(time) < 8:
        return None
    return Fraction(int.from_bytes(time) % 2**33, TICKS)
