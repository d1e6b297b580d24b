"""Parameter sets of H.264 and HEVC: which units they are, their ids, and the lists of them in avcC and hvcC."""

from __future__ import annotations

from collections.abc import Iterator

Sets = tuple[bytes, ...]
"""Parameter sets (H.264, HEVC) or the sequence header (AV1) in force, sorted by kind and id. For H.264 x264's signature is
one too: decoders mend the errors of the build it names, and x264 writes it into the first packet only."""

H264_SPS, H264_PPS, H264_SEI = 7, 8, 6
HEVC_SETS = frozenset({32, 33, 34})


def signature(sets: Sets) -> Sets:
    """x264's signature among the sets of an H.264 stream."""
    return tuple(one for one in sets if one[0] & 31 == H264_SEI)


def is_set(codec: str, unit: bytes) -> bool:
    """Whether a unit is one of `Sets`."""
    if codec == "hevc":
        return unit[0] >> 1 & 63 in HEVC_SETS
    return unit[0] & 31 in (H264_SPS, H264_PPS) or is_signature(unit)


def is_signature(unit: bytes) -> bool:
    """Whether an H.264 unit is the text by which x264 names itself."""
    return unit[0] & 31 == H264_SEI and b"x264 - core" in unit[:64]


def set_key(codec: str, one: bytes) -> tuple[int, int]:
    """(kind, id) of a parameter set."""
    if codec == "h264":
        kind = one[0] & 31
        if kind == H264_SEI:
            return kind, 0
        return kind, Bits(one[4 if kind == H264_SPS else 1 :]).ue()
    if codec == "hevc":
        kind = one[0] >> 1 & 63
        return kind, Bits(one[2:]).ue() if kind == 34 else one[2] >> 4 if kind == 32 else _hevc_sps_id(one)
    return 0, 0


def _hevc_sps_id(unit: bytes) -> int:
    """The id stands behind the profile and level, whose length hangs on the sub-layers."""
    data = unescaped(unit)
    more = data[2] >> 1 & 7
    at = 3 + 12
    if more:
        flags = int.from_bytes(data[at : at + 2])
        at += 2
        for layer in range(more):
            at += (11 if flags >> 15 - 2 * layer & 1 else 0) + (1 if flags >> 14 - 2 * layer & 1 else 0)
    return Bits(data[at:]).ue()


def avcc_sets(data: bytes) -> Iterator[bytes]:
    """The parameter sets in an avcC. Raises IndexError if it counts more than it holds."""
    at = 5
    for mask in (31, 255):
        count = data[at] & mask
        at += 1
        for _ in range(count):
            size = data[at] << 8 | data[at + 1]
            yield data[at + 2 : at + 2 + size]
            at += 2 + size


def hvcc_sets(data: bytes) -> Iterator[bytes]:
    """The parameter sets in an hvcC. Raises IndexError if it counts more than it holds."""
    at = 23
    for _ in range(data[22]):
        kind, count = data[at] & 63, int.from_bytes(data[at + 1 : at + 3])
        at += 3
        for _ in range(count):
            size = data[at] << 8 | data[at + 1]
            if kind in HEVC_SETS:
                yield data[at + 2 : at + 2 + size]
            at += 2 + size


def unescaped(unit: bytes) -> bytes:
    """A NAL unit without its emulation prevention bytes."""
    return unit.replace(b"\0\0\3", b"\0\0")


class Bits:
    """Reads bits and exponential-Golomb codes from the front of a unit's body."""

    def __init__(self, data: bytes) -> None:
        self._text = "".join(f"{byte:08b}" for byte in unescaped(data[:128]))
        self._at = 0

    def u(self, count: int) -> int:
        """An unsigned number of `count` bits."""
        self._at += count
        return int(self._text[self._at - count : self._at] or "0", 2)

    def ue(self) -> int:
        """An unsigned Golomb number."""
        zeros = 0
        while self._text[self._at + zeros : self._at + zeros + 1] == "0":
            zeros += 1
        return self.u(2 * zeros + 1) - 1

    def se(self) -> int:
        """A signed Golomb number."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)
