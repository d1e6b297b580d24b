"""What cutting must know of coded packets: units, parameter sets, where decoding may start, and what is picture data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hdvg.media.parameter_sets import (
    H264_PPS,
    H264_SPS,
    HEVC_SETS,
    Sets,
    avcc_sets,
    hvcc_sets,
    is_set,
    set_key,
    signature,
)

H264_IDR = 5
H264_LEFT_OUT = frozenset({H264_SPS, H264_PPS, 9, 10, 11, 12, 13})
"""Not carried in a packet of `avc1`: parameter sets, delimiters, ends of sequence, filler."""
HEVC_LEFT_OUT = HEVC_SETS | {35, 36, 37, 38}
HEVC_CRA, HEVC_IRAP, HEVC_LEADING = 21, range(16, 22), range(6, 10)
HEVC_END_OF_SEQUENCE = bytes([36 << 1, 1])
AV1_SEQUENCE, AV1_FRAMES, AV1_LEFT_OUT = 1, (3, 6), frozenset({1, 2, 7, 8, 15})
"""AV1: OBU types; the mp4 muxer itself drops delimiters, redundant headers, tile lists and padding."""


@dataclass(frozen=True)
class Seen:
    """One packet, looked at: may decoding start here, is it a leading picture, its parameter sets, its picture data."""

    safe: bool
    leading: bool = False
    sets: Sets = ()
    digest: bytes = b""
    odd: bool = False


@dataclass
class Syntax:
    """How packets of one stream are framed and read; `sets` are the parameter sets in force, kept up by `see`."""

    codec: str
    prefix: int
    sets: Sets = ()
    _look: Callable[[bytes, bool, int], Seen] = field(init=False)

    def __post_init__(self) -> None:
        self._look = LOOKS.get(self.codec, _see_whole)

    def see(self, data: bytes, *, is_keyframe: bool) -> Seen:
        """Look at a packet; parameter sets in it replace those of the same kind and id. A damaged one is only `odd`."""
        try:
            seen = self._look(data, is_keyframe, self.prefix)
            if seen.sets:
                self.learn(seen.sets)
        except (IndexError, ValueError):
            return Seen(False, False, (), _digest(data), odd=True)
        return seen

    def learn(self, sets: Iterable[bytes]) -> None:
        """Put parameter sets in force. Raises IndexError or ValueError for one that is no such set."""
        named = {set_key(self.codec, one): one for one in (*self.sets, *sets)}
        self.sets = tuple(named[key] for key in sorted(named))


def open_syntax(codec: str, extradata: bytes | None) -> Syntax:
    """The syntax of a stream from its codec's name and extradata (avcC, hvcC, av1C or Annex B)."""
    data = extradata or b""
    syntax = Syntax(codec, 0)
    if codec == "h264" and data[:1] == b"\x01" and len(data) > 6:
        syntax.prefix = (data[4] & 3) + 1
        syntax.learn(avcc_sets(data))
    elif codec == "hevc" and data[:1] == b"\x01" and len(data) > 22:
        syntax.prefix = (data[21] & 3) + 1
        syntax.learn(hvcc_sets(data))
    elif codec in ("h264", "hevc"):
        syntax.learn(unit for unit in units(data, 0) if is_set(codec, unit))
    elif codec == "av1":
        start = 4 if data[:1] == b"\x81" else 0
        syntax.learn(obu for kind, obu in obus(data[start:]) if kind == AV1_SEQUENCE)
    return syntax


def units(data: bytes, prefix: int) -> list[bytes]:
    """The NAL units of a packet whose lengths are written in `prefix` bytes; 0 is Annex B."""
    if not prefix:
        parts = (part.rstrip(b"\0") for part in data.split(b"\0\0\1")[1:])
        return [part for part in parts if part]
    found, at = [], 0
    while at + prefix < len(data):
        size = int.from_bytes(data[at : at + prefix])
        found.append(data[at + prefix : at + prefix + size])
        at += prefix + size
    return [unit for unit in found if unit]


