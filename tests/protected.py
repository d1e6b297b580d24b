"""Fragmented MP4 of which all fragments, or those behind a clear lead, are under Common Encryption, made by hand.

What is encrypted is noise: no reader here has a key, so that no cipher is needed.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tests.bench.machine import ffmpeg

Entries = Literal["one", "two"]
"""Whether the clear lead has a sample entry of its own, beside the protected one."""
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
KEY_ID, VECTOR = bytes(range(16)), bytes(range(16, 32))
CLEAR_BYTES = 5
"""Of each NAL unit: its length and its head stay, as players ask for."""


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def full(kind: bytes, content: bytes, *, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags) + content)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += size


def fragmented(source: Path, target: Path) -> Path:
    """Write `source` anew as H.264 in fragments of twelve frames."""
    flags = "frag_keyframe+empty_moov+default_base_moof"
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-bf", "0", "-sc_threshold", "0")
    ffmpeg("-i", f"{source}", "-an", *coding, "-movflags", flags, f"{target}")
    return target


def protect(
    plain: Path, target: Path, *, scheme: str = "cenc", lead: int = 0, entries: Entries = "one", told: bool = True
) -> None:
    """Write what `fragmented` wrote anew, encrypted behind the first `lead` fragments.

    `told`: whether the fragments list what of each sample is encrypted (`senc`); where a vector is constant they need not.
    """
    noise, out, moof, fragment = random.Random(7), b"", b"", 0
    for kind, content in boxes(plain.read_bytes()):
        if kind == b"moov":
            out += box(kind, _moov(content, scheme, entries))
        elif kind == b"moof":
            moof = content
        elif kind == b"mdat" and moof:
            is_clear = fragment < lead
            out += (
                _clear(moof, content)
                if is_clear
                else _hidden(moof, content, noise, scheme=scheme, entries=entries, told=told)
            )
            fragment, moof = fragment + 1, b""
        elif kind != b"mfra":
            out += box(kind, content)
    assert fragment > lead
    target.write_bytes(out)


def _moov(content: bytes, scheme: str, entries: Entries) -> bytes:
    return b"".join(
        box(kind, _moov(inner, scheme, entries) if kind in CONTAINERS else _entries(inner, scheme, entries))
        if kind in CONTAINERS | {b"stsd"}
        else box(kind, inner)
        for kind, inner in boxes(content)
    )


def _entries(stsd: bytes, scheme: str, entries: Entries) -> bytes:
    ((kind, entry),) = boxes(stsd[8:])
    assert kind == b"avc1"
    constant = scheme in ("cbcs", "cens")
    pattern = 0x19 if scheme == "cbcs" else 0
    vector = bytes([1, 0]) + KEY_ID + bytes([16]) + VECTOR if constant else bytes([1, 8]) + KEY_ID
    tenc = full(b"tenc", bytes([0, pattern]) + vector, version=1 if constant else 0)
    schm = full(b"schm", scheme.encode() + struct.pack(">I", 0x10000))
    sinf = box(b"sinf", box(b"frma", b"avc1") + schm + box(b"schi", tenc))
    held = [box(b"encv", entry + sinf)]
    if entries == "two":
        held.insert(0, box(b"avc1", entry))
    return stsd[:4] + struct.pack(">I", len(held)) + b"".join(held)


def _clear(moof: bytes, media: bytes) -> bytes:
    return box(b"moof", moof) + box(b"mdat", media)


def _hidden(moof: bytes, media: bytes, noise: random.Random, *, scheme: str, entries: Entries, told: bool) -> bytes:
    """A fragment with noise in place of pictures, and with the list of what is noise."""
    (traf,) = (inner for kind, inner in boxes(moof) if kind == b"traf")
    (trun,) = (inner for kind, inner in boxes(traf) if kind == b"trun")
    sizes = _sizes(trun, next(inner for kind, inner in boxes(traf) if kind == b"tfhd"))
    hidden, listed, at = bytearray(media), b"", 0
    for size in sizes:
        spans = _spans(media[at : at + size])
        for clear, start, length in spans:
            _scramble(hidden, at + start + clear, length, scheme, noise)
        vector = b"" if scheme in ("cbcs", "cens") else noise.randbytes(8)
        listed += vector + struct.pack(">H", len(spans))
        listed += b"".join(struct.pack(">HI", clear, length) for clear, _, length in spans)
        at += size
    senc = full(b"senc", struct.pack(">I", len(sizes)) + listed, flags=2) if told else b""
    inner = b"".join(box(kind, _traf_part(kind, part, len(senc), entries)) for kind, part in boxes(traf))
    rebuilt = b"".join(box(kind, inner + senc if kind == b"traf" else part) for kind, part in boxes(moof))
    return box(b"moof", rebuilt) + box(b"mdat", bytes(hidden))


def _spans(sample: bytes) -> list[tuple[int, int, int]]:
    """For each NAL unit of a sample: clear bytes, where it starts, and hidden bytes."""
    found, at = [], 0
    while at < len(sample):
        (size,) = struct.unpack_from(">I", sample, at)
        clear = min(CLEAR_BYTES, size + 4) if sample[at + 4] & 31 in (1, 5) else size + 4
        found.append((clear, at, size + 4 - clear))
        at += size + 4
    return found


def _scramble(data: bytearray, start: int, length: int, scheme: str, noise: random.Random) -> None:
    """All of it; with a pattern (`cbcs`) one block of sixteen bytes in ten."""
    step = 160 if scheme == "cbcs" else 16
    for at in range(start, start + length - 15, step):
        data[at : at + 16] = noise.randbytes(16)


def _sizes(trun: bytes, tfhd: bytes) -> list[int]:
    flags, count = struct.unpack_from(">II", trun)
    at = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    step = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    if not flags & 0x200:
        return [
            struct.unpack_from(
                ">I", tfhd, len(tfhd) - 8 if struct.unpack_from(">I", tfhd)[0] & 0x20 else len(tfhd) - 4
            )[0]
        ] * count
    place = at + 4 * bool(flags & 0x100)
    return [struct.unpack_from(">I", trun, place + step * number)[0] for number in range(count)]


def _traf_part(kind: bytes, part: bytes, longer: int, entries: Entries) -> bytes:
    """With the media that many bytes further away, and of the protected entry."""
    is_second = entries == "two"
    if kind == b"trun":
        (offset,) = struct.unpack_from(">i", part, 8)
        return part[:8] + struct.pack(">i", offset + longer + 4 * is_second) + part[12:]
    if kind == b"tfhd" and is_second:
        (flags,) = struct.unpack_from(">I", part)
        assert not flags & 3
        return struct.pack(">I", flags | 2) + part[4:8] + struct.pack(">I", 2) + part[8:]
    return part