def length_prefixed(parts: Iterable[bytes]) -> bytes:
    """NAL units as an mp4 packet: each behind its length in four bytes."""
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, payload with its header and size as they stand) of the AV1 units of a packet."""
    at = 0
    while at < len(data):
        kind, start = data[at] >> 3 & 15, at
        at += 2 if data[at] & 4 else 1
        size = len(data) - at
        if data[start] & 2:
            size, shift = 0, 0
            while at < len(data):
                size |= (data[at] & 127) << shift
                shift += 7
                at += 1
                if not data[at - 1] & 128:
                    break
        at += size
        yield kind, data[start:at]


def carried(codec: str, data: bytes, prefix: int) -> bytes:
    """A source packet as it goes into mp4: the same picture data, without what mp4 holds elsewhere."""
    if codec == "h264":
        return length_prefixed(unit for unit in units(data, prefix) if unit[0] & 31 not in H264_LEFT_OUT)
    if codec == "hevc":
        return length_prefixed(
            unit for unit in units(data, prefix) if unit[0] >> 1 & 63 not in HEVC_LEFT_OUT - HEVC_SETS
        )
    return data


def opened(codec: str, data: bytes, sets: Sets) -> bytes:
    """A carried packet that starts a copied run, with those of its sets in front that belong into the band."""
    if codec == "h264":
        return length_prefixed(signature(sets)) + data
    if codec == "hevc":
        return length_prefixed([*sets, *(unit for unit in units(data, 4) if not is_set(codec, unit))])
    if codec == "av1" and not any(kind == AV1_SEQUENCE for kind, _ in obus(data)):
        return b"".join(sets) + data
    return data


def framed(part: bytes, prefix: int) -> bytes:
    """A NAL unit in a stream's own framing, see `units`."""
    return (len(part).to_bytes(prefix) if prefix else b"\0\0\0\1") + part


def is_cra(data: bytes) -> bool:
    """Whether an HEVC packet in mp4 framing is a CRA picture, which follows pictures of another stream only after an end."""
    return any(unit[0] >> 1 & 63 == HEVC_CRA for unit in units(data, 4))


def _see_h264(data: bytes, _: bool, prefix: int) -> Seen:
    found = units(data, prefix)
    unit_types = [unit[0] & 31 for unit in found]
    sets = tuple(unit for unit in found if is_set("h264", unit))
    kept = length_prefixed(
        unit for unit, kind in zip(found, unit_types, strict=True) if kind not in H264_LEFT_OUT and unit not in sets
    )
    return Seen(H264_IDR in unit_types, False, sets, _digest(kept))


def _see_hevc(data: bytes, _: bool, prefix: int) -> Seen:
    found = units(data, prefix)
    unit_types = [unit[0] >> 1 & 63 for unit in found]
    sets = tuple(unit for unit in found if is_set("hevc", unit))
    kept = length_prefixed(unit for unit, kind in zip(found, unit_types, strict=True) if kind not in HEVC_LEFT_OUT)
    pictures = [kind for kind in unit_types if kind < 32]
    safe = bool(pictures) and all(kind in HEVC_IRAP for kind in pictures)
    return Seen(safe, any(kind in HEVC_LEADING for kind in pictures), sets, _digest(kept))


def _see_vp9(data: bytes, is_keyframe: bool, _: int) -> Seen:
    shown_key = is_keyframe and len(data) > 9 and data[0] >> 6 == 2 and data[0] & 0b1110 == 0b0010
    size = (int.from_bytes(data[4:9]) >> 4).to_bytes(5) if shown_key else b""
    return Seen(shown_key, False, (size,) if size else (), _digest(data))


def _see_av1(data: bytes, is_keyframe: bool, _: int) -> Seen:
    found = list(obus(data))
    sets = tuple(obu for kind, obu in found if kind == AV1_SEQUENCE)
    frames = [_payload(obu) for kind, obu in found if kind in AV1_FRAMES]
    shown_key = is_keyframe and bool(frames) and frames[0][:1] != b"" and frames[0][0] >> 4 == 1
    kept = b"".join(_payload(obu) for kind, obu in found if kind not in AV1_LEFT_OUT)
    return Seen(shown_key, False, sets, _digest(kept))


def _see_whole(data: bytes, is_keyframe: bool, _: int) -> Seen:
    return Seen(is_keyframe, False, (), _digest(data))


LOOKS: Mapping[str, Callable[[bytes, bool, int], Seen]] = {
    "h264": _see_h264,
    "hevc": _see_hevc,
    "vp9": _see_vp9,
    "av1": _see_av1,
}


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:12]


def _payload(obu: bytes) -> bytes:
    at = 2 if obu[0] & 4 else 1
    if obu[0] & 2:
        while at < len(obu) and obu[at] & 128:
            at += 1
        at += 1
    return obu[at:]
